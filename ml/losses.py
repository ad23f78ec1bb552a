"""What each judged element weighs in the loss. Numpy only.

Every loss here is a binary cross-entropy whose elements are weighted, so that networks need to
know one loss only and a mask is simply a weight of zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.types import LabelMatrix

FloatArray = npt.NDArray[np.float32]

#: No positive counts more than this many negatives.
LARGEST_POSITIVE_WEIGHT = 20.0


def prevalence(labels: LabelMatrix) -> npt.NDArray[np.float64]:
    """Share of the judged tracks that have each label, (n_labels,), always within (0, 1).

    A label all of whose judged tracks have it, or none, gets (positives + 1/2) / (judged + 1)
    (Jeffreys' prior), so that log odds stay finite; one that nobody judged gets 1/2.
    """
    positives = (labels.labels & labels.label_mask).sum(axis=0).astype(np.float64)
    judged = labels.label_mask.sum(axis=0).astype(np.float64)
    has_both = (positives > 0) & (positives < judged)
    exact = np.divide(positives, judged, out=np.full(len(judged), 0.5), where=judged > 0)
    return np.where(has_both, exact, (positives + 0.5) / (judged + 1))


def log_odds(probabilities: npt.NDArray[np.float64]) -> FloatArray:
    """Return log(p / (1 - p)) as float32."""
    return (np.log(probabilities) - np.log1p(-probabilities)).astype(np.float32)


def _plain(odds_against: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.ones_like(odds_against)


def _sqrt(odds_against: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.sqrt(np.minimum(odds_against, LARGEST_POSITIVE_WEIGHT))


def _full(odds_against: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.minimum(odds_against, LARGEST_POSITIVE_WEIGHT)


#: Loss name -> the weight of a positive, from the odds against the label, (n_labels,).
LOSSES: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    "bce": _plain,
    "sqrt-weighted-bce": _sqrt,
    "weighted-bce": _full,
}


def element_weights(loss: str, labels: LabelMatrix, rows: npt.NDArray[Any]) -> FloatArray:
    """Weight of every element of `labels` in the loss, float32 (n_tracks, n_labels).

    Positives weigh sqrt((1 - p) / p), at most sqrt(20), under the default loss; negatives 1;
    what was not judged 0. The prevalence p is that among `rows`, the tracks learnt from.

    Raises
    ------
    ParameterError : for an unknown loss.
    """
    if loss not in LOSSES:
        raise ParameterError(f"loss is {loss!r}; known: {', '.join(LOSSES)}")
    p = prevalence(labels.rows(rows))
    weights = np.where(labels.labels, LOSSES[loss]((1 - p) / p), 1.0)
    return np.where(labels.label_mask, weights, 0.0).astype(np.float32)
