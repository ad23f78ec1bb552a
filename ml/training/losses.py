"""Weights of the judged elements in the loss. Numpy only.

Stage: train. Every loss here is a binary cross-entropy with weighted elements. So networks
implement one loss only, and an element that was not judged has weight 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.types import FloatArray, LabelMatrix, require_choice

#: Largest weight of a positive; a negative weighs 1.
LARGEST_POSITIVE_WEIGHT = 20.0


def prevalence(labels: LabelMatrix) -> npt.NDArray[np.float64]:
    """Return the share of the judged tracks that have each label.

    If all judged tracks have a label, or none, the share is (positives + 1/2) / (judged + 1)
    (Jeffreys' prior), so that log odds stay finite. A label that nobody judged gets 1/2.

    Parameters
    ----------
    labels : (n_tracks, n_labels).

    Returns
    -------
    ndarray : float64 (n_labels,), within (0, 1).

    Examples
    --------
    >>> given = np.array([[True, True], [False, True]])
    >>> prevalence(LabelMatrix(given, np.ones_like(given))).round(3).tolist()
    [0.5, 0.833]
    """
    positives = (labels.labels & labels.label_mask).sum(axis=0).astype(np.float64)
    judged = labels.label_mask.sum(axis=0).astype(np.float64)
    has_both = (positives > 0) & (positives < judged)
    exact = np.divide(positives, judged, out=np.full(len(judged), 0.5), where=judged > 0)
    return np.where(has_both, exact, (positives + 0.5) / (judged + 1))


def log_odds(probabilities: npt.NDArray[np.float64]) -> FloatArray:
    """Return log(p / (1 - p)).

    Parameters
    ----------
    probabilities : float64, any shape, within (0, 1).

    Returns
    -------
    FloatArray : float32, same shape.

    Examples
    --------
    >>> log_odds(np.array([0.5, 0.9])).round(3).tolist()
    [0.0, 2.197000026702881]
    """
    return (np.log(probabilities) - np.log1p(-probabilities)).astype(np.float32)


def _plain(odds_against: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.ones_like(odds_against)


def _sqrt(odds_against: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.sqrt(np.minimum(odds_against, LARGEST_POSITIVE_WEIGHT))


def _full(odds_against: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.minimum(odds_against, LARGEST_POSITIVE_WEIGHT)


#: Loss of the study: plain cross-entropy; a whole track has the weight of its first label.
KERAS_CLASS_WEIGHT = "keras-class-weight"

#: Weight of a positive (n_labels,) by the odds against the label, for each name of a loss.
LOSSES: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    "bce": _plain,
    "sqrt-weighted-bce": _sqrt,
    "weighted-bce": _full,
}


def loss_names() -> tuple[str, ...]:
    """Return the names of all losses.

    Returns
    -------
    tuple of str : the values that `TrainingConfig.loss` may have.
    """
    return (*LOSSES, KERAS_CLASS_WEIGHT)


def element_weights(loss: str, labels: LabelMatrix, rows: npt.NDArray[Any]) -> FloatArray:
    """Return the weight of every element in the loss.

    With the default loss a positive weighs sqrt((1 - p) / p), at most sqrt(20), a negative 1,
    and an element that was not judged 0; p is the prevalence among `rows`. A soft target weighs
    between the two. With "keras-class-weight" all elements of a track among `rows` have one
    weight (see `class_weight_of_tracks`). Other elements weigh 1: Keras validates without class
    weights.

    Parameters
    ----------
    loss : one of `loss_names()`. labels : (n_tracks, n_labels).
    rows : int (m,), the tracks to learn from.

    Returns
    -------
    FloatArray : float32 (n_tracks, n_labels).

    Raises
    ------
    ParameterError : the loss is unknown.
    """
    require_choice("loss", loss, loss_names())
    if loss == KERAS_CLASS_WEIGHT:
        weights = np.ones(labels.labels.shape)
        learnt = labels.rows(rows)
        weights[rows] = class_weight_of_tracks(learnt, balanced_class_weights(learnt))[:, None]
    else:
        positive = _positive_weights(loss, labels, rows)
        if labels.soft is None:
            weights = np.where(labels.labels, positive, 1.0)
        else:
            weights = 1.0 + labels.targets * (positive - 1.0)
    return np.where(labels.answered, weights, 0.0).astype(np.float32)


def element_targets(loss: str, labels: LabelMatrix, rows: npt.NDArray[Any]) -> FloatArray:
    """Return the target of every element in the loss: 1 for a positive, 0 for a negative.

    A soft target p is learnt as a positive of weight p w and a negative of weight 1 - p, where
    w is the weight of a positive. That is one element of weight p w + 1 - p (see
    `element_weights`) with the target p w / (p w + 1 - p).

    Parameters
    ----------
    loss : one of `loss_names()`. labels : (n_tracks, n_labels).
    rows : int (m,), the tracks to learn from.

    Returns
    -------
    FloatArray : float32 (n_tracks, n_labels), within [0, 1].

    Examples
    --------
    >>> given = np.array([[True], [False]])
    >>> labels = LabelMatrix(given, given, np.array([[1.0], [0.25]], dtype=np.float32))
    >>> element_targets("bce", labels, np.arange(2)).tolist()
    [[1.0], [0.25]]
    """
    targets = labels.targets
    if labels.soft is None or loss == KERAS_CLASS_WEIGHT:
        return targets
    positive = targets * _positive_weights(loss, labels, rows)
    return (positive / (positive + 1 - targets)).astype(np.float32)


def _positive_weights(
    loss: str, labels: LabelMatrix, rows: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    p = prevalence(labels.rows(rows))
    return LOSSES[loss]((1 - p) / p)


def balanced_class_weights(labels: LabelMatrix) -> npt.NDArray[np.float64]:
    """Return the weight of each label, as scikit-learn balances classes [1]_.

    With one entry for every label of every track, it is entries / (labels that occur x entries
    of this label). A label that does not occur weighs 1, as in Keras.

    Parameters
    ----------
    labels : (n_tracks, n_labels).

    Returns
    -------
    ndarray : float64 (n_labels,).

    References
    ----------
    .. [1] King & Zeng, "Logistic regression in rare events data", Political Analysis 9, 2001.

    Examples
    --------
    >>> given = np.array([[True, False], [True, True], [True, False]])
    >>> balanced_class_weights(LabelMatrix(given, np.ones_like(given))).round(2).tolist()
    [0.67, 2.0]
    """
    counts = (labels.labels & labels.label_mask).sum(axis=0).astype(np.float64)
    mean = counts.sum() / max(1, np.count_nonzero(counts))
    return np.divide(mean, counts, out=np.ones_like(counts), where=counts > 0)


def class_weight_of_tracks(
    labels: LabelMatrix, class_weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the weight that Keras gives each track for `class_weight` on multi-hot targets.

    Keras takes the argmax of a row as its class: the *first* column with a 1, whatever else is
    in the row, and column 0 if there is none. This weight counts for all labels of the track,
    negatives included, and depends on the order of the columns.

    Parameters
    ----------
    labels : (n_tracks, n_labels). class_weights : float64 (n_labels,).

    Returns
    -------
    ndarray : float64 (n_tracks,).

    Examples
    --------
    >>> given = np.array([[False, True], [True, True]])
    >>> matrix = LabelMatrix(given, np.ones_like(given))
    >>> class_weight_of_tracks(matrix, np.array([0.5, 2.0])).tolist()
    [2.0, 0.5]
    """
    return class_weights[np.argmax(labels.labels & labels.label_mask, axis=1)]
