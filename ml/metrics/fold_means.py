"""The figures of several models as one: the mean over folds of what each fold can tell.

Numpy only; used by `ml.evaluation.cross_validation` and `ml.evaluation.report`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Figures = dict[str, Any]

_MEANS = (
    "macro_ap",
    "lwlrap",
    "bce",
    "bce_skill",
    "macro_f1",
    "micro_f1",
    "binary_accuracy",
)


def mean_figures(folds: list[Figures]) -> Figures:
    """Return the mean of several `ml.metrics.scores.evaluate` over the folds with a figure.

    `n`, `support` and `negatives` are sums; a label is scored where any fold scored it; there
    is no interval.
    """
    rows = [
        _mean_of_label([fold["labels"][index] for fold in folds])
        for index in range(len(folds[0]["labels"]))
    ]
    return {
        "n": sum(fold["n"] for fold in folds),
        "labels_scored": sum(row["ap"] is not None for row in rows),
        **{name: _mean([fold[name] for fold in folds]) for name in _MEANS},
        "interval": {"macro_ap": None},
        "labels": rows,
    }


def _mean_of_label(rows: list[Figures]) -> Figures:
    sums = {name: sum(row[name] for row in rows) for name in ("support", "negatives")}
    names = ("prevalence", "ap", "ap_ratio", "threshold", "precision", "recall", "f1")
    means = {name: _mean([row[name] for row in rows]) for name in names}
    return {"index": rows[0]["index"], **sums, **means}


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
