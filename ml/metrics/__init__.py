"""Metrics, their baseline and intervals, calibration, and splits.

`scores` computes the metrics of probabilities and of the baseline, `ranking` the sums behind
them, `headline` the figures that pages show first, `label_skill` that of single labels; both
use the `jackknife`. `intervals` resamples tracks for a 95 % interval, `paired` compares two
models on the same tracks, `calibration` fits Platt scaling and thresholds, `splits` keeps
groups of tracks together, `fold_means` averages over folds, and `judged_groups` decides whether
there are enough groups for an interval.
"""

__all__ = [
    "calibration",
    "fold_means",
    "headline",
    "intervals",
    "jackknife",
    "judged_groups",
    "label_skill",
    "paired",
    "ranking",
    "scores",
    "splits",
]
