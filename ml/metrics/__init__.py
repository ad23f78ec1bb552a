"""Metrics, their baseline and intervals, calibration, and splits.

`scores` computes the metrics of probabilities, `ranking` the sums behind them, `calibration`
fits Platt scaling and thresholds, `splits` keeps groups of tracks together, `fold_means`
averages over folds, and `judged_groups` says whether an interval can be given.
"""

__all__ = ["calibration", "fold_means", "judged_groups", "ranking", "scores", "splits"]
