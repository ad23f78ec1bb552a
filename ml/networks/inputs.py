"""Scaling of inputs, and the items that networks read. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.errors import NothingToLearnError, ParameterError
from ml.features.track_features import TrackFeatures
from ml.networks.base import Needs, Plan, item_batches
from ml.types import FloatArray, Indices

SCALINGS = ("standardise", "min-max", "none")

#: A coefficient whose spread is smaller than this is centred, not scaled.
_SMALLEST_SPREAD = 1e-6
#: At most this many tracks, and windows of each, are read for the statistics of windows.
_STATISTICS_TRACKS = 4_096
_STATISTICS_WINDOWS = 8
_BATCH = 256


def require_finite(values: npt.NDArray[Any]) -> None:
    """Refuse features, scaled or not, that are not finite.

    Parameters
    ----------
    values : float array of any shape.

    Raises
    ------
    ParameterError : a value is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise ParameterError(
            "the features hold values that are not finite (NaN, infinity); extract them again"
        )


@dataclass(frozen=True)
class Scaler:
    """Scaling of inputs to (x - centre) / spread, per coefficient.

    Standardising per coefficient is the default. Scaling a whole MFCC matrix by its global
    minimum and maximum, as the study's tutorial did, leaves all but c0 nearly constant.

    Attributes
    ----------
    centre, spread : float32 (d,), over the last axis of an item; from the training tracks.
    """

    centre: FloatArray
    spread: FloatArray

    def apply(self, values: npt.NDArray[Any]) -> FloatArray:
        """Scale values.

        Parameters
        ----------
        values : float (..., d).

        Returns
        -------
        FloatArray : float32, same shape.

        Examples
        --------
        >>> scaler = Scaler(np.float32([1, 2]), np.float32([2, 1]))
        >>> scaler.apply(np.array([[3.0, 2.0]])).tolist()
        [[1.0, 0.0]]
        """
        scaled = (values.astype(np.float32, copy=False) - self.centre) / self.spread
        return scaled.astype(np.float32, copy=False)

    @classmethod
    def fit(cls, scaling: str, values: npt.NDArray[Any]) -> Self:
        """Take the statistics from values.

        Parameters
        ----------
        scaling : one of `SCALINGS`. values : float (..., d).

        Returns
        -------
        Scaler : of d coefficients.

        Raises
        ------
        ParameterError : `scaling` is unknown, or a value is not finite.
        NothingToLearnError : there are no values.

        Examples
        --------
        >>> Scaler.fit("min-max", np.array([[0.0, 4.0], [2.0, 1.0]])).spread.tolist()
        [4.0, 4.0]
        """
        if scaling not in SCALINGS:
            raise ParameterError(f"scaling is {scaling!r}; known: {', '.join(SCALINGS)}")
        flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
        if len(flat) == 0:
            raise NothingToLearnError("no track to train on has any features")
        require_finite(flat)
        if scaling == "none":
            centre, spread = np.zeros(flat.shape[1]), np.ones(flat.shape[1])
        elif scaling == "min-max":
            centre = np.full(flat.shape[1], flat.min())
            spread = np.full(flat.shape[1], flat.max() - flat.min())
        else:
            centre, spread = flat.mean(axis=0), flat.std(axis=0)
        spread = np.where(spread < _SMALLEST_SPREAD, 1.0, spread)
        return cls(centre.astype(np.float32), spread.astype(np.float32))


@dataclass(frozen=True)
class SummaryInputs:
    """Inputs with one item a track: its scaled summary vector.

    Attributes
    ----------
    values : float32 (n_tracks, d), scaled.
    """

    values: FloatArray

    @property
    def item_shape(self) -> tuple[int, ...]:
        """Shape of a summary, (d,)."""
        return (int(self.values.shape[1]),)

    def draw(self, tracks: Indices, rng: np.random.Generator) -> Indices:
        """Shuffle the tracks.

        Parameters
        ----------
        tracks : int (n,), rows to draw from. rng : source of the draw.

        Returns
        -------
        Indices : int (m, 2) of (track, item), in the order in which they are learnt.
        """
        return self.fixed(rng.permutation(tracks))

    def fixed(self, tracks: Indices) -> Indices:
        """List the one item of each track.

        Parameters
        ----------
        tracks : int (n,), rows to score.

        Returns
        -------
        Indices : int (m, 2) of (track, item), grouped by track.
        """
        return np.column_stack([tracks, np.zeros_like(tracks)])

    def gather(self, items: Indices) -> FloatArray:
        """Return summaries.

        Parameters
        ----------
        items : int (m, 2) of (track, item).

        Returns
        -------
        FloatArray : float32 (m, *item_shape).
        """
        return self.values[items[:, 0]]


