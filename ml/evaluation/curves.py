"""What stands behind a figure: curves, calibration, confusions and mistakes. Numpy only.

Every function takes what was judged and what was said of it, and returns JSON-able values.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ml.evaluation.record import EvaluationRecord
from ml.metrics.calibration import expected_calibration_error, reliability_diagram
from ml.metrics.ranking import EPSILON, Bools, Floats
from ml.types import LabelMatrix

Rows = list[dict[str, Any]]

#: A curve on a page has at most so many points; its ends are always among them.
MOST_POINTS = 100


def precision_recall(scores: Floats, positives: Bools) -> tuple[Floats, Floats, Floats]:
    """Precision and recall at every distinct score, from the highest down.

    Parameters
    ----------
    scores : float (n,). positives : bool (n,), at least one True.

    Returns
    -------
    precision, recall, cuts : float (m,); a track is chosen where score >= cut. They are those
    of `sklearn.metrics.precision_recall_curve` in reverse, without its added last point (1, 0);
    sum of recall steps x precision is the average precision.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    hits = np.cumsum(positives[order])[ends]
    return hits / (ends + 1), hits / positives.sum(), ranked[ends]


def curve_of(scores: Floats, positives: Bools) -> dict[str, list[float]] | None:
    """The curve of one label for a chart; None without a positive or without a negative."""
    if not positives.any() or positives.all():
        return None
    precision, recall, cuts = precision_recall(scores, positives)
    kept = np.unique(np.linspace(0, len(recall) - 1, min(MOST_POINTS, len(recall))).round())
    rows = kept.astype(int)
    return {
        "recall": _rounded(recall[rows]),
        "precision": _rounded(precision[rows]),
        "threshold": _rounded(cuts[rows]),
    }


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), 5) for value in values]


def calibration_of(probabilities: Floats, labels: LabelMatrix) -> dict[str, Any]:
    """The reliability diagram over all judged cells, with its ECE; no bins without a cell.

    Cells without a finite probability are left out.
    """
    known = np.isfinite(probabilities)
    labels = LabelMatrix(labels.labels, labels.label_mask & known)
    values = np.where(known, probabilities, 0.0)
    return {
        "bins": reliability_diagram(values, labels),
        "ece": expected_calibration_error(values, labels),
    }


def confusions(record: EvaluationRecord, most: int = 5) -> Rows:
    """What is said instead of each label where it is missed, at the tuned thresholds.

    Returns
    -------
    list of dict, one a label that was missed, the most often missed first: index, positives,
    missed (judged to have it, probability below its cut), nothing (of the missed, tracks on
    which no label that they have not is said), instead [{index, n}] (labels said of the missed
    tracks, which were judged not to have them; at most `most`, the most frequent first).
    """
    mask = record.reference.label_mask
    positives = record.reference.labels & mask
    chosen = record.probabilities >= record.cuts
    wrong = chosen & mask & ~positives
    found = []
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


def mistakes(record: EvaluationRecord, most: int = 20) -> Rows:
    """The tracks with the largest log loss, and the label that adds most to it.

    Returns
    -------
    list of dict, the worst first: row, track_uid, log_loss (mean over the judged labels, in
    nats), index (of the label with the largest loss), label_loss, probability, is_positive,
    positives [indices judged to be there], said [indices at or above their cut].
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


def _mistake(
    record: EvaluationRecord, row: int, losses: Floats, mean: Floats
) -> dict[str, Any]:
    worst = int(np.argmax(losses))
    positives = record.reference.labels[row] & record.reference.label_mask[row]
    said = record.probabilities[row] >= record.cuts[row]
    return {
        "row": row,
        "track_uid": record.track_uids[row].decode(),
        "log_loss": float(mean),
        "index": worst,
        "label_loss": float(losses[worst]),
        "probability": float(record.probabilities[row, worst]),
        "is_positive": bool(positives[worst]),
        "positives": np.flatnonzero(positives).tolist(),
        "said": np.flatnonzero(said).tolist(),
    }


_SERIES = {
    "loss": ("loss",),
    "validation_loss": ("validation_loss",),
    "accuracy": ("binary_accuracy", "accuracy", "training_accuracy"),
    "validation_accuracy": ("validation_binary_accuracy", "validation_accuracy"),
    "validation_macro_ap": ("validation_macro_ap",),
}


def course(history: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """The epochs as series for charts.

    Returns
    -------
    dict of n_stages, stages [{name, loss [...], validation_loss [...], accuracy [...],
    validation_accuracy [...], validation_macro_ap [...]}], mean (the same series, the mean over
    the stages that hold something out, by epoch; over all stages where none does) and
    best_epoch (from 1, of the lowest mean validation loss; None without one). A value that a
    stage does not have is null. The mean ends with the shortest of its stages: training
    too chooses only among epochs that all folds saw.
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
    """Mean by epoch of what is known, over the epochs that all series have."""
    shortest = min((len(values) for values in series), default=0)
    means: list[float | None] = []
    for n in range(shortest):
        known = [value for value in (values[n] for values in series) if value is not None]
        means.append(float(np.mean(known)) if known else None)
    return means
