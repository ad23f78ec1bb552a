"""Categorical one-coin model of a facet whose answers name one label. Numpy only.

Stage: consistency and snapshot. An annotator names the class that applies with probability a,
and otherwise each other class with equal probability. If some answers judge all labels and
name none, "none" is a class too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.consistency.overlap import (
    MAX_ROUNDS,
    TOLERANCE,
    FacetAccuracy,
    Overlap,
    RightBefore,
    covariance,
)
from ml.types import Bools, Doubles

#: Tracks that the class rates of all answers count as in the fit.
_RATES_COUNT_AS = 10.0


@dataclass(frozen=True)
class _Said:
    """The classes that each answer allows, their number, and those that it does not judge.

    An answer that allows no class, or all of them, says nothing.
    """

    allowed: Bools
    n_allowed: Doubles
    unjudged: Bools
    is_evidence: Bools


def fit_categorical(
    overlap: Overlap, rates: Doubles, before: RightBefore
) -> tuple[Doubles, FacetAccuracy]:
    """Fit one accuracy per annotator, by EM.

    Parameters
    ----------
    overlap : the answers. rates : float64 (n_labels,), share of yes among all answers.
    before : Beta prior on the accuracy.

    Returns
    -------
    tuple : float64 (n_tracks, n_labels), probability of each label on the tracks of
        `overlap`; and the figures of the annotators.

    Examples
    --------
    >>> from ml.consistency.overlap import overlap_of
    >>> from ml.types import LabelMatrix
    >>> given = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=bool)
    >>> answers = LabelMatrix(given, np.ones((3, 3), bool))
    >>> shared = overlap_of(answers, np.zeros(3, int), np.arange(3), 3)
    >>> posterior, people = fit_categorical(shared, np.full(3, 1 / 3), RightBefore())
    >>> posterior.round(2).tolist(), people.values.round(2).tolist()
    ([[0.96, 0.03, 0.01]], [0.83, 0.83, 0.67])
    """
    said, prior = _said(overlap), _class_rates(overlap, rates)
    n_classes = len(prior)
    # A label that nobody could name on a track is not an explanation of what they named.
    is_possible = np.ones((len(overlap.track_numbers), n_classes), dtype=bool)
    is_possible[:, : overlap.answers.n_labels] = overlap.is_judged
    posterior = _shares(overlap, said)
    accuracy = np.full(overlap.n_annotators, before.right / before.n)
    for _ in range(MAX_ROUNDS):
        is_right, counts = _is_right(overlap, said, posterior, accuracy)
        n_each = overlap.by_annotator(counts)
        new = (overlap.by_annotator(is_right) + before.right) / (n_each + before.n)
        total = posterior.sum(axis=0) + _RATES_COUNT_AS * prior
        evidence = _evidence(said, new[overlap.annotators], n_classes)
        scores = overlap.by_track(evidence) + np.log(total / total.sum())
        posterior = _softmax(np.where(is_possible, scores, -np.inf))
        change = np.abs(new - accuracy).max()
        accuracy = new
        if change < TOLERANCE:
            break
    people = _people(overlap, said, posterior, accuracy, before)
    return posterior[:, : overlap.answers.n_labels], people


def _said(overlap: Overlap) -> _Said:
    """Return the classes that each answer allows.

    These are the labels judged yes. Without any, they are the labels that were not judged, and
    "none": an answer that judges only some labels says that its class is not one of those.
    """
    mask, yes = overlap.answers.label_mask, overlap.yes
    names_some: Bools = np.asarray(yes.any(axis=1))
    is_none = ~names_some & mask.all(axis=1)
    some = names_some[:, None]
    allowed, unjudged = np.where(some, yes, ~mask), ~mask & some
    if is_none.any():
        allowed = np.column_stack([allowed, ~names_some])
        unjudged = np.column_stack([unjudged, np.zeros(len(mask), dtype=bool)])
    n_allowed = allowed.sum(axis=1).astype(float)
    is_evidence = (n_allowed > 0) & (n_allowed < allowed.shape[1])
    return _Said(allowed & is_evidence[:, None], n_allowed, unjudged, is_evidence)


def _class_rates(overlap: Overlap, rates: Doubles) -> Doubles:
    none = overlap.answers.label_mask.all(axis=1) & ~overlap.yes.any(axis=1)
    if none.any():
        rates = np.append(rates, none.mean())
    return rates / rates.sum()


def _shares(overlap: Overlap, said: _Said) -> Doubles:
    """Return the share of the answers for each class, (n_tracks, n_classes)."""
    each = said.allowed / np.maximum(said.n_allowed, 1)[:, None]
    shares = overlap.by_track(each)
    total = shares.sum(axis=1, keepdims=True)
    even = np.full(shares.shape, 1 / shares.shape[1])
    return np.divide(shares, total, out=even, where=total > 0)


def _in_and_out(said: _Said, accuracy: Doubles, n_classes: int) -> tuple[Doubles, Doubles]:
    """Return the probability of an answer if its classes contain the truth, and if not."""
    wrong = (1 - accuracy) / max(n_classes - 1, 1)
    inside = accuracy + np.maximum(said.n_allowed - 1, 0) * wrong
    return inside, np.maximum(said.n_allowed, 1) * wrong


def _evidence(said: _Said, accuracy: Doubles, n_classes: int) -> Doubles:
    """Return the log likelihood of each answer by class, up to a constant of the answer.

    A class that was not on offer, or that the annotator was unsure about, could not be named:
    its absence says nothing.
    """
    inside, outside = _in_and_out(said, accuracy, n_classes)
    weight = np.log(inside) - np.log(outside)
    neutral = said.unjudged * -np.log1p(-accuracy)[:, None]
    return np.where(said.is_evidence[:, None], said.allowed * weight[:, None] + neutral, 0.0)


def _is_right(
    overlap: Overlap, said: _Said, posterior: Doubles, accuracy: Doubles
) -> tuple[Doubles, Doubles]:
    """Return the probability that each answer is right, and that it could be, (n_answers,)."""
    own, truth = accuracy[overlap.annotators], posterior[overlap.tracks]
    inside, _ = _in_and_out(said, own, posterior.shape[1])
    right = (said.allowed * truth).sum(axis=1) * own / inside
    counts = np.where(said.is_evidence, 1 - (said.unjudged * truth).sum(axis=1), 0.0)
    return np.asarray(right), counts


def _softmax(scores: Doubles) -> Doubles:
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _people(
    overlap: Overlap, said: _Said, posterior: Doubles, accuracy: Doubles, before: RightBefore
) -> FacetAccuracy:
    is_right, counts = _is_right(overlap, said, posterior, accuracy)
    score = is_right - counts * accuracy[overlap.annotators]
    precision = before.n * accuracy * (1 - accuracy)
    errors = np.sqrt(np.diag(covariance(overlap.information(score), precision)))
    support = overlap.by_annotator(said.is_evidence.astype(float)).astype(np.intp)
    is_seen = support > 0
    return FacetAccuracy(
        np.where(is_seen, accuracy, np.nan), np.where(is_seen, errors, np.nan), support
    )
