"""Scaling of inputs, and the items that networks read. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.errors import NothingToLearnError, ParameterError
from ml.features.track_features import TrackFeatures
from ml.networks.base import FloatArray, IndexArray, Needs, Plan, batches

SCALINGS = ("standardise", "min-max", "none")

#: Coefficients that hardly vary are centred, not blown up.
_SMALLEST_SPREAD = 1e-6
#: At most this many tracks, and windows of each, are read for the statistics of windows.
_STATISTICS_TRACKS = 4_096
_STATISTICS_WINDOWS = 8
_BATCH = 256


def require_finite(values: npt.NDArray[Any]) -> None:
    """Raise ParameterError where features, scaled or not, are not finite."""
    if not np.isfinite(values).all():
        raise ParameterError("the features hold values that are not finite (NaN, infinity)")


@dataclass(frozen=True)
class Scaler:
    """Inputs become (x - centre) / spread, per coefficient.

    Standardising per coefficient is the default: scaling a whole MFCC matrix by its global
    minimum and maximum, as the study's tutorial did, leaves all but c0 nearly constant.

    Attributes
    ----------
    centre, spread : float32 (d,), over the last axis of an item; from the training tracks.
    """

    centre: FloatArray
    spread: FloatArray

    def apply(self, values: npt.NDArray[Any]) -> FloatArray:
        """Return scaled float32 values of the same shape."""
        scaled = (values.astype(np.float32, copy=False) - self.centre) / self.spread
        return scaled.astype(np.float32, copy=False)

    @classmethod
    def fit(cls, scaling: str, values: npt.NDArray[Any]) -> Self:
        """Take the statistics from `values` (..., d).

        Raises
        ------
        ParameterError : for an unknown `scaling`, or values that are not finite.
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
    """One item a track: its scaled summary vector."""

    values: FloatArray

    @property
    def item_shape(self) -> tuple[int, ...]:
        """(d,)."""
        return (int(self.values.shape[1]),)

    def draw(self, tracks: IndexArray, rng: np.random.Generator) -> IndexArray:
        """Return the tracks in a random order, as (track, 0)."""
        return self.fixed(rng.permutation(tracks))

    def fixed(self, tracks: IndexArray) -> IndexArray:
        """Return the tracks in the given order, as (track, 0)."""
        return np.column_stack([tracks, np.zeros_like(tracks)])

    def gather(self, items: IndexArray) -> FloatArray:
        """Return float32 (m, d), scaled."""
        return self.values[items[:, 0]]


@dataclass(frozen=True)
class WindowInputs:
    """Scaled windows, read from the features batch by batch.

    Attributes
    ----------
    train_windows : windows drawn anew from each track in each epoch; 0 means all.
    predict_windows : evenly spaced windows by which a track is scored; 0 means all.
    """

    features: TrackFeatures
    scaler: Scaler
    counts: IndexArray
    train_windows: int
    predict_windows: int

    @property
    def item_shape(self) -> tuple[int, ...]:
        """(frames, coefficients)."""
        return self.features.window_shape

    def draw(self, tracks: IndexArray, rng: np.random.Generator) -> IndexArray:
        """Return up to `train_windows` random windows of each track, all shuffled."""
        limit = self.train_windows or int(self.counts[tracks].max(initial=0))
        rows, chosen = _random_windows(self.counts[tracks], limit, rng)
        return rng.permutation(np.column_stack([tracks[rows], chosen]))

    def fixed(self, tracks: IndexArray) -> IndexArray:
        """Return up to `predict_windows` evenly spaced windows of each track, in order."""
        return evenly_spaced(tracks, self.counts[tracks], self.predict_windows)

    def gather(self, items: IndexArray) -> FloatArray:
        """Return float32 (m, frames, coefficients), scaled."""
        return self.scaler.apply(self.features.windows(items[:, 0], items[:, 1]))


TrackInputs = SummaryInputs | WindowInputs

#: How far two criteria may differ in what they listen for, and in how readily they give a
#: label: what the difference weighs beside what both share. Chosen on simulated libraries
#: (`docs/experiments.md`); larger values are worse where the present criteria have few tracks.
CRITERIA_SHARE, CRITERIA_OFFSET = 0.3, 2.0


def told_apart(inputs: SummaryInputs, is_present: npt.NDArray[np.bool_]) -> SummaryInputs:
    """Tell the network by whose criteria each track was judged.

    Beside its values x an item holds s c x and s d, where s is 1 for the present criteria and
    -1 for others, c = `CRITERIA_SHARE`, d = `CRITERIA_OFFSET`. What both criteria share is
    learnt from all tracks, how they differ from the contrast [1]_; with s = 1 the network then
    answers as the present curators would.

    Parameters
    ----------
    inputs : of n_tracks. is_present : bool (n_tracks,).

    Returns
    -------
    SummaryInputs, items of 2 d + 1 values.

    References
    ----------
    .. [1] Daume, "Frustratingly easy domain adaptation", ACL 2007.
    """
    side = np.where(is_present, 1, -1).astype(np.float32)[:, None]
    values = inputs.values
    return SummaryInputs(
        np.concatenate([values, CRITERIA_SHARE * side * values, CRITERIA_OFFSET * side], axis=1)
    )


