"""Details of a report: curves, calibration, confusions and mistakes. Numpy only.

Stage: evaluation. Every function compares labels with predictions and returns JSON values.
"""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np

from ml.evaluation.record import EvaluationRecord
from ml.metrics.calibration import (
    CalibrationBin,
    expected_calibration_error,
    reliability_diagram,
)
from ml.metrics.ranking import EPSILON
from ml.types import Bools, Floats, LabelMatrix

#: Most points of a curve on a page, both ends included.
MOST_POINTS = 100


class Curve(TypedDict):
    """Precision-recall curve for a chart, rounded to 5 digits; the keys are JSON keys."""

    recall: list[float]
    precision: list[float]
    threshold: list[float]


class Reliability(TypedDict):
    """Reliability diagram and expected calibration error; the keys are JSON keys."""

    bins: list[CalibrationBin]
    ece: float | None


class ConfusedWith(TypedDict):
    """Number of tracks on which a label was predicted wrongly; the keys are JSON keys."""

    index: int
    n: int


class Confusion(TypedDict):
    """One label that was missed; the keys are JSON keys.

    Attributes
    ----------
    index : column of the label. positives : tracks with it.
    missed : of these, tracks whose probability is below the threshold.
    nothing : of the missed tracks, those without a false positive.
    instead : false positives on the missed tracks, the most frequent first.
    """

    index: int
    positives: int
    missed: int
    nothing: int
    instead: list[ConfusedWith]


class Mistake(TypedDict):
    """One track with a large log loss; the keys are JSON keys.

    Attributes
    ----------
    row, track_uid : the track. log_loss : mean over its judged labels, in nats.
    index, label_loss, probability, is_positive : the label with the largest loss.
    positives : columns of the labels given. said : columns of the labels predicted.
    """

    row: int
    track_uid: str
    log_loss: float
    index: int
    label_loss: float
    probability: float
    is_positive: bool
    positives: list[int]
    said: list[int]


class LearningCurves(TypedDict):
    """Metrics by epoch; the keys are JSON keys.

    Attributes
    ----------
    n_stages : fits in the mean. stages : name and series of each fit.
    mean : series averaged over the fits with a validation set, or over all without any.
    best_epoch : from 1, of the lowest mean validation loss; None without one.
    """

    n_stages: int
    stages: list[dict[str, Any]]
    mean: dict[str, list[float | None]]
    best_epoch: int | None


