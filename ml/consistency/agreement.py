"""Agreement of annotators, with each other and with themselves.

Stage: consistency. Numpy only.

Conventions
-----------
- A `PairTable` counts the tracks that both judged, for one label or for whole label sets.
- Chance-corrected statistics are shown together, with positive agreement and n: for a label on
  1 % of the tracks kappa exaggerates disagreement and AC1 hides it.
- A statistic that cannot be computed is None, never 0 and never 1.

References
----------
.. [1] Cohen, "A coefficient of agreement for nominal scales", Educ. Psychol. Meas. 20, 1960.
.. [2] Krippendorff, "Content Analysis", 3rd edition 2013, chapter 12.
.. [3] Gwet, "Computing inter-rater reliability and its variance in the presence of high
   agreement", Brit. J. Math. Stat. Psychol. 61, 2008 (AC1).
.. [4] Cicchetti & Feinstein, "High agreement but low kappa: II", J. Clin. Epidemiol. 43, 1990.
.. [5] Passonneau, "Measuring agreement on set-valued items (MASI)", LREC 2006.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.types import Bools, Floats, Indices, LabelMatrix

#: With fewer tracks that both gave a label, its statistics are unreliable.
MINIMUM_JOINT_POSITIVES = 10
#: With more distinct label sets than this, distances are computed on a seeded sample.
_MAX_SETS = 2_000
#: Rows of their table of distances at a time: 8 MB.
_SETS_A_BLOCK = 250


class Agreement(TypedDict):
    """Agreement statistics of two series of answers to one label; the keys are JSON keys.

    Attributes
    ----------
    n : tracks that both judged.
    agreement : share of equal answers.
    kappa, alpha, ac1 : corrected for chance [1]_ [2]_ [3]_, at most 1.
    positive_agreement : the F1 of one annotator against the other [4]_.
    """

    n: int
    agreement: float | None
    kappa: float | None
    alpha: float | None
    ac1: float | None
    positive_agreement: float | None


class SetAgreement(Agreement):
    """Agreement statistics of whole label sets; the keys are JSON keys.

    Attributes
    ----------
    jaccard : mean over tracks of shared / named labels. The others as in `set_figures`.
    """

    jaccard: float | None


@dataclass(frozen=True)
class PairTable:
    """Tracks that two annotators judged for one label, by their answers.

    Attributes
    ----------
    both, first_only, second_only, neither : numbers of tracks, >= 0.
    """

    both: int
    first_only: int
    second_only: int
    neither: int

    @property
    def n(self) -> int:
        """Tracks that both judged."""
        return self.both + self.first_only + self.second_only + self.neither

    def square(self) -> Floats:
        """Return the table as an array.

        Returns
        -------
        float64 array (2, 2) of counts: rows are the first annotator's answers (yes, no),
        columns the second's.
        """
        return np.array([[self.both, self.first_only], [self.second_only, self.neither]], float)

    def figures(self) -> Agreement:
        """Compute all statistics of the table.

        Returns
        -------
        Agreement : JSON-able.

        Examples
        --------
        >>> figures = PairTable(20, 5, 10, 15).figures()
        >>> figures["n"], round(figures["kappa"], 4), round(figures["positive_agreement"], 4)
        (50, 0.4, 0.7273)
        """
        square = self.square()
        return {
            "n": self.n,
            "agreement": raw_agreement(square),
            "kappa": cohen_kappa(square),
            "alpha": alpha_of_pairs(square),
            "ac1": gwet_ac1(square),
            "positive_agreement": positive_agreement(self),
        }


def pair_tables(first: LabelMatrix, second: LabelMatrix) -> list[PairTable]:
    """Count one table per label for two annotators' answers to the same tracks.

    Parameters
    ----------
    first, second : LabelMatrix (n_tracks, n_labels), row by row the same tracks; a cell counts
        when both judged it.

    Returns
    -------
    list of PairTable, one per label.

    Raises
    ------
    ParameterError : the shapes differ.

    Examples
    --------
    >>> judged = np.ones((3, 1), bool)
    >>> first = LabelMatrix(np.array([[True], [True], [False]]), judged)
    >>> second = LabelMatrix(np.array([[True], [False], [False]]), judged)
    >>> pair_tables(first, second)
    [PairTable(both=1, first_only=1, second_only=0, neither=1)]
    """
    if first.labels.shape != second.labels.shape:
        raise ParameterError(
            f"the answers must have equal shapes: {first.labels.shape}, {second.labels.shape}"
        )
    judged = first.label_mask & second.label_mask
    a, b = first.labels, second.labels
    cells = (judged & a & b, judged & a & ~b, judged & ~a & b, judged & ~a & ~b)
    counts = np.array([cell.sum(axis=0) for cell in cells])
    return [PairTable(*(int(count) for count in column)) for column in counts.T]


def raw_agreement(square: Floats) -> float | None:
    """Compute the share of equal answers.

    Parameters
    ----------
    square : float array (2, 2) or (k, k) of counts; rows are the first annotator's answers,
        columns the second's.

    Returns
    -------
    float in [0, 1], or None for an empty table.

    Examples
    --------
    >>> raw_agreement(np.array([[20.0, 5.0], [10.0, 15.0]]))
    0.7
    """
    total = square.sum()
    return float(np.trace(square) / total) if total else None


def cohen_kappa(square: Floats) -> float | None:
    """Compute Cohen's kappa [1]_.

    Parameters
    ----------
    square : float array (2, 2) or (k, k) of counts; rows are the first annotator's answers,
        columns the second's.

    Returns
    -------
    float in [-1, 1], or None for an empty table or when both always gave the same single
    answer.

    Examples
    --------
    >>> round(cohen_kappa(np.array([[20.0, 5.0], [10.0, 15.0]])), 4)
    0.4
    """
    return _kappa(float(np.trace(square)), square.sum(axis=1), square.sum(axis=0))


def _kappa(same: float, first: Floats, second: Floats) -> float | None:
    """Compute kappa from the margins: how often each gave each category (n_categories,)."""
    total = float(first.sum())
    if not total:
        return None
    return _corrected(same / total, float(first @ second) / total**2)


def gwet_ac1(square: Floats) -> float | None:
    """Compute Gwet's AC1 [3]_.

    Parameters
    ----------
    square : float array (2, 2) or (k, k) of counts; rows are the first annotator's answers,
        columns the second's.

    Returns
    -------
    float <= 1, or None for an empty table.

    Examples
    --------
    >>> round(gwet_ac1(np.array([[118., 5.], [2., 0.]])), 4)
    0.9408
    """
    return _ac1(float(np.trace(square)), square.sum(axis=1), square.sum(axis=0))


def _ac1(same: float, first: Floats, second: Floats) -> float | None:
    total, n_categories = float(first.sum()), len(first)
    if not total or n_categories < 2:
        return None
    shares = (first + second) / (2 * total)
    chance = float((shares * (1 - shares)).sum()) / (n_categories - 1)
    return _corrected(same / total, chance)


def alpha_of_pairs(square: Floats) -> float | None:
    """Compute Krippendorff's nominal alpha [2]_ of two annotators.

    Parameters
    ----------
    square : float array (2, 2) or (k, k) of counts; rows are the first annotator's answers,
        columns the second's.

    Returns
    -------
    float <= 1, or None for an empty table or when all answers are the same.

    Examples
    --------
    >>> round(alpha_of_pairs(np.array([[20.0, 5.0], [10.0, 15.0]])), 4)
    0.4
    """
    coincidences = square + square.T
    return _nominal_alpha(coincidences)


def positive_agreement(table: PairTable) -> float | None:
    """Compute 2 both / (2 both + first only + second only) [4]_: F1 of one against the other.

    Parameters
    ----------
    table : counts for one label.

    Returns
    -------
    float in [0, 1], or None when neither annotator gave the label.

    Examples
    --------
    >>> round(positive_agreement(PairTable(3, 1, 2, 90)), 4)
    0.6667
    """
    named = 2 * table.both + table.first_only + table.second_only
    return 2 * table.both / named if named else None


def _corrected(observed: float, chance: float) -> float | None:
    return None if chance >= 1 else (observed - chance) / (1 - chance)


def krippendorff_alpha(values: npt.NDArray[np.int_], judged: Bools) -> float | None:
    """Compute nominal alpha for any number of annotators with missing answers [2]_.

    Parameters
    ----------
    values : int array (n_annotators, n_tracks), category of each answer, >= 0.
    judged : bool array of the same shape; False: no answer.

    Returns
    -------
    float <= 1, or None when no track has two answers or all answers are the same.

    Examples
    --------
    >>> values = np.array([[1, 0, 1, 0], [1, 0, 0, 0]])
    >>> round(krippendorff_alpha(values, np.ones((2, 4), bool)), 4)
    0.5333
    """
    n_categories = int(values[judged].max(initial=0)) + 1
    counts = np.zeros((values.shape[1], n_categories))
    tracks = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    np.add.at(counts, (tracks[judged], values[judged]), 1)
    answers = counts.sum(axis=1)
    counts, answers = counts[answers >= 2], answers[answers >= 2]
    weighted = counts / (answers - 1)[:, None]
    return _nominal_alpha(weighted.T @ counts - np.diag(weighted.sum(axis=0)))


def _nominal_alpha(coincidences: Floats) -> float | None:
    totals = coincidences.sum(axis=0)
    n = float(totals.sum())
    expected = n * n - float((totals**2).sum())
    if n < 2 or expected <= 0:
        return None
    observed = n - float(np.trace(coincidences))
    return 1 - (n - 1) * observed / expected


def masi_distance(a: Bools, b: Bools) -> Floats:
    """Compute 1 - Jaccard x monotonicity [5]_ between label sets.

    Monotonicity is 1 for equal sets, 2/3 when one contains the other, 1/3 when they overlap and
    0 when they are disjoint. Two empty sets are equal; an empty and another set are disjoint.

    Parameters
    ----------
    a, b : bool arrays (..., n_labels); leading axes broadcast.

    Returns
    -------
    float64 array of the leading axes, in [0, 1].

    Examples
    --------
    >>> a, b = np.array([True, True, False]), np.array([True, False, False])
    >>> round(float(masi_distance(a, b)), 4)
    0.6667
    """
    return _masi((a & b).sum(axis=-1), a.sum(axis=-1), b.sum(axis=-1))


def _masi(
    shared: npt.NDArray[Any], size_a: npt.NDArray[Any], size_b: npt.NDArray[Any]
) -> Floats:
    """Compute the MASI distance from numbers of labels: in both, in one, in the other."""
    union, smaller = size_a + size_b - shared, np.minimum(size_a, size_b)
    weight = np.select(
        [shared == union, (shared == smaller) & (shared > 0), shared > 0], [1, 2 / 3, 1 / 3], 0
    )
    jaccard = np.where(union > 0, shared / np.maximum(union, 1), 1.0)
    return 1 - jaccard * weight


def set_alpha(sets: Bools, tracks: npt.NDArray[Any], seed: int = 0) -> float | None:
    """Compute Krippendorff's alpha over whole label sets with the MASI distance [5]_.

    Parameters
    ----------
    sets : bool array (n_answers, n_labels), one row per answer.
    tracks : (n_answers,) of any sortable type; answers to the same track are compared.
    seed : seed of the sample from which chance agreement is estimated when there are more than
        2,000 distinct sets.

    Returns
    -------
    float <= 1, or None when no track has two answers or all answers are the same.

    Examples
    --------
    >>> sets = np.array([[True, False], [True, False], [False, True], [True, True]])
    >>> round(set_alpha(sets, np.array([1, 1, 2, 2])), 4)
    0.5
    """
    order = np.argsort(tracks, kind="stable")
    ordered = np.asarray(tracks)[order]
    _, unit, sizes = np.unique(ordered, return_inverse=True, return_counts=True)
    is_paired = sizes[unit] >= 2
    pairable, unit = order[is_paired], unit[is_paired]
    if not len(pairable):
        return None
    within = 0.0
    for step in range(1, int(sizes.max())):  # each answer with the one `step` further on
        earlier = np.flatnonzero(unit[step:] == unit[:-step])
        distances = masi_distance(sets[pairable[earlier]], sets[pairable[earlier + step]])
        within += float((2 * distances / (sizes[unit[earlier]] - 1)).sum())
    expected = _mean_distance(sets[pairable], np.random.default_rng(seed))
    return None if expected <= 0 else 1 - (within / len(pairable)) / expected


def _mean_distance(sets: Bools, rng: np.random.Generator) -> float:
    """Compute the mean MASI distance over all ordered pairs of two different answers."""
    first, _, counts = _distinct(sets)
    if len(first) > _MAX_SETS:
        sets = sets[rng.choice(len(sets), _MAX_SETS, replace=False)]
        first, _, counts = _distinct(sets)
    distinct = sets[first].astype(np.float32)  # represents counts of labels exactly
    sizes = sets[first].sum(axis=1)
    total = 0.0
    for start in range(0, len(distinct), _SETS_A_BLOCK):
        part = slice(start, start + _SETS_A_BLOCK)
        shared = (distinct[part] @ distinct.T).astype(np.int_)
        total += float(counts[part] @ _masi(shared, sizes[part, None], sizes[None]) @ counts)
    n = int(counts.sum())
    return total / (n * (n - 1))


def _distinct(sets: Bools) -> tuple[Indices, Indices, Indices]:
    """Return (row of the first, number of its set for each row, how often) of distinct sets."""
    packed = np.packbits(sets, axis=1)
    if not packed.shape[1]:  # no label at all: every set is the empty one
        packed = np.zeros((len(sets), 1), dtype=np.uint8)
    keys = np.ascontiguousarray(packed).view(f"V{packed.shape[1]}").reshape(-1)
    _, first, codes, counts = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )
    return first, codes.reshape(-1), counts


def set_figures(first: LabelMatrix, second: LabelMatrix) -> SetAgreement:
    """Compute the agreement of two annotators on whole label sets.

    `agreement` is the share of equal sets and `alpha` uses the MASI distance. `kappa` and `ac1`
    treat each set as one category (computed from how often each annotator gave each set, so
    memory grows with the answers and not with the square of the sets). `positive_agreement`
    covers all cells together; `jaccard` is the mean over tracks of shared / named labels.

    Parameters
    ----------
    first, second : LabelMatrix (n_tracks, n_labels), row by row the same tracks. Labels that
        one of the two did not judge are ignored; a track counts when both judged any label.

    Returns
    -------
    SetAgreement : JSON-able.

    Examples
    --------
    >>> judged = np.ones((2, 2), bool)
    >>> first = LabelMatrix(np.array([[True, False], [True, True]]), judged)
    >>> second = LabelMatrix(np.array([[True, False], [True, False]]), judged)
    >>> figures = set_figures(first, second)
    >>> figures["agreement"], figures["jaccard"]
    (0.5, 0.75)
    """
    both = first.label_mask & second.label_mask
    rows = np.flatnonzero(both.any(axis=1))
    a, b = (first.labels & both)[rows], (second.labels & both)[rows]
    n = len(rows)
    sets = np.concatenate([a, b])
    same, of_a, of_b = _set_margins(a, b)
    shared, union = (a & b).sum(axis=1), (a | b).sum(axis=1)
    jaccard = np.where(union > 0, shared / np.maximum(union, 1), 1.0)
    flat = PairTable(int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum()), 0)
    return {
        "n": n,
        "agreement": same / n if n else None,
        "jaccard": float(jaccard.mean()) if n else None,
        "kappa": _kappa(same, of_a, of_b),
        "alpha": set_alpha(sets, np.tile(np.arange(n), 2)),
        "ac1": _ac1(same, of_a, of_b),
        "positive_agreement": positive_agreement(flat),
    }


def _set_margins(a: Bools, b: Bools) -> tuple[float, Floats, Floats]:
    """Return (tracks with equal sets, how often the first gave each set, the second)."""
    _, codes, counts = _distinct(np.concatenate([a, b]))
    in_a, in_b = codes[: len(a)], codes[len(a) :]
    of_a, of_b = (np.bincount(one, minlength=len(counts)) for one in (in_a, in_b))
    return float((in_a == in_b).sum()), of_a.astype(float), of_b.astype(float)


def consecutive_pairs(
    tracks: list[Hashable], answered_at: npt.NDArray[Any]
) -> tuple[Indices, Indices]:
    """Pair each repeat of one annotator with their previous answer to the same track.

    Parameters
    ----------
    tracks : track of each answer.
    answered_at : (n_answers,) of any sortable type.

    Returns
    -------
    earlier, later : int arrays (n_pairs,), rows of the answers; empty without repeats.

    Examples
    --------
    >>> earlier, later = consecutive_pairs(["a", "b", "a"], np.array([1, 2, 3]))
    >>> earlier.tolist(), later.tolist()
    ([0], [2])
    """
    last: dict[Hashable, int] = {}
    pairs: list[tuple[int, int]] = []
    for row in np.argsort(answered_at, kind="stable"):
        track = tracks[row]
        if track in last:
            pairs.append((last[track], int(row)))
        last[track] = int(row)
    found = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def self_agreement(
    answers: LabelMatrix, tracks: list[Hashable], answered_at: npt.NDArray[Any]
) -> tuple[list[Agreement], SetAgreement]:
    """Compute the agreement of one annotator with themselves over consecutive repeats.

    Parameters
    ----------
    answers : LabelMatrix (n_answers, n_labels), one row per answer, repeats included.
    tracks, answered_at : track and time of each answer.

    Returns
    -------
    by_label : list of Agreement, one per label.
    by_set : SetAgreement, over whole label sets.

    Examples
    --------
    >>> answers = LabelMatrix(np.array([[True], [False], [True]]), np.ones((3, 1), bool))
    >>> by_label, by_set = self_agreement(answers, ["a", "b", "a"], np.arange(3))
    >>> by_label[0]["n"], by_set["agreement"]
    (1, 1.0)
    """
    earlier, later = consecutive_pairs(tracks, answered_at)
    before, after = answers.rows(earlier), answers.rows(later)
    tables = [table.figures() for table in pair_tables(before, after)]
    return tables, set_figures(before, after)
