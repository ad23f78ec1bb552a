"""Simulated crowds: answers of people whose accuracy is known, to tracks whose truth is known.

Stage: demo and study. Numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.types import Bools, Doubles, Indices, LabelMatrix

#: The crowd that the default consensus was measured on: people, labels, tracks, and three who
#: are right as often as chance and give a third of all answers.
CROWD_PEOPLE, CROWD_LABELS, CROWD_TRACKS, CROWD_SPAMMERS = 44, 10, 700, 3
_SPAM_SHARE = 1 / 3
_SPAM_ACCURACY = (0.08, 0.20)
_MOST_ANSWERS = 7


@dataclass(frozen=True)
class Crowd:
    """Answers of several people to one facet, with the truth.

    Attributes
    ----------
    truth : bool (n_tracks, n_labels). answers : LabelMatrix (n_answers, n_labels).
    tracks, annotators : int (n_answers,), track and person of each answer.
    accuracy : float64 (n_people,), probability that a person is right: names the label that
        applies, or each label that applies.
    """

    truth: Bools
    answers: LabelMatrix
    tracks: Indices
    annotators: Indices
    accuracy: Doubles

    @property
    def n_people(self) -> int:
        """Number of people."""
        return len(self.accuracy)

    def shares_right(self) -> tuple[Doubles, Indices]:
        """Return the share of each person's answers that are the truth, and their number.

        Returns
        -------
        tuple of arrays (n_people,): float64, NaN without answers; and int.
        """
        is_right = (self.answers.labels == self.truth[self.tracks]).all(axis=1)
        n = np.bincount(self.annotators, minlength=self.n_people)
        right = np.bincount(self.annotators, is_right, minlength=self.n_people)
        return np.divide(right, n, out=np.full(self.n_people, np.nan), where=n > 0), n


def crowd_with_spammers(seed: int, n_tracks: int = CROWD_TRACKS) -> Crowd:
    """Simulate 44 people who name one of ten labels; three of them answer by chance.

    Each track has 1 to 7 answers. The first three people give a third of all answers and are
    right in 8 to 20 % of them. The others are right in 50 to 98 %, and some of them answer much
    more than others. A wrong answer is any other label.

    Parameters
    ----------
    seed : of everything random. n_tracks : number of tracks.

    Returns
    -------
    Crowd

    Examples
    --------
    >>> crowd = crowd_with_spammers(0, n_tracks=100)
    >>> crowd.n_people, bool((crowd.accuracy[:3] <= 0.2).all())
    (44, True)
    """
    rng = np.random.default_rng(seed)
    accuracy = 0.5 + 0.48 * rng.beta(3.0, 1.8, CROWD_PEOPLE)
    accuracy[:CROWD_SPAMMERS] = rng.uniform(*_SPAM_ACCURACY, CROWD_SPAMMERS)
    busy = rng.gamma(0.8, size=CROWD_PEOPLE) + 0.05
    busy[:CROWD_SPAMMERS] = busy[:CROWD_SPAMMERS] * 0.3 + 1.0
    busy[CROWD_SPAMMERS:] *= (1 - _SPAM_SHARE) / busy[CROWD_SPAMMERS:].sum()
    busy[:CROWD_SPAMMERS] *= _SPAM_SHARE / busy[:CROWD_SPAMMERS].sum()
    n_each = rng.integers(1, _MOST_ANSWERS + 1, n_tracks)
    tracks = np.repeat(np.arange(n_tracks), n_each)
    # The first n of an exponential race are a draw of n people without replacement.
    race = np.argsort(rng.exponential(size=(n_tracks, CROWD_PEOPLE)) / busy, axis=1)
    annotators = np.concatenate([race[one, :n] for one, n in enumerate(n_each.tolist())])
    truth = rng.integers(0, CROWD_LABELS, n_tracks)
    is_right = rng.random(len(tracks)) < accuracy[annotators]
    other = (truth[tracks] + rng.integers(1, CROWD_LABELS, len(tracks))) % CROWD_LABELS
    said = np.where(is_right, truth[tracks], other)
    classes = np.eye(CROWD_LABELS, dtype=bool)
    return Crowd(classes[truth], _judged(classes[said]), tracks, annotators, accuracy)


def curators_of_label_sets(
    seed: int,
    n_tracks: int,
    n_labels: int,
    accuracy: tuple[float, ...],
    *,
    replaces: bool = True,
) -> Crowd:
    """Simulate curators who all name the one or two labels of every track.

    Labels have Zipf-like base rates. A curator names each label that applies with their
    accuracy. A label that they miss is replaced by another one, or left out.

    Parameters
    ----------
    seed : of everything random. n_tracks, n_labels : numbers, n_labels >= 3.
    accuracy : one per curator. replaces : whether a missed label is replaced; if not, it is
        left out, and as many other labels are named on other tracks.

    Returns
    -------
    Crowd

    Examples
    --------
    >>> crowd = curators_of_label_sets(0, 50, 30, (0.9, 0.8))
    >>> crowd.answers.n_tracks, sorted(set(crowd.truth.sum(axis=1).tolist()))
    (100, [1, 2])
    """
    rng = np.random.default_rng(seed)
    weight = 1 / np.arange(1, n_labels + 1) ** 0.7
    race = np.argsort(rng.exponential(size=(n_tracks, n_labels)) / weight, axis=1)
    n_true = rng.integers(1, 3, n_tracks)
    truth = np.zeros((n_tracks, n_labels), dtype=bool)
    np.put_along_axis(truth, race, np.arange(n_labels) < n_true[:, None], axis=1)
    said = [_named(rng, truth, one, replaces) for one in accuracy]
    tracks = np.tile(np.arange(n_tracks), len(accuracy))
    annotators = np.repeat(np.arange(len(accuracy)), n_tracks)
    answers = _judged(np.concatenate(said))
    return Crowd(truth, answers, tracks, annotators, np.array(accuracy))


def _named(rng: np.random.Generator, truth: Bools, accuracy: float, replaces: bool) -> Bools:
    kept = truth & (rng.random(truth.shape) < accuracy)
    missed = (truth & ~kept).sum(axis=1)
    if not replaces:
        rate = missed.sum() / (~truth).sum()
        return kept | (~truth & (rng.random(truth.shape) < rate))
    order = np.where(truth, np.inf, rng.random(truth.shape)).argsort(axis=1).argsort(axis=1)
    return kept | (order < missed[:, None])


def _judged(labels: Bools) -> LabelMatrix:
    return LabelMatrix(labels, np.ones_like(labels))
