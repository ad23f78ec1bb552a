"""Which tracks to ask about next: scores, choices, and the reasons that a curator reads.

Stage: acquire, after predict. Numpy only. Scoring is apart from choosing: a score is a number
per track, a strategy turns scores and distances into an ordered choice. Audit tracks never
come in here: the caller leaves them out of the pool.

Measured: random, mean entropy, max-entropy and the default were compared on two public music
sets, instrument clips (two feature sets) and simulated libraries; none is best everywhere.
Called with k = the length of the queue, the shortlist of the default is the whole pool, so it
amounts to farthest-first traversal. Its area under the learning curve (macro AP), less that of
random order, is -.0147 on the dense-label music set, about 0 on the other, +.0095 and +.0458 on
the clips, +.0192 on simulated libraries. docs/experiments.md has the table.

Sources
-------
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

from ml.acquisition.distances import Indices, farthest_traversal, nearest_labelled, standardised
from ml.errors import ParameterError
from ml.types import Bools, Floats, LabelMatrix

#: A larger pool is ranked on a random part of it, another one every round.
MAX_CANDIDATES = 50_000
#: More labelled tracks than this are represented by a random part of them.
MAX_LABELLED = 20_000
#: Farthest traversal walks over this many times as many tracks as are wanted.
SHORTLIST_FACTOR = 5
#: How many uncertain labels a reason names.
LABELS_IN_A_REASON = 3
_EPSILON = 1e-7


@dataclass(frozen=True)
class Pool:
    """All tracks that a round may look at, labelled or not.

    Attributes
    ----------
    labelled_mask : bool (n,); True tracks are never chosen, they say what is known.
    probabilities : float (n, n_labels), calibrated, of one model version; None: no model yet.
    features : float32 (n, d), any scale, of all tracks; None: none extracted yet.
    labels : what was judged, (n, n_labels); rows of tracks not labelled are not read.
    thresholds : float (n_labels,), the model's own cuts; None: 0.5.
    albums : (n,) any sortable type, "" or negative where unknown; None: all unknown.
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
                raise ParameterError(f"{name} has {len(value)} rows, not {n_tracks}")
        if self.labels is not None and self.labels.n_tracks != n_tracks:
            raise ParameterError(f"labels has {self.labels.n_tracks} rows, not {n_tracks}")

    @property
    def is_cold(self) -> bool:
        """True while there is no model, no feature or no labelled track to compare with."""
        parts = (self.probabilities, self.features, self.labels)
        return any(part is None for part in parts) or not self.labelled_mask.any()

    def cuts(self) -> Floats:
        """Thresholds (n_labels,), 0.5 where the model has none."""
        if self.thresholds is not None:
            return self.thresholds
        return np.full(0 if self.probabilities is None else self.probabilities.shape[1], 0.5)


@dataclass(frozen=True)
class Choice:
    """One chosen track.

    Attributes
    ----------
    index : row in the pool. score : what it was ranked by, larger is more wanted.
    probability : chance with which it came in; None where the strategy is not random.
    reason : JSON-able. Always `strategy`; with a model `uncertain` [{label, probability}];
        for mismatch-first also `mismatch` [label], `neighbour` (row of the nearest labelled
        track), `distance` and `novelty` (share of the candidates that lie nearer to
        something labelled, 0 to 1).
    """

    index: int
    score: float
    probability: float | None
    reason: dict[str, Any]


def label_entropy(probabilities: Floats) -> Floats:
    """Mean binary entropy over labels in nats, (n, n_labels) -> (n,). Never use it alone."""
    return binary_entropy(probabilities).mean(axis=1)


def max_entropy(probabilities: Floats) -> Floats:
    """Binary entropy of the most uncertain label in nats, (n, n_labels) -> (n,) [2]_."""
    return binary_entropy(probabilities).max(axis=1)


def margin(probabilities: Floats, thresholds: Floats) -> Floats:
    """Minus the distance of the nearest label to its own cut, (n, n_labels) -> (n,) in [-1, 0].

    With cuts of 0.5 it orders as `max_entropy`; with tuned cuts rare labels take part.
    """
    return -np.abs(probabilities - thresholds).min(axis=1)