def precision_recall(scores: Floats, positives: Bools) -> tuple[Floats, Floats, Floats]:
    """Compute precision and recall at every distinct score, from the highest down.

    Parameters
    ----------
    scores : float (n,). positives : bool (n,), at least one True.

    Returns
    -------
    tuple of precision, recall and thresholds : float (m,); a track is predicted positive if its
        score >= the threshold. They are those of `sklearn.metrics.precision_recall_curve` in
        reverse, without its last point (1, 0). The sum of recall steps x precision is the
        average precision.

    Examples
    --------
    >>> found = precision_recall(np.array([0.9, 0.4, 0.1]), np.array([True, False, True]))
    >>> [values.round(2).tolist() for values in found]
    [[1.0, 0.5, 0.67], [0.5, 0.5, 1.0], [0.9, 0.4, 0.1]]
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    hits = np.cumsum(positives[order])[ends]
    return hits / (ends + 1), hits / positives.sum(), ranked[ends]


def curve_of(scores: Floats, positives: Bools) -> Curve | None:
    """Compute the precision-recall curve of one label for a chart.

    Parameters
    ----------
    scores : float (n,). positives : bool (n,).

    Returns
    -------
    Curve or None : at most `MOST_POINTS` points; None without a positive or a negative.
    """
    if not positives.any() or positives.all():
        return None
    precision, recall, thresholds = precision_recall(scores, positives)
    kept = np.unique(np.linspace(0, len(recall) - 1, min(MOST_POINTS, len(recall))).round())
    rows = kept.astype(int)
    return {
        "recall": _rounded(recall[rows]),
        "precision": _rounded(precision[rows]),
        "threshold": _rounded(thresholds[rows]),
    }


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), 5) for value in values]


def calibration_of(probabilities: Floats, labels: LabelMatrix) -> Reliability:
    """Compute the reliability diagram over all judged cells, with its calibration error.

    Parameters
    ----------
    probabilities : float (n, n_labels); cells that are not finite are left out.
    labels : (n, n_labels), the reference.

    Returns
    -------
    Reliability : without bins if no cell is left.
    """
    known = np.isfinite(probabilities)
    labels = LabelMatrix(labels.labels, labels.label_mask & known)
    values = np.where(known, probabilities, 0.0)
    return {
        "bins": reliability_diagram(values, labels),
        "ece": expected_calibration_error(values, labels),
    }


def confusions(record: EvaluationRecord, most: int = 5) -> list[Confusion]:
    """List the labels that were missed, and those with which they were confused.

    Parameters
    ----------
    record : of a run, with its tuned thresholds. most : labels listed for each missed one.

    Returns
    -------
    list of Confusion : the label missed most often first.
    """
    mask = record.reference.label_mask
    positives = record.reference.labels & mask
    chosen = record.probabilities >= record.cuts
    wrong = chosen & mask & ~positives
    found: list[Confusion] = []
    for index in range(len(record.labels)):
        missed = positives[:, index] & ~chosen[:, index]
        if not missed.any():
            continue
        counts = wrong[missed].sum(axis=0)
        order = np.argsort(-counts, kind="stable")[:most]
        found.append(
            {
                "index": index,
                "positives": int(positives[:, index].sum()),
                "missed": int(missed.sum()),
                "nothing": int((~wrong[missed].any(axis=1)).sum()),
                "instead": [
                    {"index": int(other), "n": int(counts[other])}
                    for other in order
                    if counts[other]
                ],
            }
        )
    return sorted(found, key=lambda row: (-row["missed"], row["index"]))


def mistakes(record: EvaluationRecord, most: int = 20) -> list[Mistake]:
    """List the tracks with the largest log loss, and the label that adds most to it.

    Parameters
    ----------
    record : of a run. most : tracks to list.

    Returns
    -------
    list of Mistake : the worst first.
    """
    mask = record.reference.label_mask
    clipped = np.clip(record.probabilities.astype(np.float64), EPSILON, 1 - EPSILON)
    losses = -np.where(record.reference.labels, np.log(clipped), np.log1p(-clipped))
    losses = np.where(mask, losses, 0.0)
    judged = mask.sum(axis=1)
    means = np.divide(
        losses.sum(axis=1), judged, out=np.full(len(judged), -1.0), where=judged > 0
    )
    order = np.argsort(-means, kind="stable")[:most]
    return [_mistake(record, int(row), losses[row], means[row]) for row in order if judged[row]]


def _mistake(record: EvaluationRecord, row: int, losses: Floats, mean: Floats) -> Mistake:
    worst = int(np.argmax(losses))
    positives = record.reference.labels[row] & record.reference.label_mask[row]
    chosen = record.probabilities[row] >= record.cuts[row]
    return {
        "row": row,
        "track_uid": record.track_uids[row].decode(),
        "log_loss": float(mean),
        "index": worst,
        "label_loss": float(losses[worst]),
        "probability": float(record.probabilities[row, worst]),
        "is_positive": bool(positives[worst]),
        "positives": np.flatnonzero(positives).tolist(),
        "said": np.flatnonzero(chosen).tolist(),
    }


_SERIES = {
    "loss": ("loss",),
    "validation_loss": ("validation_loss",),
    "accuracy": ("binary_accuracy", "accuracy", "training_accuracy"),
    "validation_accuracy": ("validation_binary_accuracy", "validation_accuracy"),
    "validation_macro_ap": ("validation_macro_ap",),
}


def learning_curves(history: tuple[dict[str, Any], ...]) -> LearningCurves:
    """Turn the epochs of a training into series for charts.

    The series are loss, validation_loss, accuracy, validation_accuracy and validation_macro_ap.

    Parameters
    ----------
    history : one dict for each epoch, as `ml.networks.base.EpochReport`; `part` numbers the
        models of a cross-validation.

    Returns
    -------
    LearningCurves : a value that a stage does not have is None. The mean ends with the shortest
        of its stages, as training chooses only among epochs that all folds reached.
    """
    by_stage: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for epoch in history:
        key = (int(epoch.get("part", 0)), str(epoch.get("stage") or "training"))
        by_stage.setdefault(key, []).append(epoch)
    n_parts = len({part for part, _ in by_stage})
    names = [f"model {part + 1}, {name}" if n_parts > 1 else name for part, name in by_stage]
    series = [_series(epochs) for epochs in by_stage.values()]
    holding = [one for one in series if _any(one["validation_loss"])] or series
    mean = {name: _mean_series([one[name] for one in holding]) for name in _SERIES}
    known = [(loss, n) for n, loss in enumerate(mean["validation_loss"], 1) if loss is not None]
    return {
        "n_stages": len(holding),
        "stages": [{"name": name, **one} for name, one in zip(names, series, strict=True)],
        "mean": mean,
        "best_epoch": min(known)[1] if known else None,
    }


def _series(epochs: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    return {
        name: [_first(epoch, sources) for epoch in epochs] for name, sources in _SERIES.items()
    }


def _first(epoch: dict[str, Any], sources: tuple[str, ...]) -> float | None:
    for name in sources:
        value = epoch.get(name)
        if isinstance(value, int | float) and np.isfinite(value):
            return float(value)
    return None


def _any(values: list[float | None]) -> bool:
    return any(value is not None for value in values)


def _mean_series(series: list[list[float | None]]) -> list[float | None]:
    """Return the mean by epoch of known values, over the epochs that all series have."""
    shortest = min((len(values) for values in series), default=0)
    means: list[float | None] = []
    for n in range(shortest):
        known = [value for value in (values[n] for values in series) if value is not None]
        means.append(float(np.mean(known)) if known else None)
    return means
