"""Headline figures: those that pages show first, corrected for small numbers of audit tracks.

Stage: evaluation and promotion. Numpy only.

Macro AP over all scored labels is too high on few tracks: a label with one to five positives
has a high average precision by chance, and a label without any takes no part. The figures here
are within .01 of the truth on the mean (`benchmarks/headline.py`), because

- skill, lwlrap and micro F1 are ratios of sums over *all* judged cells, whatever the labels of
  the tracks are;
- macro AP covers *frequent* labels only (`frequent_labels`), and at least `LEAST_LABELS` of
  them. They are fixed before two models are compared;
- the bias that is left is estimated by the jackknife [1]_, which leaves out one split group at
  a time, and subtracted. The spread of the same values gives a t interval [2]_.

References
----------
.. [1] Quenouille, "Notes on bias in estimation", Biometrika 43, 1956.
.. [2] Tukey, "Bias and confidence in not-quite large samples", Ann. Math. Stat. 29, 1958.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from ml.metrics.jackknife import CONFIDENCE, MOST_BLOCKS, jackknife
from ml.metrics.judged_groups import can_be_resampled
from ml.metrics.paired import Difference
from ml.metrics.ranking import (
    cross_entropy_sums,
    ranking_sums,
    weighted_average_precision,
)
from ml.types import Bools, Floats, LabelMatrix

#: A frequent label has at least this many positives among the tracks,
LEAST_POSITIVES = 10
#: and its share on the training side leads to expect this many. Without the second condition,
#: labels enter that are frequent on these tracks by chance, and their AP is too high.
LEAST_EXPECTED = 15
#: Macro AP is shown from this many frequent labels on, or if all judged labels are frequent.
LEAST_LABELS = 5
#: The figures of a `Headline`, in the order in which they are shown.
HEADLINE_KEYS = ("skill", "macro_ap_10", "lwlrap", "micro_f1")
#: Each of `HEADLINE_KEYS`: float (1 + n_blocks,), see `headline_values`.
Values = dict[str, Floats]


class Headline(TypedDict):
    """Headline figures of one model; the keys are JSON keys. None: it cannot be computed.

    Attributes
    ----------
    n : tracks with a judged label.
    labels, labels_10 : judged labels, and how many of them are frequent.
    skill : BCE skill score over all judged cells.
    macro_ap_10 : macro AP over the frequent labels; None with fewer than `LEAST_LABELS`.
    lwlrap, micro_f1 : over all judged cells; F1 at the tuned thresholds.
    intervals : [low, high], 95 %, of each figure; None from fewer than
        `MINIMUM_GROUPS_TO_COMPARE` split groups.
    baseline : the same figures of the baseline (prior predictor).
    """

    n: int
    labels: int
    labels_10: int
    skill: float | None
    macro_ap_10: float | None
    lwlrap: float | None
    micro_f1: float | None
    intervals: dict[str, list[float] | None]
    baseline: dict[str, float | None]


@dataclass(frozen=True)
class Predicted:
    """Predictions of one model for n tracks.

    Attributes
    ----------
    probabilities, thresholds : float (n, n_labels), calibrated; of each cell.
    """

    probabilities: Floats
    thresholds: Floats


@dataclass(frozen=True)
class Yardstick:
    """Tracks to measure by: reference, baseline, frequent labels, and what is left out in turn.

    Attributes
    ----------
    labels : (n, n_labels), the reference.
    baseline : float (n, n_labels), probabilities of the prior predictor.
    is_frequent : bool (n_labels,), see `frequent_labels`.
    weights : float (n, 1 + n_blocks). The first column counts every judged track once; each of
        the others leaves out a block of split groups. A single column: no interval.
    """

    labels: LabelMatrix
    baseline: Floats
    is_frequent: Bools
    weights: Floats

    @property
    def has_macro_ap(self) -> bool:
        """True if enough labels are frequent, or all judged ones."""
        n_judged = int(self.labels.label_mask.any(axis=0).sum())
        return int(self.is_frequent.sum()) >= min(LEAST_LABELS, max(1, n_judged))


def frequent_labels(labels: LabelMatrix, prior: Floats) -> Bools:
    """Return which labels are frequent enough for an average precision that can be trusted.

    Parameters
    ----------
    labels : (n, n_labels), the reference.
    prior : float (n_labels,), share of each label on the training side. It does not depend on
        which tracks of the audit side were judged.

    Returns
    -------
    bool (n_labels,) : at least `LEAST_POSITIVES` positives, `LEAST_EXPECTED` expected ones, and
        a negative.

    Examples
    --------
    >>> given = np.zeros((40, 2), bool)
    >>> given[:20] = True
    >>> labels = LabelMatrix(given, np.ones((40, 2), bool))
    >>> frequent_labels(labels, np.array([0.5, 0.1])).tolist()
    [True, False]
    """
    judged = labels.label_mask.sum(axis=0)
    positives = (labels.labels & labels.label_mask).sum(axis=0)
    is_enough = (positives >= LEAST_POSITIVES) & (judged * prior >= LEAST_EXPECTED)
    return np.asarray(is_enough & (positives < judged))


def yardstick(
    labels: LabelMatrix,
    baseline: Floats,
    prior: Floats,
    groups: npt.NDArray[Any] | None = None,
) -> Yardstick:
    """Prepare tracks for `headline` and `headline_differences`.

    Parameters
    ----------
    labels : (n, n_labels), the reference.
    baseline : float (n, n_labels) or (n_labels,), probabilities of the prior predictor.
    prior : float (n_labels,), as for `frequent_labels`.
    groups : (n,), split groups, left out as a whole; None: each track is its own group.

    Returns
    -------
    Yardstick : tracks and labels that were not judged do not count.
    """
    judged = np.flatnonzero(labels.label_mask.any(axis=1))
    weights = np.zeros((labels.n_tracks, 1))
    weights[judged] = 1.0
    if can_be_resampled(labels, groups):
        own = np.arange(labels.n_tracks) if groups is None else np.asarray(groups)
        weights = np.concatenate([weights, _left_out(own, judged)], axis=1)
    full = np.broadcast_to(np.asarray(baseline, dtype=float), labels.labels.shape)
    return Yardstick(labels, full, frequent_labels(labels, prior), weights)


def _left_out(groups: npt.NDArray[Any], judged: npt.NDArray[np.intp]) -> Floats:
    """Return weights (n, n_blocks); each column leaves out one block of the judged groups."""
    codes = np.unique(groups[judged], return_inverse=True)[1].reshape(-1)
    n_groups = int(codes.max()) + 1
    n_blocks = min(n_groups, MOST_BLOCKS)
    block_of = np.random.default_rng(0).permutation(np.arange(n_groups) % n_blocks)
    weights = np.zeros((len(groups), n_blocks))
    weights[judged] = np.not_equal(block_of[codes][:, None], np.arange(n_blocks))
    return weights


def headline(predicted: Predicted, by: Yardstick) -> Headline:
    """Compute the headline figures of a model, with those of the baseline.

    Parameters
    ----------
    predicted : predictions for the tracks of the yardstick. by : see `yardstick`.

    Returns
    -------
    Headline

    Examples
    --------
    >>> given = np.tile([[True, False], [False, True]], (20, 1))
    >>> labels = LabelMatrix(given, np.ones_like(given))
    >>> predicted = Predicted(np.where(given, 0.8, 0.2), np.full(given.shape, 0.5))
    >>> found = headline(predicted, yardstick(labels, np.full(2, 0.5), np.full(2, 0.5)))
    >>> round(found["skill"], 3), found["labels_10"], found["macro_ap_10"]
    (0.678, 2, 1.0)
    """
    return headline_from(headline_values(predicted, by), baseline_values(by), by)


def baseline_values(by: Yardstick) -> Values:
    """Compute `headline_values` of the baseline.

    Parameters
    ----------
    by : see `yardstick`.

    Returns
    -------
    dict of str and Floats : float (1 + n_blocks,) for each of `HEADLINE_KEYS`.
    """
    return headline_values(Predicted(by.baseline, by.baseline), by)


def headline_from(values: Values, of_baseline: Values, by: Yardstick) -> Headline:
    """Turn the values of a model and of the baseline into headline figures.

    Parameters
    ----------
    values, of_baseline : of `headline_values` and `baseline_values`. by : see `yardstick`.

    Returns
    -------
    Headline
    """
    found = {name: jackknife(values[name]) for name in HEADLINE_KEYS}
    judged = by.labels.label_mask
    return {
        "n": int(judged.any(axis=1).sum()),
        "labels": int(judged.any(axis=0).sum()),
        "labels_10": int(by.is_frequent.sum()),
        "skill": found["skill"].value,
        "macro_ap_10": found["macro_ap_10"].value,
        "lwlrap": found["lwlrap"].value,
        "micro_f1": found["micro_f1"].value,
        "intervals": {
            name: None if one.low is None or one.high is None else [one.low, one.high]
            for name, one in found.items()
        },
        "baseline": {name: jackknife(of_baseline[name]).value for name in HEADLINE_KEYS},
    }


def headline_differences(
    first: Predicted, other: Predicted, by: Yardstick, confidence: float = CONFIDENCE
) -> dict[str, Difference]:
    """Compare two models on the same tracks and the same frequent labels.

    Both are computed without the same groups, so that what the tracks have in common cancels.

    Parameters
    ----------
    first, other : predictions for the tracks of the yardstick. by : see `yardstick`.
    confidence : of the intervals, in (0, 1).

    Returns
    -------
    dict of str and Difference : other minus first, for each of `HEADLINE_KEYS`.
    """
    ours, its = headline_values(other, by), headline_values(first, by)
    return differences_of(its, ours, confidence)


def differences_of(
    first: Values, other: Values, confidence: float = CONFIDENCE
) -> dict[str, Difference]:
    """Compute the differences of figures that `headline_values` returned.

    Parameters
    ----------
    first, other : of two models on the same yardstick. confidence : of the intervals.

    Returns
    -------
    dict of str and Difference : other minus first, for each of `HEADLINE_KEYS`.
    """
    found = {name: jackknife(other[name] - first[name], confidence) for name in HEADLINE_KEYS}
    return {
        name: {"difference": one.value, "lo": one.low, "hi": one.high}
        for name, one in found.items()
    }


def headline_values(predicted: Predicted, by: Yardstick) -> Values:
    """Compute each headline figure for each column of the yardstick's weights.

    Parameters
    ----------
    predicted : predictions for the tracks of the yardstick. by : see `yardstick`.

    Returns
    -------
    dict of str and Floats : float (1 + n_blocks,) for each of `HEADLINE_KEYS`; NaN where it
        cannot be computed.
    """
    labels, weights = by.labels, by.weights
    loss, _ = cross_entropy_sums(predicted.probabilities, labels)
    its_loss, _ = cross_entropy_sums(by.baseline, labels)
    ranked, n_positives = ranking_sums(predicted.probabilities, labels)
    positives = labels.labels & labels.label_mask
    chosen = (predicted.probabilities >= predicted.thresholds) & labels.label_mask
    hits = (chosen & positives).sum(axis=1)
    named = chosen.sum(axis=1) + positives.sum(axis=1)
    return {
        "skill": 1.0 - _ratio_of_sums(loss, its_loss, weights),
        "macro_ap_10": _frequent_ap(predicted, by),
        "lwlrap": _ratio_of_sums(ranked, n_positives, weights),
        "micro_f1": _ratio_of_sums(2.0 * hits, named, weights),
    }


def _ratio_of_sums(top: Floats, bottom: Floats, weights: Floats) -> Floats:
    above, below = top @ weights, bottom @ weights
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)


def _frequent_ap(predicted: Predicted, by: Yardstick) -> Floats:
    """Return the mean AP of the frequent labels; NaN if they are too few."""
    if not by.has_macro_ap:
        return np.full(by.weights.shape[1], np.nan)
    found = []
    for label in np.flatnonzero(by.is_frequent).tolist():
        rows = by.labels.label_mask[:, label]
        given = by.labels.labels[rows, label]
        found.append(
            weighted_average_precision(
                predicted.probabilities[rows, label], given, by.weights[rows]
            )
        )
    return np.asarray(np.mean(found, axis=0))
