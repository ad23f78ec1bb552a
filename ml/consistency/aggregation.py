"""Label aggregation by votes and label by label; by facet in `ml.consistency.facet_consensus`.

Stage: consistency and snapshot. Numpy only. Without overlap there is no evidence about who is
right, so a track with one answer always keeps that answer.

Votes and one-coin treat each label on its own. If annotators name one label out of many, every
label has more noes than yeses, and disagreement becomes a no to all of them
(docs/decisions/0018-consensus-by-facet.md).

Sources: Dawid & Skene, "Maximum likelihood estimation of observer error-rates using the EM
algorithm", Applied Statistics 28, 1979; Raykar et al., "Learning from crowds", JMLR 11, 2010
(Beta priors on the annotators).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.types import Bools, Floats, Indices, LabelMatrix

#: Beta prior on the probability that an annotator is right: as if 4 of 5 answers had been.
RIGHT_BEFORE, WRONG_BEFORE = 4.0, 1.0
_MAX_ROUNDS = 200
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Consensus:
    """Consensus of several annotators.

    Attributes
    ----------
    probabilities : float64 array (n_tracks, n_labels), probability that the label applies; 0 or
        1 where one annotator judged; 0 where nobody did.
    label_mask : bool array of the same shape; True where somebody judged.
    n_answers : int array of the same shape, number of annotators who judged.
    accuracy : float64 array (n_annotators, n_labels), estimated share of right answers on
        tracks that two or more judged; NaN without such a track.
    """

    probabilities: Floats
    label_mask: Bools
    n_answers: npt.NDArray[np.int_]
    accuracy: Floats

    def hard(self) -> LabelMatrix:
        """Return the labels with a probability above one half.

        Returns
        -------
        LabelMatrix (n_tracks, n_labels); a probability of exactly one half counts as not
        judged.
        """
        is_open = np.isclose(self.probabilities, 0.5)
        labels = (self.probabilities > 0.5) & ~is_open
        return LabelMatrix(labels & self.label_mask, self.label_mask & ~is_open)


def majority(answers: LabelMatrix, tracks: Indices, n_tracks: int) -> LabelMatrix:
    """Return what most annotators answered for each track and label.

    Parameters
    ----------
    answers : LabelMatrix (n_answers, n_labels), one row per annotator and track.
    tracks : int array (n_answers,), track of each answer, 0 .. n_tracks - 1.
    n_tracks : number of tracks.

    Returns
    -------
    LabelMatrix (n_tracks, n_labels); a tie counts as not judged.

    Raises
    ------
    ParameterError : `tracks` has another length or an index out of range.

    Examples
    --------
    >>> given = np.array([[True], [True], [False], [False], [True]])
    >>> answers = LabelMatrix(given, np.ones((5, 1), bool))
    >>> found = majority(answers, np.array([0, 0, 0, 1, 1]), 2)
    >>> found.labels[:, 0].tolist(), found.label_mask[:, 0].tolist()
    ([True, False], [True, False])
    """
    _validate(answers, tracks, n_tracks)
    yes, judged = count_votes(answers, tracks, n_tracks)
    return LabelMatrix(2 * yes > judged, (judged > 0) & (2 * yes != judged))


def plurality(answers: LabelMatrix, tracks: Indices, n_tracks: int) -> LabelMatrix:
    """Return the labels of one facet that most annotators named, as many as they name.

    A track gets as many labels as its answers name on average, rounded half up.

    Parameters
    ----------
    answers : LabelMatrix (n_answers, n_labels), the labels of one facet, one row per answer.
    tracks : int array (n_answers,), track of each answer. n_tracks : number of tracks.

    Returns
    -------
    LabelMatrix (n_tracks, n_labels); labels that tie for the last place count as not judged.

    Raises
    ------
    ParameterError : `tracks` has another length or an index out of range.

    Examples
    --------
    >>> given = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=bool)
    >>> answers = LabelMatrix(given, np.ones((4, 3), bool))
    >>> plurality(answers, np.zeros(4, int), 1).labels.tolist()
    [[True, False, False]]
    >>> found = plurality(answers, np.array([0, 0, 1, 1]), 2)
    >>> found.label_mask.tolist()
    [[True, True, True], [True, False, False]]
    """
    _validate(answers, tracks, n_tracks)
    yes, judged = count_votes(answers, tracks, n_tracks)
    is_answer = answers.label_mask.any(axis=1)
    n_each = np.bincount(tracks[is_answer], minlength=n_tracks)
    size = np.floor(yes.sum(axis=1) / np.maximum(n_each, 1) + 0.5).astype(np.intp)
    ranked = -np.sort(-yes, axis=1)
    ranked = np.column_stack([ranked, np.zeros(n_tracks, dtype=ranked.dtype)])
    places = np.arange(n_tracks)
    last, beyond = ranked[places, np.maximum(size - 1, 0)], ranked[places, size]
    is_tie = (last == beyond) & (size > 0)
    wins = yes >= (last + is_tie)[:, None]
    labels = (yes > 0) & wins & (size > 0)[:, None]
    is_open = is_tie[:, None] & (yes == last[:, None]) & (yes > 0)
    return LabelMatrix(labels, (judged > 0) & ~is_open)


def one_coin(
    answers: LabelMatrix,
    tracks: Indices,
    annotators: Indices,
    n_tracks: int,
    n_annotators: int,
) -> Consensus:
    """Fit Dawid-Skene with one accuracy per annotator and label, by EM, each label on its own.

    Parameters
    ----------
    answers : LabelMatrix (n_answers, n_labels), one row per answer.
    tracks, annotators : int arrays (n_answers,), track and annotator of each answer.
    n_tracks, n_annotators : their numbers.

    Returns
    -------
    Consensus : the posterior of each label, a soft target for training.

    Raises
    ------
    ParameterError : `tracks` or `annotators` has another length or an index out of range.

    Examples
    --------
    >>> given = np.array([[True], [True], [False]])
    >>> answers = LabelMatrix(given, np.ones((3, 1), bool))
    >>> found = one_coin(answers, np.array([0, 0, 0]), np.array([0, 1, 2]), 1, 3)
    >>> found.probabilities.round(2).tolist(), found.n_answers.tolist()
    ([[0.95]], [[3]])
    """
    require_votes(answers, tracks, annotators, n_tracks, n_annotators)
    yes, judged = count_votes(answers, tracks, n_tracks)
    share = np.divide(yes, judged, out=np.zeros_like(yes, dtype=float), where=judged > 0)
    probabilities = share.copy()
    accuracy = np.full((n_annotators, answers.n_labels), np.nan)
    for label in range(answers.n_labels):
        rows = answers.label_mask[:, label] & (judged[tracks, label] >= 2)
        if not rows.any():
            continue
        given = answers.labels[rows, label]
        posterior, right = _one_label(given, tracks[rows], annotators[rows], share[:, label])
        overlapped = np.unique(tracks[rows])
        probabilities[overlapped, label] = posterior[overlapped]
        seen = np.unique(annotators[rows])
        accuracy[seen, label] = right[seen]
    return Consensus(probabilities, judged > 0, judged, accuracy)


def _one_label(
    given: Bools, tracks: Indices, annotators: Indices, share: Floats
) -> tuple[Floats, Floats]:
    """Run EM for one label over its overlapping answers: posterior (n_tracks,), accuracy."""
    there = np.unique(tracks)
    posterior = share.copy()
    n_each = np.bincount(annotators)
    for _ in range(_MAX_ROUNDS):
        agrees = np.where(given, posterior[tracks], 1 - posterior[tracks])
        right = np.bincount(annotators, agrees) + RIGHT_BEFORE
        right = right / (n_each + RIGHT_BEFORE + WRONG_BEFORE)
        rate = (posterior[there].sum() + 1) / (len(there) + 2)
        weight = np.log(right) - np.log1p(-right)
        evidence = np.where(given, weight[annotators], -weight[annotators])
        log_odds = np.bincount(tracks, evidence, minlength=len(share))
        log_odds += np.log(rate) - np.log1p(-rate)
        new = 1 / (1 + np.exp(-np.clip(log_odds, -500, 500)))
        change = np.abs(new[there] - posterior[there]).max()
        posterior[there] = new[there]
        if change < _TOLERANCE:
            break
    return posterior, right


def count_votes(
    answers: LabelMatrix, tracks: Indices, n_tracks: int
) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    """Return how many annotators judged each label of each track yes, and how many judged it.

    Parameters
    ----------
    answers : LabelMatrix (n_answers, n_labels). tracks : int (n_answers,).
    n_tracks : number of tracks.

    Returns
    -------
    tuple of int arrays (n_tracks, n_labels).

    Examples
    --------
    >>> answers = LabelMatrix(np.array([[True], [False]]), np.ones((2, 1), bool))
    >>> yes, judged = count_votes(answers, np.array([0, 0]), 1)
    >>> yes.tolist(), judged.tolist()
    ([[1]], [[2]])
    """
    yes = np.zeros((n_tracks, answers.n_labels), dtype=np.int_)
    judged = np.zeros_like(yes)
    np.add.at(yes, tracks, answers.labels & answers.label_mask)
    np.add.at(judged, tracks, answers.label_mask)
    return yes, judged


def require_votes(
    answers: LabelMatrix,
    tracks: Indices,
    annotators: Indices,
    n_tracks: int,
    n_annotators: int,
) -> None:
    """Raise an error unless every answer has a track and an annotator.

    Parameters
    ----------
    answers : LabelMatrix (n_answers, n_labels). tracks, annotators : int (n_answers,).
    n_tracks, n_annotators : their numbers.

    Raises
    ------
    ParameterError : an array has another length or an index out of range.
    """
    _validate(answers, tracks, n_tracks)
    is_inside = annotators.min(initial=0) >= 0 and annotators.max(initial=-1) < n_annotators
    if len(annotators) != answers.n_tracks or not is_inside:
        raise ParameterError(
            f"annotators must be one index in 0..{n_annotators - 1} per answer"
        )


def _validate(answers: LabelMatrix, tracks: Indices, n_tracks: int) -> None:
    if len(tracks) != answers.n_tracks:
        raise ParameterError(
            f"tracks has {len(tracks)} entries; it needs one per answer ({answers.n_tracks})"
        )
    if len(tracks) and not (tracks.min() >= 0 and tracks.max() < n_tracks):
        raise ParameterError(f"tracks must lie in 0..{n_tracks - 1}")
