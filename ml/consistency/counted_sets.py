"""Model of a facet whose answers name a few labels. Numpy only.

Stage: consistency and snapshot. The number of labels of a track has a distribution, which the
limits of the facet cut, and annotators name more or fewer than apply with certain
probabilities. Of the labels that an annotator names in place of those that apply, each is right
with the annotator's accuracy; a wrong one is any other label. If tracks and answers have one
label each, this is the categorical one-coin model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ml.consistency.label_sets import count_distribution, with_known_counts
from ml.consistency.overlap import (
    MAX_ROUNDS,
    TOLERANCE,
    FacetAccuracy,
    Overlap,
    RightBefore,
    covariance,
)
from ml.types import Bools, Doubles, Indices

#: The largest number of labels that is counted; more are the same case.
MOST_COUNTED = 6
#: Tracks that the first estimates count as: label rates, numbers of labels, numbers named.
_RATES_COUNT_AS, _NUMBERS_COUNT_AS, _NAMED_COUNT_AS = 10.0, 10.0, 10.0
#: Share of tracks whose number of labels may be any allowed one, before the fit.
_ANY_NUMBER = 0.02
#: Tracks of a first fit, if there are many.
_FIRST_TRACKS = 1_500
_TINY = 1e-12


@dataclass(frozen=True)
class _Habits:
    """Habits of annotators: the number of labels they name.

    `kept` is the probability that a label that applies is named, or another in its place;
    `added` is the expected number of labels named in addition.
    """

    kept: float = 0.9
    added: float = 0.1

    def cases(self, size: int) -> Doubles:
        """Return the probability of (kept, added) by number that applies, (size + 1,) * 3."""
        numbers = np.arange(size + 1)
        ways = np.array([[math.comb(n, k) for n in numbers] for k in numbers], dtype=float)
        left = np.maximum(numbers[None, :] - numbers[:, None], 0)
        stay = ways * self.kept ** numbers[:, None] * (1 - self.kept) ** left
        more = np.array(
            [math.exp(-self.added) * self.added**n / math.factorial(n) for n in numbers]
        )
        return np.asarray(stay[:, None, :] * more[None, :, None])

    def numbers_named(self, size: int) -> Doubles:
        """Return the probability of (named, number that applies)."""
        named, cases = np.zeros((size + 1, size + 1)), self.cases(size)
        for kept in range(size + 1):
            for added in range(size + 1):
                named[min(kept + added, size)] += cases[kept, added]
        return named


@dataclass(frozen=True)
class _Fit:
    """Parameters: by annotator, by label, of the number of labels, and of the number named."""

    accuracy: Doubles
    rates: Doubles
    numbers: Doubles
    habits: _Habits


@dataclass(frozen=True)
class _Truth:
    """Probabilities of the labels and of the numbers of labels of each track."""

    labels: Doubles
    numbers: Doubles


class _SetModel:
    """The answers, and the two steps of EM."""

    def __init__(self, overlap: Overlap, rates: Doubles, least: int, most: int) -> None:
        self.overlap, self.rates = overlap, rates
        top = min(most or overlap.answers.n_labels, overlap.answers.n_labels)
        # The last number counts all above it too, so it is one above the limit.
        self.size = min(top + 1, MOST_COUNTED)
        self.n_named: Indices = np.minimum(overlap.yes.sum(axis=1), self.size)
        self.unjudged = ~overlap.answers.label_mask
        others = (overlap.answers.label_mask & ~overlap.yes).sum(axis=1).mean()
        self.n_others = max(float(others), 1.0)
        self.is_allowed: Bools = np.zeros(self.size + 1, dtype=bool)
        self.is_allowed[min(least, top, self.size) : top + 1] = True
        self.numbers = self._first_numbers()
        self.ways = _log_ways(self.size)

    def _first_numbers(self) -> Doubles:
        """Return the distribution of the number of labels in the answers, within the limits."""
        seen = np.bincount(self.n_named, minlength=self.size + 1).astype(float)
        kept = np.where(self.is_allowed, seen, 0.0) + _TINY * self.is_allowed
        even = self.is_allowed / self.is_allowed.sum()
        return np.asarray((1 - _ANY_NUMBER) * kept / kept.sum() + _ANY_NUMBER * even)

    def first_truth(self) -> _Truth:
        """Return the shares of the answers."""
        votes = self.overlap.by_track(self.overlap.yes.astype(float))
        judged = self.overlap.by_track(self.overlap.answers.label_mask.astype(float))
        numbers = self.overlap.by_track(np.eye(self.size + 1)[self.n_named])
        return _Truth(
            votes / np.maximum(judged, 1), numbers / numbers.sum(axis=1, keepdims=True)
        )

    def slots(self, truth: _Truth) -> tuple[Doubles, Doubles]:
        """Return, per answer, the expected right labels and the labels that could be right."""
        own = truth.labels[self.overlap.tracks]
        right = (own * self.overlap.yes).sum(axis=1)
        places = np.minimum(self.n_named[:, None], np.arange(self.size + 1))
        room = (places * truth.numbers[self.overlap.tracks]).sum(axis=1)
        room = room - (own * self.unjudged).sum(axis=1)
        return np.asarray(right), np.maximum(room, right)

    def fitted(self, truth: _Truth, habits: _Habits, before: RightBefore) -> _Fit:
        """Return the parameters, given what is true."""
        right, room = self.slots(truth)
        total = self.overlap.by_annotator
        n = len(truth.labels)
        by_case = np.zeros((self.size + 1, self.size + 1))
        np.add.at(by_case, self.n_named, truth.numbers[self.overlap.tracks])
        rates = truth.labels.sum(axis=0) + _RATES_COUNT_AS * self.rates
        seen = np.where(self.is_allowed, truth.numbers.sum(axis=0), 0.0)
        numbers = seen + _NUMBERS_COUNT_AS * self.numbers
        return _Fit(
            accuracy=(total(right) + before.right) / (total(room) + before.n),
            rates=rates / (n + _RATES_COUNT_AS),
            numbers=numbers / numbers.sum(),
            habits=_habits_of(by_case, habits),
        )

    def truth(self, fit: _Fit) -> _Truth:
        """Return what is true, given the parameters."""
        own = fit.accuracy[self.overlap.annotators]
        wrong = np.log1p(-own)
        weight = np.log(own) - wrong + np.log(self.n_others)
        # A label that was not on offer could not be named: its absence says nothing.
        evidence = self.overlap.yes * weight[:, None] - self.unjudged * wrong[:, None]
        log_odds = self.overlap.by_track(evidence) + np.log(fit.rates) - np.log1p(-fit.rates)
        # A label that nobody could name on a track is not an explanation of what they named.
        alone = self.overlap.is_judged / (1 + np.exp(-np.clip(log_odds, -30, 30)))
        places = np.minimum(self.n_named[:, None], np.arange(self.size + 1))
        by_case = np.log(fit.habits.numbers_named(self.size) + _TINY) + self.ways
        about = by_case[self.n_named] + places * wrong[:, None]
        by_number = self.overlap.by_track(about)
        by_number -= by_number.max(axis=1, keepdims=True)
        chance = count_distribution(fit.rates[None, :], self.size)[0]
        odds = np.exp(by_number) * fit.numbers / np.maximum(chance, _TINY)
        return _Truth(*with_known_counts(np.asarray(alone), odds))


def _habits_of(by_case: Doubles, habits: _Habits) -> _Habits:
    """Return the habits, given the number of answers by (named, number that applies)."""
    size = len(by_case) - 1
    cases, named = habits.cases(size), habits.numbers_named(size)
    share = by_case / np.maximum(named, _TINY)
    kept = added = 0.0
    for n_kept in range(size + 1):
        for n_added in range(size + 1):
            weight = float((cases[n_kept, n_added] * share[min(n_kept + n_added, size)]).sum())
            kept, added = kept + weight * n_kept, added + weight * n_added
    first = _Habits()
    number = float((by_case * np.arange(size + 1)).sum()) + _NAMED_COUNT_AS
    return _Habits(
        kept=min((kept + first.kept * _NAMED_COUNT_AS) / number, 1 - _TINY),
        added=(added + first.added * _NAMED_COUNT_AS) / (by_case.sum() + _NAMED_COUNT_AS),
    )


def _log_ways(size: int) -> Doubles:
    """Return the log probability of one choice of labels, by (named, number that applies).

    If an annotator names fewer labels than apply, any choice among those is as probable; if
    they name more, the order of the additional ones does not matter.
    """
    ways = np.zeros((size + 1, size + 1))
    for named in range(size + 1):
        for number in range(size + 1):
            if named < number:
                ways[named, number] = -math.log(math.comb(number, named))
            else:
                ways[named, number] = math.lgamma(named - number + 1)
    return ways


def fit_counted_sets(
    overlap: Overlap, rates: Doubles, least: int, most: int, before: RightBefore
) -> tuple[Doubles, FacetAccuracy]:
    """Fit one accuracy per annotator, by EM.

    Parameters
    ----------
    overlap : the answers. rates : float64 (n_labels,), share of yes among all answers.
    least, most : how many labels a track may carry; most 0 means as many as one likes.
    before : Beta prior on the accuracy.

    Returns
    -------
    tuple : float64 (n_tracks, n_labels), probability of each label on the tracks of
        `overlap`; and the figures of the annotators.

    Examples
    --------
    >>> from ml.consistency.overlap import overlap_of
    >>> from ml.types import LabelMatrix
    >>> given = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0]], dtype=bool)
    >>> answers = LabelMatrix(given, np.ones((3, 4), bool))
    >>> shared = overlap_of(answers, np.zeros(3, int), np.arange(3), 3)
    >>> posterior, _ = fit_counted_sets(shared, np.full(4, 0.5), 1, 2, RightBefore())
    >>> (posterior > 0.5).tolist()
    [[True, True, False, False]]
    """
    model = _SetModel(overlap, rates, least, most)
    fit = model.fitted(model.first_truth(), _Habits(), before)
    n_tracks = len(overlap.track_numbers)
    if n_tracks >= 2 * _FIRST_TRACKS:
        # Some of the tracks lead to nearly the same parameters, in a fraction of the time.
        some = overlap.every(n_tracks // _FIRST_TRACKS)
        few = _SetModel(some, rates, least, most)
        _, fit = _converged(few, few.fitted(few.first_truth(), _Habits(), before), before)
    truth, fit = _converged(model, fit, before)
    return truth.labels, _figures(model, truth, fit, before)


def _converged(model: _SetModel, fit: _Fit, before: RightBefore) -> tuple[_Truth, _Fit]:
    """Repeat the two steps until no accuracy changes."""
    truth = model.truth(fit)
    for _ in range(MAX_ROUNDS):
        new = model.fitted(truth, fit.habits, before)
        truth = model.truth(new)
        change = np.abs(new.accuracy - fit.accuracy).max()
        fit = new
        if change < TOLERANCE:
            break
    return truth, fit


def _figures(model: _SetModel, truth: _Truth, fit: _Fit, before: RightBefore) -> FacetAccuracy:
    """Return the agreement of labels named and true, with the error of its log odds."""
    overlap, accuracy = model.overlap, fit.accuracy
    right, room = model.slots(truth)
    score = right - accuracy[overlap.annotators] * room
    precision = before.n * accuracy * (1 - accuracy)
    errors = np.sqrt(np.diag(covariance(overlap.information(score), precision)))
    total = overlap.by_annotator
    n_true = (truth.numbers @ np.arange(model.size + 1))[overlap.tracks]
    both = total(model.n_named + n_true)
    share = np.divide(2 * total(room), both, out=np.ones(len(both)), where=both > 0)
    values = accuracy * np.minimum(share, 1)
    errors = errors * (1 - accuracy) / (1 - values)
    support = np.bincount(overlap.annotators, minlength=overlap.n_annotators)
    return FacetAccuracy(
        np.where(support > 0, values, np.nan), np.where(support > 0, errors, np.nan), support
    )
