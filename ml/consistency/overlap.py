"""Overlapping answers: the tracks that two or more annotators judged, and sums over them.

Stage: consistency and snapshot. Numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from ml.types import Bools, Doubles, Indices, LabelMatrix

#: Rounds of an EM fit, and the change of an accuracy at which it ends.
MAX_ROUNDS = 200
TOLERANCE = 1e-4
_CHUNK = 2_000


@dataclass(frozen=True)
class RightBefore:
    """Beta prior on the probability that an annotator is right.

    Attributes
    ----------
    right, wrong : answers that count as seen before, both > 0; 4 of 5 right by default.
    """

    right: float = 4.0
    wrong: float = 1.0

    @property
    def n(self) -> float:
        """Number of answers that count as seen before."""
        return self.right + self.wrong


@dataclass(frozen=True)
class FacetAccuracy:
    """Accuracy of annotators in one facet.

    Attributes
    ----------
    values : float64 (n_annotators,), probability that an answer is right. If answers name
        several labels: how well the labels named agree with those that apply, twice the labels
        in common divided by the sum of both numbers. NaN without an overlapping answer.
    errors : float64 (n_annotators,), standard error of the log odds of `values`. It contains
        that the truth and the accuracy of the others are estimates too.
    support : int (n_annotators,), number of overlapping answers.
    """

    values: Doubles
    errors: Doubles
    support: Indices

    @classmethod
    def nothing(cls, n_annotators: int) -> Self:
        """Return figures of annotators who share no track.

        Parameters
        ----------
        n_annotators : their number.

        Returns
        -------
        FacetAccuracy : all NaN.
        """
        unknown = np.full(n_annotators, np.nan)
        return cls(unknown, unknown.copy(), np.zeros(n_annotators, dtype=np.intp))


@dataclass(frozen=True)
class Overlap:
    """Answers to tracks that two or more annotators judged, ordered by track.

    Attributes
    ----------
    answers : LabelMatrix (n_answers, n_labels).
    tracks : int (n_answers,), 0 .. n_tracks - 1, ascending. annotators : int (n_answers,).
    track_numbers : int (n_tracks,), the track's number among all tracks.
    n_annotators : number of annotators, with those that do not overlap.
    yes : bool (n_answers, n_labels), judged yes. starts : int (n_tracks,), the first answer of
        each track. is_judged : bool (n_tracks, n_labels), judged by anybody.
    """

    answers: LabelMatrix
    tracks: Indices
    annotators: Indices
    track_numbers: Indices
    n_annotators: int
    yes: Bools = field(init=False)
    starts: Indices = field(init=False)
    is_judged: Bools = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "yes", self.answers.labels & self.answers.label_mask)
        starts = np.searchsorted(self.tracks, np.arange(len(self.track_numbers)))
        object.__setattr__(self, "starts", starts)
        is_judged = np.logical_or.reduceat(self.answers.label_mask, starts, axis=0)
        object.__setattr__(self, "is_judged", is_judged)

    def by_track(self, values: Doubles) -> Doubles:
        """Return the sums of an array over the answers to each track.

        Parameters
        ----------
        values : float64 (n_answers, ...).

        Returns
        -------
        float64 (n_tracks, ...).
        """
        return np.asarray(np.add.reduceat(values, self.starts, axis=0))

    def by_annotator(self, values: Doubles) -> Doubles:
        """Return the sums of an array over the answers of each annotator.

        Parameters
        ----------
        values : float64 (n_answers,).

        Returns
        -------
        float64 (n_annotators,).
        """
        sums = np.bincount(self.annotators, values, minlength=self.n_annotators)
        return sums.astype(np.float64)

    def every(self, step: int) -> Overlap:
        """Return the answers to every n-th track.

        Parameters
        ----------
        step : n, >= 1.

        Returns
        -------
        Overlap
        """
        rows = np.flatnonzero(self.tracks % step == 0)
        return Overlap(
            self.answers.rows(rows),
            self.tracks[rows] // step,
            self.annotators[rows],
            self.track_numbers[::step],
            self.n_annotators,
        )

    def information(self, *scores: Doubles) -> Doubles:
        """Return the information about the annotators' parameters, by outer products.

        Parameters
        ----------
        scores : float64 (n_answers,) each, derivatives of the log likelihood with respect to
            one parameter of the annotator who gave the answer.

        Returns
        -------
        float64 (n_scores x n_annotators, n_scores x n_annotators), the sum over tracks of the
        outer products of their scores.

        References
        ----------
        .. [1] Berndt, Hall, Hall & Hausman, "Estimation and inference in nonlinear structural
           models", Annals of Economic and Social Measurement 3, 1974.
        """
        n, width = len(self.track_numbers), len(scores) * self.n_annotators
        whole = np.zeros((width, width))
        for first in range(0, n, _CHUNK):
            size = min(_CHUNK, n - first)
            rows = slice(*np.searchsorted(self.tracks, [first, first + size]))
            own = np.zeros((size, width))
            for number, score in enumerate(scores):
                columns = self.annotators[rows] + number * self.n_annotators
                np.add.at(own, (self.tracks[rows] - first, columns), score[rows])
            whole += own.T @ own
        return whole


def overlap_of(
    answers: LabelMatrix, tracks: Indices, annotators: Indices, n_annotators: int
) -> Overlap | None:
    """Return the answers to tracks that two or more annotators judged; None without any.

    Parameters
    ----------
    answers : LabelMatrix (n_answers, n_labels). tracks, annotators : int (n_answers,).
    n_annotators : number of annotators.

    Returns
    -------
    Overlap, or None.

    Examples
    --------
    >>> answers = LabelMatrix(np.ones((3, 1), bool), np.ones((3, 1), bool))
    >>> found = overlap_of(answers, np.array([4, 7, 4]), np.array([0, 0, 1]), 2)
    >>> found.track_numbers.tolist(), found.annotators.tolist()
    ([4], [0, 1])
    """
    rows = np.flatnonzero(answers.label_mask.any(axis=1))
    rows = rows[np.lexsort((annotators[rows], tracks[rows]))]
    _, which, n_each = np.unique(tracks[rows], return_inverse=True, return_counts=True)
    is_shared = n_each[which] >= 2
    rows = rows[is_shared]
    if not len(rows):
        return None
    shared, places = np.unique(tracks[rows], return_inverse=True)
    return Overlap(
        answers.rows(rows), places.reshape(-1), annotators[rows], shared, n_annotators
    )


def covariance(information: Doubles, prior_precision: Doubles) -> Doubles:
    """Return the covariance of parameters from their information and independent priors.

    Parameters
    ----------
    information : float64 (n, n). prior_precision : float64 (n,), > 0.

    Returns
    -------
    float64 (n, n).
    """
    return np.asarray(np.linalg.inv(information + np.diag(prior_precision)), dtype=np.float64)