def binary_entropy(probabilities: Floats) -> Floats:
    """-p log p - (1 - p) log(1 - p) in nats, of the same shape, 0 at both ends."""
    p = np.clip(probabilities, _EPSILON, 1 - _EPSILON)
    return -p * np.log(p) - (1 - p) * np.log1p(-p)


def label_mismatch(predicted: Bools, neighbour: LabelMatrix) -> tuple[Floats, Bools]:
    """How far two predictions of the same tracks differ, over what the neighbour was asked.

    Parameters
    ----------
    predicted : bool (m, n_labels), by the model at its cuts.
    neighbour : labels of the nearest labelled track of each, (m, n_labels).

    Returns
    -------
    degree : float (m,) in [0, 1], the Jaccard distance of the two label sets.
    differs : bool (m, n_labels).
    """
    given = neighbour.labels & neighbour.label_mask
    predicted = predicted & neighbour.label_mask
    differs = predicted != given
    union = (predicted | given).sum(axis=1)
    return differs.sum(axis=1) / np.maximum(union, 1), differs


def mismatch_first_farthest(
    pool: Pool, candidates: Indices, k: int, rng: np.random.Generator, cap_per_album: int
) -> list[Choice]:
    """The default strategy [1]_.

    1. Each candidate is predicted twice: by the model at its cuts, and by the labels of the
       nearest labelled track.
    2. Those whose two predictions differ come first, the largest difference on a shortlist.
    3. Farthest traversal over the shortlist spreads the choice.
    """
    if pool.probabilities is None or pool.features is None or pool.labels is None:
        raise ParameterError("mismatch-first needs probabilities, features and labels")
    labelled = _sample(np.flatnonzero(pool.labelled_mask), MAX_LABELLED, rng)
    points = standardised(pool.features[np.concatenate([candidates, labelled])])
    points, known = points[: len(candidates)], points[len(candidates) :]
    rows, distances = nearest_labelled(points, known)
    predicted = pool.probabilities[candidates] >= pool.cuts()
    degree, differs = label_mismatch(predicted, pool.labels.rows(labelled[rows]))
    novelty = _share_below(distances)

    order = np.lexsort((rng.random(len(candidates)), -degree))
    short = order[: max(SHORTLIST_FACTOR * k, 100)]
    walk = farthest_traversal(
        points[short],
        distances[short],
        (degree[short] > 0).astype(int),
        _album_codes(pool, candidates[short]),
        k,
        cap_per_album,
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
        for row in short[walk]
    ]


def uniform_random(
    pool: Pool, candidates: Indices, k: int, rng: np.random.Generator, cap_per_album: int
) -> list[Choice]:
    """Every candidate with the same chance; no cap, so that the chance is known."""
    drawn = rng.permutation(candidates)[:k]
    probability = len(drawn) / max(1, len(candidates))
    return [
        Choice(int(index), 0.0, probability, _reason(pool, int(index), "random"))
        for index in drawn
    ]


Strategy = Callable[[Pool, Indices, int, np.random.Generator, int], list[Choice]]


def _by_score(name: str, score: Callable[[Pool, Indices], Floats]) -> Strategy:
    """Make a strategy that takes the largest scores, ties by chance, capped per album."""

    def strategy(
        pool: Pool, candidates: Indices, k: int, rng: np.random.Generator, cap_per_album: int
    ) -> list[Choice]:
        scores = score(pool, candidates)
        order = np.lexsort((rng.random(len(candidates)), -scores))
        turns = _album_turns(_album_codes(pool, candidates[order]), cap_per_album)
        order = order[np.argsort(turns, kind="stable")][:k]
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
        raise ParameterError("a score needs the probabilities of a model")
    return pool.probabilities[candidates]


