"""Facet consensus: what several annotators together say about one facet of a track.

Stage: consistency and snapshot. Numpy only. The answer to a facet is a set of labels, and each
annotator has one accuracy for the whole facet. A facet whose answers name one label has a
categorical one-coin model [1]_: an annotator names the true label with probability a, and
otherwise any other one. If answers name a few labels, each of them is right with probability a,
and the number of labels has a distribution of its own. If they name many, an annotator has a
hit rate and a false-positive rate [2]_.

Disagreement that the answers cannot settle keeps a probability in between; it is never a no.

References
----------
.. [1] Dawid & Skene, "Maximum likelihood estimation of observer error-rates using the EM
   algorithm", Applied Statistics 28, 1979, with one error rate per observer.
.. [2] Raykar et al., "Learning from crowds", JMLR 11, 2010 (sensitivity and specificity, with
   Beta priors).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.consistency.aggregation import count_votes, require_votes
from ml.consistency.categorical import fit_categorical
from ml.consistency.counted_sets import MOST_COUNTED, fit_counted_sets
from ml.consistency.label_by_label import fit_label_by_label
from ml.consistency.overlap import FacetAccuracy, Overlap, RightBefore, overlap_of
from ml.errors import ParameterError
from ml.types import Bools, Doubles, Indices, LabelMatrix

#: Probabilities that settle a label. A no takes more: of ten labels that are equally probable,
#: each would be a no otherwise, although one of them applies.
SURE_YES, SURE_NO = 0.8, 0.05
#: Answers that the mean of all labels counts as, in the base rate of a label.
_MEAN_COUNTS_AS = 20.0


@dataclass(frozen=True)
class FacetLimits:
    """Limits of the number of labels of a facet that a track may carry.

    Attributes
    ----------
    least : the fewest labels. most : the most labels; 0 means as many as one likes.
    """

    least: int = 0
    most: int = 0

    def __post_init__(self) -> None:
        if self.least < 0 or self.most < 0:
            raise ParameterError(f"limits {self.least} and {self.most} must not be negative")


ANY_NUMBER = FacetLimits()
MOSTLY_RIGHT = RightBefore()


@dataclass(frozen=True)
class FacetConsensus:
    """Consensus about the labels of one facet.

    Attributes
    ----------
    probabilities : float64 (n_tracks, n_labels), probability that the label applies; 0 or 1
        where one annotator answered, 0 where nobody did.
    label_mask : bool of the same shape; True where somebody judged.
    n_answers : int of the same shape, number of annotators who judged.
    people : how often each annotator is right.
    """

    probabilities: Doubles
    label_mask: Bools
    n_answers: Indices
    people: FacetAccuracy

    def settled(self) -> LabelMatrix:
        """Return the labels that are settled, with the probabilities as soft targets.

        Returns
        -------
        LabelMatrix (n_tracks, n_labels); `soft` is the probability where somebody judged.
        """
        return settled_labels(np.where(self.label_mask, self.probabilities, np.nan))


def settled_labels(probabilities: Doubles) -> LabelMatrix:
    """Return the labels that probabilities settle: yes from 0.8 on, no up to 0.05.

    Parameters
    ----------
    probabilities : float64 (n_tracks, n_labels); NaN where nobody judged.

    Returns
    -------
    LabelMatrix (n_tracks, n_labels); not judged in between. Its `soft` has the probabilities,
    unless all of them are 0 or 1.

    Examples
    --------
    >>> found = settled_labels(np.array([[0.9, 0.5, 0.04, np.nan]]))
    >>> found.labels.tolist(), found.label_mask.tolist()
    ([[True, False, False, False]], [[True, False, True, False]])
    """
    with np.errstate(invalid="ignore"):
        yes, no = probabilities >= SURE_YES, probabilities <= SURE_NO
        is_soft = (probabilities > 0) & (probabilities < 1)
    soft = probabilities.astype(np.float32) if is_soft.any() else None
    return LabelMatrix(yes, yes | no, soft)


def facet_consensus(
    answers: LabelMatrix,
    tracks: Indices,
    annotators: Indices,
    n_tracks: int,
    n_annotators: int,
    limits: FacetLimits = ANY_NUMBER,
    before: RightBefore = MOSTLY_RIGHT,
) -> FacetConsensus:
    """Fit one accuracy per annotator to the answers to one facet, by EM.

    Parameters
    ----------
    answers : LabelMatrix (n_answers, n_labels), the labels of one facet, one row per answer.
    tracks, annotators : int arrays (n_answers,), track and annotator of each answer.
    n_tracks, n_annotators : their numbers.
    limits : how many labels a track may carry.
    before : Beta prior on an annotator's accuracy.

    Returns
    -------
    FacetConsensus : where one annotator answered, the answer is unchanged.

    Raises
    ------
    ParameterError : `tracks` or `annotators` has another length or an index out of range.

    Examples
    --------
    Two say rock, one says pop; then one says rock and one says pop:

    >>> given = np.array([[1, 0], [1, 0], [0, 1], [1, 0], [0, 1]], dtype=bool)
    >>> answers = LabelMatrix(given, np.ones((5, 2), bool))
    >>> tracks, people = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 1])
    >>> found = facet_consensus(answers, tracks, people, 2, 3)
    >>> found.probabilities.round(1).tolist()
    [[0.9, 0.1], [0.6, 0.4]]
    """
    require_votes(answers, tracks, annotators, n_tracks, n_annotators)
    yes, judged = count_votes(answers, tracks, n_tracks)
    probabilities = np.divide(yes, judged, out=np.zeros(yes.shape), where=judged > 0)
    overlap = overlap_of(answers, tracks, annotators, n_annotators)
    people = FacetAccuracy.nothing(n_annotators)
    if overlap is not None:
        rates = _label_rates(yes.sum(axis=0), judged.sum(axis=0))
        is_single = _names_one_label(overlap, limits)
        if is_single:
            posterior, people = fit_categorical(overlap, rates, before)
        elif _names_few_labels(overlap):
            least, most = limits.least, limits.most
            posterior, people = fit_counted_sets(overlap, rates, least, most, before)
        else:
            posterior, people = fit_label_by_label(overlap, rates, before)
        places = overlap.track_numbers
        # With one label per answer, a yes for another label is an answer about this one too.
        is_open = judged[places] >= (1 if is_single else 2)
        probabilities[places] = np.where(is_open, posterior, probabilities[places])
    return FacetConsensus(probabilities, judged > 0, judged, people)


def _label_rates(yes: Indices, judged: Indices) -> Doubles:
    """Return the share of yes among the answers, drawn to the mean where there are few."""
    mean = (yes.sum() + 0.5) / (judged.sum() + 1.0)
    return np.asarray((yes + _MEAN_COUNTS_AS * mean) / (judged + _MEAN_COUNTS_AS))


def _names_one_label(overlap: Overlap, limits: FacetLimits) -> bool:
    """Return whether an answer names one label, by the limits or, without them, by the answers.

    Answers in which most blanks are unknown do not show that there was only one label.
    """
    if limits.most == 1 or overlap.answers.n_labels == 1:
        return True
    if limits.most > 1 or not _is_complete(overlap):
        return False
    return bool(overlap.yes.sum(axis=1).max() <= 1)


def _names_few_labels(overlap: Overlap) -> bool:
    """Return whether answers are complete and name so few labels that they can be counted."""
    mean = overlap.yes.sum(axis=1).mean()
    return bool(_is_complete(overlap) and mean <= MOST_COUNTED / 2)


def _is_complete(overlap: Overlap) -> bool:
    return bool(overlap.answers.label_mask.mean() >= 0.5)
