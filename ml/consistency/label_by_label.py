"""Model of a facet whose answers name many labels, or leave most blanks open. Numpy only.

Stage: consistency and snapshot. An annotator names a label that applies with their hit rate,
and one that does not apply with their false-positive rate; both are the same for all labels of
the facet. Each label has a base rate.
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
from ml.types import Doubles

#: Tracks that the rates of all answers count as in the fit.
_RATES_COUNT_AS = 10.0
_TINY = 1e-9


@dataclass(frozen=True)
class _Prior:
    """Beta priors as (yes, no) that count as seen, of hits and of false positives."""

    hits: tuple[float, float]
    false: tuple[float, float]


@dataclass(frozen=True)
class _Counts:
    """Expected counts of each answer: labels named and true, true, named, judged."""

    both: Doubles
    true: Doubles
    named: Doubles
    judged: Doubles


def fit_label_by_label(
    overlap: Overlap, rates: Doubles, before: RightBefore
) -> tuple[Doubles, FacetAccuracy]:
    """Fit a hit rate and a false-positive rate per annotator, by EM.

    Parameters
    ----------
    overlap : the answers. rates : float64 (n_labels,), share of yes among all answers.
    before : Beta prior on the hit rate. A false positive takes the place of a missed label in
        the prior of the false-positive rate.

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
    >>> posterior, _ = fit_label_by_label(shared, np.full(4, 0.5), RightBefore())
    >>> (posterior > 0.5).tolist()
    [[True, True, False, False]]
    """
    prior = _prior_of(overlap, before)
    posterior = overlap.by_track(overlap.yes.astype(float))
    posterior /= np.maximum(overlap.by_track(overlap.answers.label_mask.astype(float)), 1)
    hits = np.full(overlap.n_annotators, prior.hits[0] / sum(prior.hits))
    false = np.full(overlap.n_annotators, prior.false[0] / sum(prior.false))
    n_tracks = len(posterior)
    for _ in range(MAX_ROUNDS):
        expected = _expected(overlap, posterior)
        new_hits, new_false = _people_rates(overlap, expected, prior)
        rate = (posterior.sum(axis=0) + _RATES_COUNT_AS * rates) / (n_tracks + _RATES_COUNT_AS)
        posterior = _posterior(overlap, new_hits, new_false, rate)
        change = max(np.abs(new_hits - hits).max(), np.abs(new_false - false).max())
        hits, false = new_hits, new_false
        if change < TOLERANCE:
            break
    return posterior, _figures(overlap, _expected(overlap, posterior), hits, false, prior)


def _prior_of(overlap: Overlap, before: RightBefore) -> _Prior:
    """Return the priors; a false positive before is one cell among those of a missed label."""
    n_named = max(float(overlap.yes.sum(axis=1).mean()), 0.1)
    n_others = max(float(overlap.answers.label_mask.sum(axis=1).mean()) - n_named, 0.1)
    wrong = before.wrong / before.n * min(1.0, n_named / n_others)
    return _Prior(
        (before.right, before.wrong), (before.wrong, before.wrong * (1 - wrong) / wrong)
    )


def _expected(overlap: Overlap, posterior: Doubles) -> _Counts:
    own = posterior[overlap.tracks]
    return _Counts(
        both=np.asarray((own * overlap.yes).sum(axis=1)),
        true=np.asarray((own * overlap.answers.label_mask).sum(axis=1)),
        named=overlap.yes.sum(axis=1).astype(float),
        judged=overlap.answers.label_mask.sum(axis=1).astype(float),
    )


def _people_rates(
    overlap: Overlap, expected: _Counts, prior: _Prior
) -> tuple[Doubles, Doubles]:
    total = overlap.by_annotator
    both, true = total(expected.both), total(expected.true)
    false, others = total(expected.named) - both, total(expected.judged) - true
    return (
        (both + prior.hits[0]) / (true + sum(prior.hits)),
        (false + prior.false[0]) / (others + sum(prior.false)),
    )


def _posterior(overlap: Overlap, hits: Doubles, false: Doubles, rate: Doubles) -> Doubles:
    """Return the probability of each label, (n_tracks, n_labels)."""
    yes = (np.log(hits) - np.log(false))[overlap.annotators]
    no = (np.log1p(-hits) - np.log1p(-false))[overlap.annotators]
    evidence = overlap.answers.label_mask * no[:, None] + overlap.yes * (yes - no)[:, None]
    log_odds = overlap.by_track(evidence) + np.log(rate) - np.log1p(-rate)
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -30, 30))))


def _figures(
    overlap: Overlap, expected: _Counts, hits: Doubles, false: Doubles, prior: _Prior
) -> FacetAccuracy:
    """Return the agreement of labels named and true, with the error of its log odds."""
    n_people, who = overlap.n_annotators, overlap.annotators
    about_hits = expected.both - hits[who] * expected.true
    about_false = expected.named - expected.both
    about_false = about_false - false[who] * (expected.judged - expected.true)
    precision = np.concatenate(
        [sum(prior.hits) * hits * (1 - hits), sum(prior.false) * false * (1 - false)]
    )
    spread = covariance(overlap.information(about_hits, about_false), precision)
    true = overlap.by_annotator(expected.true) + _TINY
    others = overlap.by_annotator(expected.judged - expected.true)
    whole = true * (1 + hits) + others * false
    values = 2 * hits * true / whole
    by_hits = 2 * true * (whole - hits * true) / whole**2 * hits * (1 - hits)
    by_false = -2 * hits * true * others / whole**2 * false * (1 - false)
    own, their = np.arange(n_people), np.arange(n_people) + n_people
    variance = (
        by_hits**2 * spread[own, own]
        + by_false**2 * spread[their, their]
        + 2 * by_hits * by_false * spread[own, their]
    )
    inside = np.clip(values, 1e-3, 1 - 1e-3)
    errors = np.sqrt(variance) / (inside * (1 - inside))
    support = np.bincount(who, minlength=n_people)
    return FacetAccuracy(
        np.where(support > 0, inside, np.nan), np.where(support > 0, errors, np.nan), support
    )
