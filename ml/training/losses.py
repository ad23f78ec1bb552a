"""What each judged element weighs in the loss. Numpy only.

Every loss here is a binary cross-entropy whose elements are weighted, so that networks need to
know one loss only and a mask is simply a weight of zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.types import LabelMatrix, require_choice

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


#: The study's loss: plain cross-entropy, a whole track weighted by its first label's weight.
KERAS_CLASS_WEIGHT = "keras-class-weight"

#: Loss name -> the weight of a positive, from the odds against the label, (n_labels,).
LOSSES: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    "bce": _plain,
    "sqrt-weighted-bce": _sqrt,
    "weighted-bce": _full,
}


def loss_names() -> tuple[str, ...]:
    """Return the names of all losses."""
    return (*LOSSES, KERAS_CLASS_WEIGHT)


def element_weights(loss: str, labels: LabelMatrix, rows: npt.NDArray[Any]) -> FloatArray:
    """Weight of every element of `labels` in the loss, float32 (n_tracks, n_labels).

    Positives weigh sqrt((1 - p) / p), at most sqrt(20), under the default loss; negatives 1;
    what was not judged 0. The prevalence p is that among `rows`, the tracks learnt from.
    Under "keras-class-weight" every element of a track among `rows` weighs the same (see
    `class_weight_of_tracks`) and the others 1: Keras validates without class weights.

    Raises
    ------
    ParameterError : for an unknown loss.
    """
    require_choice("loss", loss, loss_names())
    if loss == KERAS_CLASS_WEIGHT:
        weights = np.ones(labels.labels.shape)
        learnt = labels.rows(rows)
        weights[rows] = class_weight_of_tracks(learnt, balanced_class_weights(learnt))[:, None]
    else:
        p = prevalence(labels.rows(rows))
        weights = np.where(labels.labels, LOSSES[loss]((1 - p) / p), 1.0)
    return np.where(labels.label_mask, weights, 0.0).astype(np.float32)


def balanced_class_weights(labels: LabelMatrix) -> npt.NDArray[np.float64]:
    """Weight of each label as scikit-learn balances classes, (n_labels,) [1]_.

    Of the flattened labels, one entry for every label of every track: entries / (labels that
    occur x entries of this one). A label that does not occur weighs 1, as Keras has it for a
    class without a weight.

    References
    ----------
    .. [1] King & Zeng, "Logistic regression in rare events data", Political Analysis 9, 2001.
    """
    counts = (labels.labels & labels.label_mask).sum(axis=0).astype(np.float64)
    mean = counts.sum() / max(1, np.count_nonzero(counts))
    return np.divide(mean, counts, out=np.ones_like(counts), where=counts > 0)


def class_weight_of_tracks(
    labels: LabelMatrix, class_weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Weight that Keras gives each track for `class_weight` on multi-hot targets, (n_tracks,).

    Keras takes the argmax of a row as its class: the *first* column with a 1, whatever else is
    in the row, and column 0 where there is none. That one weight counts for all labels of the
    track, its negatives included, and depends on the order of the columns.
    """
    return class_weights[np.argmax(labels.labels & labels.label_mask, axis=1)]
