"""Consensus of all facets of a library, by one of four methods. Numpy only.

Stage: consistency and snapshot. Snapshots, reference labels and the export use this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ml.consistency.aggregation import count_votes, majority, one_coin, plurality
from ml.consistency.facet_consensus import (
    ANY_NUMBER,
    FacetLimits,
    facet_consensus,
    settled_labels,
)
from ml.errors import ParameterError
from ml.types import Doubles, Indices, LabelMatrix, require_choice

#: The methods; the first is the default (docs/decisions/0018-consensus-by-facet.md).
AGGREGATIONS = ("facet", "one-coin", "majority", "plurality")
#: Digits of a probability that are kept, so that rounding errors do not reach a hash.
_DIGITS = 4


@dataclass(frozen=True)
class Ballots:
    """Answers of several annotators to all facets.

    Attributes
    ----------
    answers : LabelMatrix (n_answers, n_labels), one row per annotator and track.
    tracks, annotators : int (n_answers,), track and annotator of each answer, from 0.
    ranks : int (n_answers,); where an answer of a higher rank judged a label of a track, those
        of lower ranks are not used for it.
    facets : int (n_labels,), the facet of each label.
    n_tracks : number of tracks.

    Raises
    ------
    ParameterError : an array has another length.
    """

    answers: LabelMatrix
    tracks: Indices
    annotators: Indices
    ranks: Indices
    facets: Sequence[int]
    n_tracks: int

    def __post_init__(self) -> None:
        n = self.answers.n_tracks
        if {len(self.tracks), len(self.annotators), len(self.ranks)} != {n}:
            raise ParameterError(f"tracks, annotators and ranks must have {n} entries each")
        if len(self.facets) != self.answers.n_labels:
            raise ParameterError(
                f"{len(self.facets)} facets for {self.answers.n_labels} labels: give one each"
            )

    def of_highest_rank(self) -> LabelMatrix:
        """Return the answers without those that a higher rank overrides, label by label.

        Returns
        -------
        LabelMatrix (n_answers, n_labels).
        """
        answers = self.answers
        if len(np.unique(self.ranks)) < 2:
            return answers
        given = np.where(answers.label_mask, self.ranks[:, None], -1).astype(np.int8)
        highest = np.full((self.n_tracks, answers.n_labels), -1, dtype=np.int8)
        np.maximum.at(highest, self.tracks, given)
        return LabelMatrix(answers.labels, answers.label_mask & (given == highest[self.tracks]))


@dataclass(frozen=True)
class Combined:
    """The answers of several annotators as one.

    Attributes
    ----------
    matrix : LabelMatrix (n_tracks, n_labels), what is settled; `soft` has the probabilities of
        the method "facet", unless all are 0 or 1.
    probabilities : float64 (n_tracks, n_labels), probability that the label applies; for votes
        the share of the yeses; 0 where nobody judged.
    n_answers : int of the same shape, number of annotators who judged.
    """

    matrix: LabelMatrix
    probabilities: Doubles
    n_answers: Indices


def combined(
    ballots: Ballots, method: str, limits: Mapping[int, FacetLimits] | None = None
) -> Combined:
    """Combine the answers of several annotators to each track.

    Parameters
    ----------
    ballots : the answers. method : one of `AGGREGATIONS`.
    limits : how many labels of a facet a track may carry, for the method "facet".

    Returns
    -------
    Combined

    Raises
    ------
    ParameterError : the method is unknown, or an index is out of range.

    Examples
    --------
    Two disagree about the genre and agree about the mood:

    >>> given = np.array([[1, 0, 1], [0, 1, 1]], dtype=bool)
    >>> answers = LabelMatrix(given, np.ones((2, 3), bool))
    >>> both, none = np.array([0, 1]), np.zeros(2, int)
    >>> ballots = Ballots(answers, none, both, none, [7, 7, 8], 1)
    >>> found = combined(ballots, "facet")
    >>> found.probabilities.round(1).tolist(), found.matrix.label_mask.tolist()
    ([[0.5, 0.5, 1.0]], [[False, False, True]])
    """
    require_choice("aggregation", method, AGGREGATIONS)
    answers, tracks, n_tracks = ballots.of_highest_rank(), ballots.tracks, ballots.n_tracks
    if method == "facet":
        return _by_facet(ballots, answers, limits or {})
    yes, judged = count_votes(answers, tracks, n_tracks)
    share: Doubles = np.divide(yes, judged, out=np.zeros(yes.shape), where=judged > 0)
    if method == "majority":
        return Combined(majority(answers, tracks, n_tracks), share, judged)
    if method == "plurality":
        matrix = _joined(
            ballots, answers, lambda one, rows: plurality(one, tracks[rows], n_tracks)
        )
        return Combined(matrix, share, judged)
    n_people = int(ballots.annotators.max(initial=-1)) + 1
    coins = one_coin(answers, tracks, ballots.annotators, n_tracks, n_people)
    probabilities = coins.probabilities.astype(np.float64)
    return Combined(coins.hard(), probabilities, judged)


def _by_facet(
    ballots: Ballots, answers: LabelMatrix, limits: Mapping[int, FacetLimits]
) -> Combined:
    n_people = int(ballots.annotators.max(initial=-1)) + 1
    shape = (ballots.n_tracks, answers.n_labels)
    probabilities, n_answers = np.full(shape, np.nan), np.zeros(shape, dtype=np.intp)
    for rows, columns in _parts(ballots):
        found = facet_consensus(
            _block(answers, rows, columns),
            ballots.tracks[rows],
            ballots.annotators[rows],
            ballots.n_tracks,
            n_people,
            limits.get(ballots.facets[columns[0]], ANY_NUMBER),
        )
        rounded = np.round(found.probabilities, _DIGITS)
        own = probabilities[:, columns]
        probabilities[:, columns] = np.where(found.label_mask, rounded, own)
        n_answers[:, columns] += found.n_answers
    return Combined(
        settled_labels(probabilities), np.where(n_answers > 0, probabilities, 0.0), n_answers
    )


def _joined(
    ballots: Ballots,
    answers: LabelMatrix,
    combine: Callable[[LabelMatrix, Indices], LabelMatrix],
) -> LabelMatrix:
    """Combine each rank and facet on its own; no cell has answers of two ranks."""
    labels, mask = np.zeros((2, ballots.n_tracks, answers.n_labels), dtype=bool)
    for rows, columns in _parts(ballots):
        found = combine(_block(answers, rows, columns), rows)
        labels[:, columns] |= found.labels & found.label_mask
        mask[:, columns] |= found.label_mask
    return LabelMatrix(labels, mask)


def _parts(ballots: Ballots) -> Iterator[tuple[Indices, Indices]]:
    """Yield the rows and columns of each rank and facet.

    An answer of a lower rank that is left for a few labels is not an answer to the facet.
    """
    facets = np.asarray(ballots.facets)
    for rank in np.unique(ballots.ranks):
        rows = np.flatnonzero(ballots.ranks == rank)
        for facet in dict.fromkeys(ballots.facets):
            yield rows, np.flatnonzero(facets == facet)


def _block(answers: LabelMatrix, rows: Indices, columns: Indices) -> LabelMatrix:
    block = np.ix_(rows, columns)
    return LabelMatrix(answers.labels[block], answers.label_mask[block])