@dataclass(frozen=True)
class DrawnByLabel:
    """Items drawn as the study drew them: a label by its frequency, a track, a window.

    A label is drawn by the number of tracks that have it, then one of these tracks, then one
    of its windows, all with replacement. That is a uniform draw among all (track, label)
    pairs: a track with two labels is seen twice as often as one with one, one without a label
    never, and rare labels as rarely as they are. An epoch has as many draws as the items that
    `inputs` would draw. Where no track has a label, `inputs` draws.

    Attributes
    ----------
    inputs : the items. counts : (n_tracks,) items of each track; an epoch counts at most
    `limit` of each (0: all). targets : (n_tracks, n_labels), 1 where a label was given.
    """

    inputs: TrackInputs
    counts: IndexArray
    limit: int
    targets: FloatArray

    @property
    def item_shape(self) -> tuple[int, ...]:
        """Shape of one item."""
        return self.inputs.item_shape

    def draw(self, tracks: IndexArray, rng: np.random.Generator) -> IndexArray:
        """Return the items of one epoch, (m, 2), in the order they are drawn."""
        held = tracks[self.counts[tracks] > 0]
        pairs = np.nonzero(self.targets[held] > 0)[0]
        if len(pairs) == 0:
            return self.inputs.draw(tracks, rng)
        counts = self.counts[held]
        n_draws = int((np.minimum(counts, self.limit) if self.limit else counts).sum())
        rows = pairs[rng.integers(len(pairs), size=n_draws)]
        return np.column_stack([held[rows], rng.integers(counts[rows])]).astype(np.intp)

    def fixed(self, tracks: IndexArray) -> IndexArray:
        """Return the items by which `tracks` are scored, as `inputs` gives them."""
        return self.inputs.fixed(tracks)

    def gather(self, items: IndexArray) -> FloatArray:
        """Return float32 (m, *item_shape), scaled."""
        return self.inputs.gather(items)


def evenly_spaced(tracks: IndexArray, counts: IndexArray, limit: int) -> IndexArray:
    """Return (track, window) of at most `limit` windows of each track; 0 means all.

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
    counts: IndexArray, limit: int, rng: np.random.Generator
) -> tuple[IndexArray, IndexArray]:
    """Draw `limit` of each track's windows without replacement: (row, window) pairs."""
    if len(counts) == 0 or counts.max() == 0:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    keys = rng.random((len(counts), int(counts.max())))
    keys[np.arange(keys.shape[1]) >= counts[:, None]] = np.inf
    chosen = np.argsort(keys, axis=1)[:, :limit]
    rows, columns = np.nonzero(np.take_along_axis(keys, chosen, axis=1) < np.inf)
    return rows, chosen[rows, columns]


def fit_scaler(features: TrackFeatures, tracks: IndexArray, needs: Needs, plan: Plan) -> Scaler:
    """Take the scaling statistics from `tracks`, the ones that are learnt from.

    Windows are sampled: at most 4,096 tracks and 8 evenly spaced windows of each, enough for
    a mean to a hundredth of a standard deviation.

    Raises
    ------
    ParameterError : if a value is not finite. NothingToLearnError : if there is none.
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
    windows = [features.windows(part[:, 0], part[:, 1]) for part in batches(items, _BATCH)]
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
    is_present : bool (n_tracks,), by whose criteria each track was judged, where that is told
        apart (`told_apart`); None where it is not.

    Raises
    ------
    ParameterError : if the features are not as wide as those the scaler was fitted on, or
        criteria are to be told apart for a network of windows.
    """
    if is_present is not None and needs != "summary":
        raise ParameterError("criteria can be told apart by networks of summaries only")
    width = features.summaries().shape[1] if needs == "summary" else features.window_shape[1]
    if width != len(scaler.centre):
        raise ParameterError(
            f"the features are {width} wide, the network was trained on {len(scaler.centre)}"
        )
    if needs == "summary":
        inputs = SummaryInputs(scaler.apply(features.summaries()))
        return inputs if is_present is None else told_apart(inputs, is_present)
    return WindowInputs(
        features,
        scaler,
        features.window_counts(),
        train_windows=plan.whole("train_windows"),
        predict_windows=plan.whole("predict_windows"),
    )
