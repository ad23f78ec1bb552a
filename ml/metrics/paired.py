"""Comparison of two models on the same tracks, by a paired bootstrap.

Stage: evaluation and promotion. Numpy only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.metrics.intervals import centred_bounds, resampling_weights
from ml.metrics.judged_groups import can_be_resampled
from ml.metrics.ranking import (
    binary_cross_entropy,
    label_ranking_precision,
    macro_average_precision,
)
from ml.metrics.scores import check_probabilities, scorable_labels
from ml.types import Floats, LabelMatrix

#: Below this many audit tracks two models are not compared: the verdict is "undecided".
MINIMUM_TRACKS_TO_COMPARE = 8
#: Statistics that can be resampled: (probabilities, labels, weights (n, B)) -> (B,).
STATISTICS: dict[str, Callable[[Floats, LabelMatrix, Floats], Floats]] = {
    "macro_ap": macro_average_precision,
    "lwlrap": label_ranking_precision,
    "bce": binary_cross_entropy,
}


class Difference(TypedDict):
    """Difference of one metric between two models; the keys are those of JSON.

    Attributes
    ----------
    difference : first minus second, None without a scorable label.
    lo, hi : bounds of its 95 % interval; None when there are too few groups to resample.
    """

    difference: float | None
    lo: float | None
    hi: float | None


def paired_bootstrap(
    probabilities_a: Floats,
    probabilities_b: Floats,
    labels: LabelMatrix,
    statistic: str = "macro_ap",
    *,
    groups: npt.NDArray[Any] | None = None,
    n_resamples: int = 1_000,
    seed: int = 0,
) -> Difference:
    """Compute the difference a - b of one metric with its 95 % interval (see `centred_bounds`).

    Both models are scored on the same resamples, so variation that they share cancels.

    Parameters
    ----------
    probabilities_a, probabilities_b : float arrays (n_tracks, n_labels) in [0, 1].
    labels : labels of the same tracks.
    statistic : a name in `STATISTICS`.
    groups : (n_tracks,) resampled as a whole; None: each track on its own.
    n_resamples, seed : size and seed of the bootstrap [1]_.

    Returns
    -------
    Difference : all None without a scorable label; lo and hi are None when the judged tracks
        come from fewer than `MINIMUM_GROUPS_TO_COMPARE` groups.

    Raises
    ------
    ParameterError : the statistic is unknown, shapes differ, or a value is outside [0, 1].

    References
    ----------
    .. [1] Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Examples
    --------
    >>> given = np.array([[True], [False], [True], [False]])
    >>> labels = LabelMatrix(given, np.ones((4, 1), bool))
    >>> good, poor = np.array([[0.9], [0.1], [0.8], [0.2]]), np.full((4, 1), 0.5)
    >>> paired_bootstrap(good, poor, labels, n_resamples=50)["difference"]
    0.5
    """
    if statistic not in STATISTICS:
        known = ", ".join(sorted(STATISTICS))
        raise ParameterError(f"unknown statistic {statistic!r}: choose one of {known}")
    scored = scorable_labels(labels)
    if not scored.any():
        return {"difference": None, "lo": None, "hi": None}
    kept = LabelMatrix(labels.labels[:, scored], labels.label_mask[:, scored])
    pair = [probabilities_a, probabilities_b]
    for probabilities in pair:
        check_probabilities(probabilities, labels)

    def differences(weights: Floats) -> Floats:
        a, b = (STATISTICS[statistic](values[:, scored], kept, weights) for values in pair)
        return a - b

    observed = float(differences(np.ones((labels.n_tracks, 1)))[0])
    if not can_be_resampled(labels, groups):
        return {"difference": observed, "lo": None, "hi": None}
    blocks = resampling_weights(labels.n_tracks, groups, n_resamples, seed)
    values = np.concatenate([differences(weights) for weights in blocks])
    low, high = centred_bounds(values, observed) or (None, None)
    return {"difference": observed, "lo": low, "hi": high}
