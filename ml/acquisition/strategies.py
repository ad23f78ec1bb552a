"""Acquisition strategies: which tracks to ask about next, and why.

Stage: acquisition, after prediction. Numpy only. Scoring is separate from choosing: a score is
a number per track; a strategy turns scores and distances into an ordered choice. The caller
leaves audit tracks out of the pool.

A queue is longer than what is answered before the next model ranks it again. Mismatch-first
therefore chooses batch by batch, each from a shortlist of five times as many.

Measured: random, mean entropy, max-entropy and the default were compared on two public music
sets, instrument clips (two feature sets) and simulated libraries; none is best everywhere. The
default was measured with a shortlist of the whole pool, which is farthest-first traversal, and
not yet in batches. docs/experiments.md has the table.

References
----------
.. [1] Zhao, Heittola & Virtanen, "An active learning method using clustering and
   committee-based sample selection for sound event classification", IWAENC 2018
   (mismatch-first farthest-traversal).
.. [2] Settles, "Active learning literature survey", 2009 (entropy, margin).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.acquisition.distances import farthest_traversal, nearest_labelled, standardised
from ml.errors import ParameterError
from ml.types import Bools, FloatArray, Floats, Indices, LabelMatrix

#: In a larger pool only a random sample is ranked, another one every round.
MAX_CANDIDATES = 50_000
#: More labelled tracks than this are represented by a random sample.
MAX_LABELLED = 20_000
#: Farthest traversal considers this many times as many tracks as it chooses at once.
SHORTLIST_FACTOR = 5
#: Number of uncertain labels in a reason.
LABELS_IN_A_REASON = 3
_EPSILON = 1e-7


@dataclass(frozen=True)
class Pool:
    """All tracks that a round may consider, labelled or not.

    Attributes
    ----------
    labelled_mask : bool array (n,); True tracks are never chosen, they are what is known.
    probabilities : float array (n, n_labels), calibrated, of one model version; None without a
        model.
    features : float32 array (n, d) of all tracks, on any scale; None before extraction.
    labels : LabelMatrix (n, n_labels); rows of tracks that are not labelled are ignored.
    thresholds : float array (n_labels,) of the model; None: 0.5.
    albums : (n,) of any sortable type, "" or negative where unknown; None: all unknown.
    """

    labelled_mask: Bools
    probabilities: Floats | None = None
    features: Floats | None = None
    labels: LabelMatrix | None = None
    thresholds: Floats | None = None
    albums: npt.NDArray[Any] | None = None

    def __post_init__(self) -> None:
        n_tracks = len(self.labelled_mask)
        for name in ("probabilities", "features", "albums"):
            value = getattr(self, name)
            if value is not None and len(value) != n_tracks:
                raise ParameterError(
                    f"{name} has {len(value)} rows; it needs one per track ({n_tracks})"
                )
        if self.labels is not None and self.labels.n_tracks != n_tracks:
            raise ParameterError(
                f"labels has {self.labels.n_tracks} rows; it needs one per track ({n_tracks})"
            )

    @property
    def is_cold(self) -> bool:
        """True while there is no model, no features or no labelled track."""
        parts = (self.probabilities, self.features, self.labels)
        return any(part is None for part in parts) or not self.labelled_mask.any()

    def decision_thresholds(self) -> Floats:
        """Return the thresholds above which the model gives a label.

        Returns
        -------
        float array (n_labels,); 0.5 when the model has none.
        """
        if self.thresholds is not None:
            return self.thresholds
        return np.full(0 if self.probabilities is None else self.probabilities.shape[1], 0.5)


@dataclass(frozen=True)
class Choice:
    """One chosen track.

    Attributes
    ----------
    index : row in the pool.
    score : rank value, higher means chosen earlier.
    probability : probability with which it was drawn; None for strategies that are not random.
    reason : JSON-able. Always `strategy`; with a model `uncertain` [{label, probability}]; for
        mismatch-first also `mismatch` [label], `neighbour` (row of the nearest labelled track),
        `distance` and `novelty` (share of the candidates that are closer to a labelled track,
        0 to 1).
    """

    index: int
    score: float
    probability: float | None
    reason: dict[str, Any]


def label_entropy(probabilities: Floats) -> Floats:
    """Compute the mean binary entropy over labels [2]_.

    Do not use it alone: it can rank worse than random order (docs/experiments.md).

    Parameters
    ----------
    probabilities : float array (n, n_labels) in [0, 1].

    Returns
    -------
    float array (n,), in nats.

    Examples
    --------
    >>> label_entropy(np.array([[0.5, 0.5], [0.5, 1.0]])).round(4).tolist()
    [0.6931, 0.3466]
    """
    return binary_entropy(probabilities).mean(axis=1)


def max_entropy(probabilities: Floats) -> Floats:
    """Compute the binary entropy of the most uncertain label [2]_.

    Parameters
    ----------
    probabilities : float array (n, n_labels) in [0, 1].

    Returns
    -------
    float array (n,), in nats.

    Examples
    --------
    >>> max_entropy(np.array([[0.5, 1.0], [0.9, 1.0]])).round(4).tolist()
    [0.6931, 0.3251]
    """
    return binary_entropy(probabilities).max(axis=1)


def margin(probabilities: Floats, thresholds: Floats) -> Floats:
    """Compute minus the smallest distance between a probability and its threshold [2]_.

    With thresholds of 0.5 it ranks as `max_entropy`; with tuned thresholds rare labels count
    too.

    Parameters
    ----------
    probabilities : float array (n, n_labels) in [0, 1].
    thresholds : float array (n_labels,) in [0, 1].

    Returns
    -------
    float array (n,) in [-1, 0].

    Examples
    --------
    >>> margin(np.array([[0.5, 0.5], [0.9, 0.9]]), np.array([0.5, 0.2])).round(4).tolist()
    [-0.0, -0.4]
    """
    return -np.abs(probabilities - thresholds).min(axis=1)


def binary_entropy(probabilities: Floats) -> Floats:
    """Compute -p log p - (1 - p) log(1 - p), which is 0 at both ends.

    Parameters
    ----------
    probabilities : float array of any shape, in [0, 1].

    Returns
    -------
    float array of the same shape, in nats.

    Examples
    --------
    >>> binary_entropy(np.array([0.5, 0.9])).round(4).tolist()
    [0.6931, 0.3251]
    """
    p = np.clip(probabilities, _EPSILON, 1 - _EPSILON)
    return -p * np.log(p) - (1 - p) * np.log1p(-p)


def label_mismatch(predicted: Bools, neighbour: LabelMatrix) -> tuple[Floats, Bools]:
    """Compare two predictions of the same tracks, on labels judged for the neighbour.

    Parameters
    ----------
    predicted : bool array (m, n_labels), by the model at its thresholds.
    neighbour : LabelMatrix (m, n_labels), labels of each track's nearest labelled track.

    Returns
    -------
    degree : float array (m,) in [0, 1], the Jaccard distance of the two label sets.
    differs : bool array (m, n_labels).

    Examples
    --------
    >>> given = np.array([[True, False, True]])
    >>> neighbour = LabelMatrix(given, np.ones((1, 3), bool))
    >>> degree, differs = label_mismatch(np.array([[True, True, False]]), neighbour)
    >>> degree.round(4).tolist(), differs.tolist()
    ([0.6667], [[False, True, True]])
    """
    given = neighbour.labels & neighbour.label_mask
    predicted = predicted & neighbour.label_mask
    differs = predicted != given
    union = (predicted | given).sum(axis=1)
    return differs.sum(axis=1) / np.maximum(union, 1), differs


def mismatch_first_farthest(
    pool: Pool,
    candidates: Indices,
    k: int,
    rng: np.random.Generator,
    cap_per_album: int,
    batch: int,
) -> list[Choice]:
    """Choose by mismatch-first farthest-traversal [1]_, the default strategy.

    1. Each candidate gets two predictions: from the model at its thresholds, and from the
       labels of the nearest labelled track.
    2. Candidates whose predictions differ come first; the `SHORTLIST_FACTOR` x `batch` that
       differ most form a shortlist.
    3. Farthest traversal over the shortlist spreads a batch of tracks.
    4. The next batch starts from the candidates that are left, and keeps away from the chosen.

    Parameters
    ----------
    pool : the tracks of the round.
    candidates : int array (m,), rows of `pool` that may be chosen.
    k : number of tracks, >= 0.
    rng : source of ties and draws.
    cap_per_album : tracks taken from one album in a batch before the other albums are
        considered.
    batch : tracks that are answered before the next model, >= 1.

    Returns
    -------
    list of Choice, at most k.

    Raises
    ------
    ParameterError : the pool has no probabilities, features or labels.
    """
    if pool.probabilities is None or pool.features is None or pool.labels is None:
        raise ParameterError(
            "mismatch-first needs probabilities, features and labels; use random without them"
        )
    labelled = _sample(np.flatnonzero(pool.labelled_mask), MAX_LABELLED, rng)
    points = standardised(pool.features[np.concatenate([candidates, labelled])])
    points, known = points[: len(candidates)], points[len(candidates) :]
    rows, distances = nearest_labelled(points, known)
    predicted = pool.probabilities[candidates] >= pool.decision_thresholds()
    degree, differs = label_mismatch(predicted, pool.labels.rows(labelled[rows]))
    novelty = _share_below(distances)
    chosen = _chosen_in_batches(
        np.lexsort((rng.random(len(candidates)), -degree)),
        points,
        distances,
        (degree > 0).astype(int),
        _album_codes(pool, candidates),
        (k, batch, cap_per_album),
    )
    return [
        Choice(
            int(candidates[row]),
            float(degree[row]),
            None,
            {
                **_reason(pool, int(candidates[row]), "mismatch-first"),
                "mismatch": np.flatnonzero(differs[row]).tolist(),
                "neighbour": int(labelled[rows[row]]),
                "distance": float(distances[row]),
                "novelty": float(novelty[row]),
            },
        )
        for row in chosen
    ]


def _chosen_in_batches(
    order: Indices,
    points: FloatArray,
    distances: FloatArray,
    tiers: Indices,
    albums: Indices,
    sizes: tuple[int, int, int],
) -> list[int]:
    """Return at most k rows: batches of farthest traversal, each over the first rows in order.

    `order` has the rows by mismatch, `distances` is to the nearest labelled track, `sizes` is
    (k, batch, cap_per_album).
    """
    k, batch, cap_per_album = sizes
    left, chosen = order, np.zeros(0, dtype=np.intp)
    while len(chosen) < k and len(left):
        short = left[: SHORTLIST_FACTOR * batch]
        nearest = distances[short]
        if len(chosen):
            nearest = np.minimum(nearest, nearest_labelled(points[short], points[chosen])[1])
        n = min(batch, k - len(chosen))
        picked = farthest_traversal(
            points[short], nearest, tiers[short], albums[short], n, cap_per_album
        )
        chosen = np.concatenate([chosen, short[picked]])
        left = left[~np.isin(left, short[picked])]
    return [int(row) for row in chosen]


def uniform_random(
    pool: Pool,
    candidates: Indices,
    k: int,
    rng: np.random.Generator,
    cap_per_album: int,
    batch: int,
) -> list[Choice]:
    """Choose each candidate with the same probability.

    Parameters
    ----------
    pool : the tracks of the round.
    candidates : int array (m,), rows of `pool` that may be chosen.
    k : number of tracks, >= 0.
    rng : source of ties and draws.
    cap_per_album, batch : ignored, so that the probability is known.

    Returns
    -------
    list of Choice, at most k.
    """
    drawn = rng.permutation(candidates)[:k]
    probability = len(drawn) / max(1, len(candidates))
    return [
        Choice(int(index), 0.0, probability, _reason(pool, int(index), "random"))
        for index in drawn
    ]


Strategy = Callable[[Pool, Indices, int, np.random.Generator, int, int], list[Choice]]


def _by_score(name: str, score: Callable[[Pool, Indices], Floats]) -> Strategy:
    """Make a strategy that takes the highest scores; ties are random, albums are capped."""

    def strategy(
        pool: Pool,
        candidates: Indices,
        k: int,
        rng: np.random.Generator,
        cap_per_album: int,
        batch: int,
    ) -> list[Choice]:
        scores = score(pool, candidates)
        order = np.lexsort((rng.random(len(candidates)), -scores))
        passes = _album_passes(_album_codes(pool, candidates[order]), cap_per_album)
        order = order[np.argsort(passes, kind="stable")][:k]
        return [
            Choice(
                int(candidates[row]),
                float(scores[row]),
                None,
                _reason(pool, int(candidates[row]), name),
            )
            for row in order
        ]

    return strategy


def _probabilities(pool: Pool, candidates: Indices) -> Floats:
    if pool.probabilities is None:
        raise ParameterError(
            "this strategy needs the probabilities of a model: train one first"
        )
    return pool.probabilities[candidates]


#: Every strategy that a library can use; "default" means DEFAULT_STRATEGY.
STRATEGIES: dict[str, Strategy] = {
    "mismatch-first": mismatch_first_farthest,
    "random": uniform_random,
    "entropy": _by_score("entropy", lambda pool, at: label_entropy(_probabilities(pool, at))),
    "max-entropy": _by_score(
        "max-entropy", lambda pool, at: max_entropy(_probabilities(pool, at))
    ),
    "margin": _by_score(
        "margin", lambda pool, at: margin(_probabilities(pool, at), pool.decision_thresholds())
    ),
}
DEFAULT_STRATEGY = "mismatch-first"


def choose_tracks(
    pool: Pool,
    k: int,
    *,
    strategy: str = "default",
    seed: int = 0,
    cap_per_album: int = 2,
    max_candidates: int = MAX_CANDIDATES,
    batch: int | None = None,
) -> list[Choice]:
    """Choose at most k unlabelled tracks, in the order in which to ask about them.

    A cold pool (without model, features or labels) is drawn from at random, whatever the
    strategy. In a pool larger than `max_candidates` a seeded random sample is ranked.

    Parameters
    ----------
    pool : the tracks of the round.
    k : number of tracks, >= 0.
    strategy : a name in `STRATEGIES`, or "default".
    seed : seed of ties, draws and samples.
    cap_per_album : tracks taken from one album before the other albums are considered, >= 1.
    max_candidates : size of the sample.
    batch : tracks that are answered before the next model ranks the rest again, >= 1; the
        default strategy chooses in batches of so many. None: all k at once.

    Returns
    -------
    list of Choice without repeats; shorter than k only when the pool is.

    Raises
    ------
    ParameterError : the strategy is unknown, k is below 0, or the cap or the batch below 1.

    Examples
    --------
    >>> pool = Pool(labelled_mask=np.array([True, False, False]))
    >>> sorted(choice.index for choice in choose_tracks(pool, 5))
    [1, 2]
    """
    name = DEFAULT_STRATEGY if strategy == "default" else strategy
    if name not in STRATEGIES:
        known = ", ".join(sorted(STRATEGIES))
        raise ParameterError(f"unknown strategy {strategy!r}: choose one of {known}")
    if k < 0 or cap_per_album < 1:
        raise ParameterError(
            f"k is {k} and cap_per_album {cap_per_album}; they must be >= 0 and >= 1"
        )
    if batch is not None and batch < 1:
        raise ParameterError(f"batch is {batch}; it must be >= 1")
    rng = np.random.default_rng(seed)
    candidates = np.flatnonzero(~pool.labelled_mask)
    if len(candidates) == 0 or k == 0:
        return []
    if pool.is_cold or name == "random":
        drawn = uniform_random(pool, candidates, k, rng, cap_per_album, batch or k)
        return [_marked_cold(choice, is_cold=pool.is_cold) for choice in drawn]
    part = _sample(candidates, max(max_candidates, k), rng)
    return STRATEGIES[name](pool, part, k, rng, cap_per_album, batch or k)


def shares(
    batch: int,
    *,
    audit: float,
    overlap: float,
    repeat: float,
    explore: float,
    start: int = 0,
) -> list[str]:
    """Interleave the strata over slots `start` to `start + batch` of one endless sequence.

    Every prefix of the sequence contains each stratum within one slot of its share (the quota
    method of apportionment: Balinski & Young, "Fair Representation", 1982), so no curator waits
    long for any stratum. "acquire" takes what the four shares leave.

    Parameters
    ----------
    batch : number of slots.
    audit, overlap, repeat, explore : shares in [0, 1], in steps of 0.001, at most 1 in total.
    start : first slot.

    Returns
    -------
    list of strata: audit, overlap, repeat, explore or acquire.

    Raises
    ------
    ParameterError : a share is negative, or they add up to more than 1.

    Examples
    --------
    >>> shares(5, audit=0.2, overlap=0.2, repeat=0.0, explore=0.2)
    ['acquire', 'audit', 'overlap', 'explore', 'acquire']
    """
    given = {"audit": audit, "overlap": overlap, "repeat": repeat, "explore": explore}
    parts = {name: round(share * 1_000) for name, share in given.items()}
    parts["acquire"] = 1_000 - sum(parts.values())
    if min(parts.values()) < 0:
        raise ParameterError(f"shares {given} must be >= 0 and add up to at most 1")
    counts = dict.fromkeys(parts, 0)
    first = start % 1_000
    slots: list[str] = []
    for slot in range(1, first + batch + 1):
        due = [name for name in parts if counts[name] * 1_000 < parts[name] * slot]
        name = min(due, key=lambda stratum: (counts[stratum] + 1) / parts[stratum])
        counts[name] += 1
        slots.append(name)
    return slots[first:]


def _marked_cold(choice: Choice, *, is_cold: bool) -> Choice:
    return replace(choice, reason={**choice.reason, "is_cold_start": is_cold})


def _reason(pool: Pool, index: int, strategy: str) -> dict[str, Any]:
    if pool.probabilities is None:
        return {"strategy": strategy, "uncertain": []}
    row = pool.probabilities[index]
    top = np.argsort(-binary_entropy(row), kind="stable")[:LABELS_IN_A_REASON]
    uncertain = [{"label": int(label), "probability": float(row[label])} for label in top]
    return {"strategy": strategy, "uncertain": uncertain}


def _sample(rows: Indices, at_most: int, rng: np.random.Generator) -> Indices:
    if len(rows) <= at_most:
        return rows
    return np.sort(rng.choice(rows, at_most, replace=False))


def _share_below(distances: FloatArray) -> Floats:
    ranked = np.sort(distances)
    return np.searchsorted(ranked, distances, side="left") / len(distances)


def _album_codes(pool: Pool, rows: Indices) -> Indices:
    if pool.albums is None:
        return np.full(len(rows), -1)
    values = pool.albums[rows]
    codes = np.unique(values, return_inverse=True)[1].reshape(-1)
    is_unknown = values < 0 if values.dtype.kind in "if" else values == ""
    return np.where(is_unknown, -1, codes)


def _album_passes(albums: Indices, cap_per_album: int) -> Indices:
    """Return the pass of each row when each pass takes `cap_per_album` rows of an album."""
    order = np.argsort(albums, kind="stable")
    ranked = albums[order]
    starts = np.flatnonzero(np.append(True, np.diff(ranked) != 0))
    lengths = np.diff(np.append(starts, len(ranked)))
    places = np.empty(len(albums), dtype=np.intp)
    places[order] = np.arange(len(albums)) - np.repeat(starts, lengths)
    return np.where(albums < 0, 0, places // cap_per_album)
