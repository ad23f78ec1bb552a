"""Metrics of a model on labelled tracks, and those of the baseline.

Stage: evaluation, after training and before promotion. Numpy only, no state.

Conventions
-----------
- `probabilities` is (n_tracks, n_labels) in [0, 1]; `labels` is a `LabelMatrix` of the same
  shape. A cell outside `label_mask` was not judged and is ignored everywhere.
- A label is *scored* when at least one judged track has it and at least one does not. Every
  summary covers scored labels only.
- A metric that cannot be computed is None, never 0.
- A prediction is positive where probability >= threshold.
- The baseline is the prior predictor: it predicts each label's training prevalence for every
  track.

Metrics
-------
- macro_ap : mean over labels of average precision; the baseline's is the prevalence.
- lwlrap : label-weighted label-ranking average precision [1]_; the baseline's is far above 0.
- bce, bce_skill : binary cross-entropy in nats per cell, and the BCE skill score
  1 - bce / bce of the baseline.
- macro_f1, micro_f1 : at the given thresholds.
- binary_accuracy : at 0.5, as the Keras metric of that name. Read it only together with the
  baseline's, which exceeds .93 with 30 labels and two per track.

References
----------
.. [1] Howard, Tsoi et al., "Audio tagging with noisy labels and minimal supervision",
   DCASE 2019 (the metric of that task).
"""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.metrics.intervals import centred_interval, resampled_macro_ap
from ml.metrics.judged_groups import can_be_resampled
from ml.metrics.ranking import average_precision, binary_cross_entropy, label_ranking_precision
from ml.types import Bools, Floats, LabelMatrix


class LabelMetrics(TypedDict):
    """Metrics of one label, as `evaluate` lists them under `labels`; the keys are JSON keys.

    Attributes
    ----------
    index : column of the label.
    support, negatives : judged tracks with the label, and without it.
    prevalence : support / judged tracks, None when nothing was judged.
    ap : average precision, None when the label is not scored.
    ap_ratio : ap / prevalence; the baseline has 1.
    threshold : the threshold used.
    precision, recall, f1 : at the threshold, in [0, 1]; None when undefined.
    """

    index: int
    support: int
    negatives: int
    prevalence: float | None
    ap: float | None
    ap_ratio: float | None
    threshold: float | None
    precision: float | None
    recall: float | None
    f1: float | None


class Summary(TypedDict):
    """Metrics over all scored labels, defined in the docstring of this module."""

    macro_ap: float | None
    lwlrap: float | None
    bce: float | None
    bce_skill: float | None
    macro_f1: float | None
    micro_f1: float | None
    binary_accuracy: float | None


class Metrics(Summary):
    """Everything that `evaluate` returns; the keys are those of JSON.

    Attributes
    ----------
    n : tracks with a judged label.
    labels_scored : number of scored labels.
    interval : {"macro_ap": [low, high] or None}, the 95 % interval.
    labels : one entry per label, in order, scored or not.
    """

    n: int
    labels_scored: int
    interval: dict[str, list[float] | None]
    labels: list[LabelMetrics]


def check_probabilities(probabilities: Floats, labels: LabelMatrix) -> None:
    """Raise an error unless the shapes agree and all values lie in [0, 1].

    Parameters
    ----------
    probabilities : float array (n_tracks, n_labels).
    labels : labels of the same tracks.

    Raises
    ------
    ParameterError : the shapes differ, or a value is not finite or outside [0, 1].
    """
    if probabilities.shape != labels.labels.shape:
        raise ParameterError(
            f"probabilities {probabilities.shape} must have the shape of the labels "
            f"{labels.labels.shape}"
        )
    if probabilities.size and not (probabilities.min() >= 0 and probabilities.max() <= 1):
        raise ParameterError("probabilities must be finite and lie in [0, 1]")


def scorable_labels(labels: LabelMatrix) -> Bools:
    """Return which labels can be scored: those with a judged positive and a judged negative.

    Parameters
    ----------
    labels : (n_tracks, n_labels).

    Returns
    -------
    bool array (n_labels,).

    Examples
    --------
    >>> given = np.array([[True, True], [False, True]])
    >>> scorable_labels(LabelMatrix(given, np.ones((2, 2), bool))).tolist()
    [True, False]
    """
    positives = labels.labels & labels.label_mask
    negatives = ~labels.labels & labels.label_mask
    return np.asarray(positives.any(axis=0) & negatives.any(axis=0))


