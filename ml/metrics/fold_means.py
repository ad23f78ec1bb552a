"""Mean of the metrics of several models: one per fold of a cross-validation.

Stage: evaluation. Numpy only; used by `ml.evaluation.cross_validation` and
`ml.evaluation.report`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from ml.metrics.scores import LabelMetrics, Metrics

_MEANS = (
    "macro_ap",
    "lwlrap",
    "bce",
    "bce_skill",
    "macro_f1",
    "micro_f1",
    "binary_accuracy",
)
_LABEL_MEANS = ("prevalence", "ap", "ap_ratio", "threshold", "precision", "recall", "f1")


def mean_metrics(folds: Sequence[Metrics]) -> Metrics:
    """Average metrics over folds; each is averaged over the folds that could compute it.

    Parameters
    ----------
    folds : results of `ml.metrics.scores.evaluate` over the same labels, at least one.

    Returns
    -------
    Metrics : `n`, `support` and `negatives` are sums. A label counts as scored when any fold
        scored it. There is no interval.

    Examples
    --------
    >>> from ml.metrics.scores import baseline
    >>> from ml.types import LabelMatrix
    >>> labels = LabelMatrix(np.array([[True], [False]]), np.ones((2, 1), bool))
    >>> folds = [baseline(np.array([prior]), labels) for prior in (0.5, 0.4)]
    >>> mean = mean_metrics(folds)
    >>> mean["n"], mean["macro_ap"], round(mean["bce"], 3)
    (4, 0.5, 0.703)
    """
    rows = [
        _mean_of_label([fold["labels"][index] for fold in folds])
        for index in range(len(folds[0]["labels"]))
    ]
    means = {
        "n": sum(fold["n"] for fold in folds),
        "labels_scored": sum(row["ap"] is not None for row in rows),
        **_means_of(folds, _MEANS),
        "interval": {"macro_ap": None},
        "labels": rows,
    }
    return cast(Metrics, means)


def _mean_of_label(rows: list[LabelMetrics]) -> LabelMetrics:
    means = {
        "index": rows[0]["index"],
        "support": sum(row["support"] for row in rows),
        "negatives": sum(row["negatives"] for row in rows),
        **_means_of(rows, _LABEL_MEANS),
    }
    return cast(LabelMetrics, means)


def _means_of(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> dict[str, float | None]:
    return {name: _mean([row[name] for row in rows]) for name in names}


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