@dataclass(frozen=True)
class WindowInputs:
    """Inputs with windows as items, read from the features and scaled batch by batch.

    Attributes
    ----------
    features : of n_tracks. scaler : of as many coefficients as a frame has.
    counts : int (n_tracks,), windows of each track.
    train_windows : windows drawn from each track in each epoch; 0 means all.
    predict_windows : evenly spaced windows by which a track is scored; 0 means all.
    """

    features: TrackFeatures
    scaler: Scaler
    counts: Indices
    train_windows: int
    predict_windows: int

    @property
    def item_shape(self) -> tuple[int, ...]:
        """Shape of a window, (frames, coefficients)."""
        return self.features.window_shape

    def draw(self, tracks: Indices, rng: np.random.Generator) -> Indices:
        """Draw up to `train_windows` windows of each track, and shuffle all of them.

        Parameters
        ----------
        tracks : int (n,), rows to draw from. rng : source of the draw.

        Returns
        -------
        Indices : int (m, 2) of (track, item), in the order in which they are learnt.
        """
        limit = self.train_windows or int(self.counts[tracks].max(initial=0))
        rows, chosen = _random_windows(self.counts[tracks], limit, rng)
        return rng.permutation(np.column_stack([tracks[rows], chosen]))

    def fixed(self, tracks: Indices) -> Indices:
        """List up to `predict_windows` evenly spaced windows of each track.

        Parameters
        ----------
        tracks : int (n,), rows to score.

        Returns
        -------
        Indices : int (m, 2) of (track, item), grouped by track.
        """
        return evenly_spaced(tracks, self.counts[tracks], self.predict_windows)

    def gather(self, items: Indices) -> FloatArray:
        """Read and scale windows.

        Parameters
        ----------
        items : int (m, 2) of (track, item).

        Returns
        -------
        FloatArray : float32 (m, *item_shape).
        """
        return self.scaler.apply(self.features.windows(items[:, 0], items[:, 1]))


TrackInputs = SummaryInputs | WindowInputs

#: Weights of the contrast between two criteria, relative to what both share: of how they read
#: the features, and of how readily they give a label. Chosen on simulated libraries
#: (`docs/experiments.md`); larger values do worse if few tracks follow the current criteria.
CRITERIA_SHARE, CRITERIA_OFFSET = 0.3, 2.0


def condition_on_criteria(
    inputs: SummaryInputs, is_present: npt.NDArray[np.bool_]
) -> SummaryInputs:
    """Append to each item whose criteria its labels follow (domain adaptation [1]_).

    An item x becomes (x, s c x, s d), where s is 1 for the current criteria and -1 for others,
    c is `CRITERIA_SHARE` and d is `CRITERIA_OFFSET`. The network learns from all tracks what
    both criteria share, and from the contrast how they differ. With s = 1 it predicts as the
    current curators would.

    Parameters
    ----------
    inputs : items of n_tracks, d values each.
    is_present : bool (n_tracks,), True if the labels follow the current criteria.

    Returns
    -------
    SummaryInputs : items of 2 d + 1 values.

    References
    ----------
    .. [1] Daume, "Frustratingly easy domain adaptation", ACL 2007.

    Examples
    --------
    >>> inputs = SummaryInputs(np.ones((2, 1), np.float32))
    >>> condition_on_criteria(inputs, np.array([True, False])).values.round(1).tolist()
    [[1.0, 0.30000001192092896, 2.0], [1.0, -0.30000001192092896, -2.0]]
    """
    side = np.where(is_present, 1, -1).astype(np.float32)[:, None]
    values = inputs.values
    return SummaryInputs(
        np.concatenate([values, CRITERIA_SHARE * side * values, CRITERIA_OFFSET * side], axis=1)
    )


@dataclass(frozen=True)
class DrawnByLabel:
    """Inputs drawn as in the study: a label by its frequency, then a track, then a window.

    A label is drawn with a probability proportional to the number of tracks that have it, then
    one of these tracks, then one of its windows, all with replacement. That is a uniform draw
    among all (track, label) pairs: a track with two labels is drawn twice as often as a track
    with one, a track without a label never, and rare labels stay rare. An epoch has as many
    draws as `inputs` would make. If no track has a label, `inputs` draws.

    Attributes
    ----------
    inputs : the items.
    counts : int (n_tracks,), items of each track.
    limit : items of a track that count towards the length of an epoch; 0 means all.
    targets : float32 (n_tracks, n_labels), 1 where a label was given.
    """

    inputs: TrackInputs
    counts: Indices
    limit: int
    targets: FloatArray

    @property
    def item_shape(self) -> tuple[int, ...]:
        """Shape of one item."""
        return self.inputs.item_shape

    def draw(self, tracks: Indices, rng: np.random.Generator) -> Indices:
        """Draw the items of one epoch.

        Parameters
        ----------
        tracks : int (n,), rows to draw from. rng : source of the draw.

        Returns
        -------
        Indices : int (m, 2) of (track, item), in the order in which they are learnt.
        """
        held = tracks[self.counts[tracks] > 0]
        pairs = np.nonzero(self.targets[held] > 0.5)[0]
        if len(pairs) == 0:
            return self.inputs.draw(tracks, rng)
        counts = self.counts[held]
        n_draws = int((np.minimum(counts, self.limit) if self.limit else counts).sum())
        rows = pairs[rng.integers(len(pairs), size=n_draws)]
        return np.column_stack([held[rows], rng.integers(counts[rows])]).astype(np.intp)

    def fixed(self, tracks: Indices) -> Indices:
        """List the items by which tracks are scored, as `inputs` does.

        Parameters
        ----------
        tracks : int (n,), rows to score.

        Returns
        -------
        Indices : int (m, 2) of (track, item), grouped by track.
        """
        return self.inputs.fixed(tracks)

    def gather(self, items: Indices) -> FloatArray:
        """Read and scale items, as `inputs` does.

        Parameters
        ----------
        items : int (m, 2) of (track, item).

        Returns
        -------
        FloatArray : float32 (m, *item_shape).
        """
        return self.inputs.gather(items)