def evaluate(
    probabilities: Floats,
    labels: LabelMatrix,
    thresholds: Floats,
    *,
    prior: Floats,
    seed: int = 0,
    n_bootstrap: int = 200,
    groups: npt.NDArray[Any] | None = None,
) -> Metrics:
    """Compute all metrics of one model on one set of tracks.

    Parameters
    ----------
    probabilities : float array (n_tracks, n_labels), calibrated.
    labels : labels of the same tracks.
    thresholds : float array (n_labels,), tuned on the training side.
    prior : float array (n_labels,), prevalence on the training side, for `bce_skill`.
    seed : seed of the bootstrap.
    n_bootstrap : resamples for the 95 % percentile interval of macro AP; 0 omits it.
    groups : (n_tracks,) of any sortable type, resampled as a whole; None: each track
        on its own.

    Returns
    -------
    Metrics : JSON-able. The interval is None when the judged tracks come from fewer than
        `MINIMUM_GROUPS_TO_COMPARE` groups.

    Raises
    ------
    ParameterError : shapes differ or a probability is outside [0, 1].

    Examples
    --------
    >>> given = np.array([[True, False], [False, True], [True, True], [False, False]])
    >>> labels = LabelMatrix(given, np.ones((4, 2), bool))
    >>> probabilities = np.array([[0.9, 0.2], [0.4, 0.8], [0.7, 0.3], [0.6, 0.6]])
    >>> half = np.full(2, 0.5)
    >>> metrics = evaluate(probabilities, labels, half, prior=half, n_bootstrap=0)
    >>> metrics["n"], round(metrics["macro_ap"], 4), round(metrics["bce_skill"], 4)
    (4, 0.9167, 0.1965)
    """
    check_probabilities(probabilities, labels)
    _validate_per_label(labels, thresholds=thresholds, prior=prior)
    rows = [
        _label_metrics(index, probabilities[:, index], labels, float(thresholds[index]))
        for index in range(labels.n_labels)
    ]
    scored = scorable_labels(labels)
    kept = LabelMatrix(labels.labels[:, scored], labels.label_mask[:, scored])
    summary = _summary(probabilities[:, scored], kept, thresholds[scored], prior[scored], rows)
    values: Floats = np.empty(0)
    if can_be_resampled(labels, groups):
        values = resampled_macro_ap(probabilities[:, scored], kept, groups, n_bootstrap, seed)
    return {
        "n": int(labels.label_mask.any(axis=1).sum()),
        "labels_scored": int(scored.sum()),
        **summary,
        "interval": {"macro_ap": centred_interval(values, summary["macro_ap"])},
        "labels": rows,
    }


def baseline(prior: Floats, labels: LabelMatrix, thresholds: Floats | None = None) -> Metrics:
    """Compute the metrics of the baseline, which predicts `prior` for every track.

    Parameters
    ----------
    prior : float array (n_labels,) in [0, 1], prevalence on the training side.
    labels : labels of the tracks to evaluate on.
    thresholds : float array (n_labels,). None means the prior itself, which is what tuning for
        F1 gives a constant prediction: every label is then predicted.

    Returns
    -------
    Metrics : without interval; average precision is the prevalence and bce_skill is 0.

    Raises
    ------
    ParameterError : shapes differ or a prior is outside [0, 1].

    Examples
    --------
    >>> given = np.array([[True], [False], [False], [False]])
    >>> metrics = baseline(np.array([0.25]), LabelMatrix(given, np.ones((4, 1), bool)))
    >>> metrics["macro_ap"], metrics["bce_skill"]
    (0.25, 0.0)
    """
    predicted = np.broadcast_to(np.asarray(prior, dtype=float), labels.labels.shape)
    if thresholds is None:
        thresholds = np.asarray(prior, dtype=float)
    return evaluate(predicted, labels, thresholds, prior=np.asarray(prior), n_bootstrap=0)


def _validate_per_label(labels: LabelMatrix, **vectors: Floats) -> None:
    for name, vector in vectors.items():
        if np.shape(vector) != (labels.n_labels,):
            raise ParameterError(f"{name} {np.shape(vector)} must be ({labels.n_labels},)")


def _label_metrics(
    index: int, scores: Floats, labels: LabelMatrix, threshold: float
) -> LabelMetrics:
    judged = labels.label_mask[:, index]
    positives, scores = labels.labels[judged, index], scores[judged]
    chosen = scores >= threshold
    support, hits = int(positives.sum()), int((positives & chosen).sum())
    prevalence = _ratio(support, len(positives))
    ap = average_precision(scores, positives)
    return {
        "index": index,
        "support": support,
        "negatives": len(positives) - support,
        "prevalence": prevalence,
        "ap": ap,
        "ap_ratio": ap / prevalence if ap is not None and prevalence else None,
        "threshold": threshold,
        "precision": _ratio(hits, int(chosen.sum())),
        "recall": _ratio(hits, support),
        "f1": _ratio(2 * hits, support + int(chosen.sum())) if support else None,
    }


def _ratio(top: float, bottom: float) -> float | None:
    return top / bottom if bottom else None


def _summary(
    probabilities: Floats,
    labels: LabelMatrix,
    thresholds: Floats,
    prior: Floats,
    rows: list[LabelMetrics],
) -> Summary:
    once = np.ones((labels.n_tracks, 1))
    bce = _or_none(binary_cross_entropy(probabilities, labels, once))
    of_prior = np.broadcast_to(prior, probabilities.shape)
    bce_of_prior = _or_none(binary_cross_entropy(of_prior, labels, once))
    scored = [row for row in rows if row["ap"] is not None]
    chosen = (probabilities >= thresholds) & labels.label_mask
    positives = labels.labels & labels.label_mask
    right = ((probabilities >= 0.5) == labels.labels) & labels.label_mask
    hits = int((chosen & positives).sum())
    return {
        "macro_ap": _mean([row["ap"] for row in rows]),
        "lwlrap": _or_none(label_ranking_precision(probabilities, labels, once)),
        "bce": bce,
        "bce_skill": 1 - bce / bce_of_prior if bce is not None and bce_of_prior else None,
        "macro_f1": _mean([row["f1"] for row in scored]),
        "micro_f1": _ratio(2 * hits, int(chosen.sum()) + int(positives.sum())),
        "binary_accuracy": _ratio(int(right.sum()), int(labels.label_mask.sum())),
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _or_none(value: Floats) -> float | None:
    return None if np.isnan(value[0]) else float(value[0])