#: Every strategy that a library can be set to; "default" is what DEFAULT_STRATEGY names.
STRATEGIES: dict[str, Strategy] = {
    "mismatch-first": mismatch_first_farthest,
    "random": uniform_random,
    "entropy": _by_score("entropy", lambda pool, at: label_entropy(_probabilities(pool, at))),
    "max-entropy": _by_score(
        "max-entropy", lambda pool, at: max_entropy(_probabilities(pool, at))
    ),
    "margin": _by_score(
        "margin", lambda pool, at: margin(_probabilities(pool, at), pool.cuts())
    ),
}
DEFAULT_STRATEGY = "mismatch-first"


def choose(
    pool: Pool,
    k: int,
    *,
    strategy: str = "default",
    seed: int = 0,
    cap_per_album: int = 2,
    max_candidates: int = MAX_CANDIDATES,
) -> list[Choice]:
    """Choose at most k tracks that are not labelled, the most wanted first.

    A cold pool (no model, features or labels yet) is drawn from at random, whatever the
    strategy. A pool larger than `max_candidates` is ranked on a seeded random part.

    Parameters
    ----------
    pool : the tracks. k : how many. strategy : a name in `STRATEGIES`, or "default".
    seed : of ties, draws and parts. cap_per_album : at least 1.

    Returns
    -------
    list of Choice without repeats; shorter than k only when the pool is.

    Raises
    ------
    ParameterError : unknown strategy, k below 0 or cap below 1.
    """
    name = DEFAULT_STRATEGY if strategy == "default" else strategy
    if name not in STRATEGIES:
        raise ParameterError(f"strategy {strategy!r} is not one of {sorted(STRATEGIES)}")
    if k < 0 or cap_per_album < 1:
        raise ParameterError(f"k {k} must be >= 0 and cap_per_album {cap_per_album} >= 1")
    rng = np.random.default_rng(seed)
    candidates = np.flatnonzero(~pool.labelled_mask)
    if len(candidates) == 0 or k == 0:
        return []
    if pool.is_cold or name == "random":
        drawn = uniform_random(pool, candidates, k, rng, cap_per_album)
        return [_marked_cold(choice, is_cold=pool.is_cold) for choice in drawn]
    part = _sample(candidates, max(max_candidates, k), rng)
    return STRATEGIES[name](pool, part, k, rng, cap_per_album)


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

    Every beginning of the sequence holds each stratum within one of its share (the quota
    method of apportionment: Balinski & Young, "Fair Representation", 1982), so no curator
    waits long for any of them. What the four shares leave is "acquire".

    Parameters
    ----------
    audit, overlap, repeat, explore : in [0, 1], counted in thousandths, together at most 1.

    Returns
    -------
    list of batch names out of audit, overlap, repeat, explore, acquire.
    """
    given = {"audit": audit, "overlap": overlap, "repeat": repeat, "explore": explore}
    parts = {name: round(share * 1_000) for name, share in given.items()}
    parts["acquire"] = 1_000 - sum(parts.values())
    if min(parts.values()) < 0:
        raise ParameterError(f"shares {given} must be >= 0 and together at most 1")
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


def _share_below(distances: npt.NDArray[np.float32]) -> Floats:
    ranked = np.sort(distances)
    return np.searchsorted(ranked, distances, side="left") / len(distances)


def _album_codes(pool: Pool, rows: Indices) -> Indices:
    if pool.albums is None:
        return np.full(len(rows), -1)
    values = pool.albums[rows]
    codes = np.unique(values, return_inverse=True)[1].reshape(-1)
    is_unknown = values < 0 if values.dtype.kind in "if" else values == ""
    return np.where(is_unknown, -1, codes)


def _album_turns(albums: Indices, cap_per_album: int) -> Indices:
    """In which turn each row comes when an album sends `cap_per_album` rows a turn."""
    order = np.argsort(albums, kind="stable")
    ranked = albums[order]
    starts = np.flatnonzero(np.append(True, np.diff(ranked) != 0))
    lengths = np.diff(np.append(starts, len(ranked)))
    places = np.empty(len(albums), dtype=np.intp)
    places[order] = np.arange(len(albums)) - np.repeat(starts, lengths)
    return np.where(albums < 0, 0, places // cap_per_album)