def evenly_spaced(tracks: Indices, counts: Indices, limit: int) -> Indices:
    """Choose evenly spaced windows of each track.

    Parameters
    ----------
    tracks : int (n,), rows. counts : int (n,), windows of each of them.
    limit : the most windows of a track; 0 means all.

    Returns
    -------
    Indices : int (m, 2) of (track, window), grouped by track.

    Examples
    --------
    >>> evenly_spaced(np.array([7]), np.array([10]), 2).tolist()
    [[7, 2], [7, 7]]
    """
    taken = counts if limit == 0 else np.minimum(counts, limit)
    rows = np.repeat(np.arange(len(counts)), taken)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(taken) - taken, taken)
    middle = (2 * within + 1) * counts[rows] // (2 * taken[rows])
    return np.column_stack([tracks[rows], middle]).astype(np.intp)


def _random_windows(
    counts: Indices, limit: int, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """Draw up to `limit` windows of each track without replacement; return (row, window)."""
    if len(counts) == 0 or counts.max() == 0:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    keys = rng.random((len(counts), int(counts.max())))
    keys[np.arange(keys.shape[1]) >= counts[:, None]] = np.inf
    chosen = np.argsort(keys, axis=1)[:, :limit]
    rows, columns = np.nonzero(np.take_along_axis(keys, chosen, axis=1) < np.inf)
    return rows, chosen[rows, columns]


def fit_scaler(features: TrackFeatures, tracks: Indices, needs: Needs, plan: Plan) -> Scaler:
    """Take the scaling statistics from the tracks to learn from.

    Windows are sampled: at most 4,096 tracks and 8 evenly spaced windows of each. That gives
    the mean to a hundredth of a standard deviation.

    Parameters
    ----------
    features : of all tracks. tracks : int (n,), rows to learn from.
    needs : what an item is. plan : names the scaling, and the seed of the sample.

    Returns
    -------
    Scaler : per coefficient.

    Raises
    ------
    ParameterError : a value is not finite, or the scaling is unknown.
    NothingToLearnError : there is no value.
    """
    scaling = str(plan.options["scaling"])
    if needs == "summary":
        return Scaler.fit(scaling, features.summaries()[tracks])
    rng = np.random.default_rng([plan.seed, 1])
    some = np.sort(rng.permutation(tracks)[:_STATISTICS_TRACKS])
    counts = features.window_counts()[some]
    items = evenly_spaced(some, counts, _STATISTICS_WINDOWS)
    if len(items) == 0:
        raise NothingToLearnError("no track to train on has a whole window of audio")
    windows = [features.windows(part[:, 0], part[:, 1]) for part in item_batches(items, _BATCH)]
    return Scaler.fit(scaling, np.concatenate(windows))


def scaled_inputs(
    features: TrackFeatures,
    needs: Needs,
    scaler: Scaler,
    plan: Plan,
    is_present: npt.NDArray[np.bool_] | None = None,
) -> TrackInputs:
    """Return the items of all tracks of `features`, scaled by `scaler`.

    Parameters
    ----------
    features : of n_tracks. needs : what an item is.
    scaler : as fitted for the training. plan : numbers of windows to draw and to score.
    is_present : bool (n_tracks,), True if the labels of a track follow the current criteria,
        for criteria-conditioned training (`condition_on_criteria`); None without it.

    Returns
    -------
    TrackInputs : summaries or windows.

    Raises
    ------
    ParameterError : the features are not as wide as those of the scaler, or a network of
        windows is to be conditioned on criteria.
    """
    if is_present is not None and needs != "summary":
        raise ParameterError(
            "criteria-conditioned training works with networks of summaries only; set criteria "
            "to 'same', or take a pooled network"
        )
    width = features.summaries().shape[1] if needs == "summary" else features.window_shape[1]
    if width != len(scaler.centre):
        raise ParameterError(
            f"the features are {width} wide, the network was trained on {len(scaler.centre)}; "
            "use the feature configuration of the training"
        )
    if needs == "summary":
        inputs = SummaryInputs(scaler.apply(features.summaries()))
        return inputs if is_present is None else condition_on_criteria(inputs, is_present)
    return WindowInputs(
        features,
        scaler,
        features.window_counts(),
        train_windows=plan.whole("train_windows"),
        predict_windows=plan.whole("predict_windows"),
    )
