"""Weighted sums behind `ml.metrics.scores`: average precision, lwlrap, cross-entropy.

Stage: evaluation. Each is computed for many weightings of the tracks at once, so that a
bootstrap of a thousand resamples sorts the scores once. Numpy only.
"""

from __future__ import annotations

import numpy as np

from ml.types import Bools, Floats, LabelMatrix

#: Work is done in blocks of about this many cells: 32 MB of float64.
CELLS_A_BLOCK = 4_000_000
#: Probabilities are kept this far from 0 and 1 before their logarithm is taken.
EPSILON = 1e-7


def weighted_average_precision(scores: Floats, positives: Bools, weights: Floats) -> Floats:
    """Compute average precision under many weightings at once; tied scores count as one step.

    AP = sum over distinct scores of (recall - previous recall) x precision, without
    interpolation, as `sklearn.metrics.average_precision_score`.

    Parameters
    ----------
    scores : float array (n,).
    positives : bool array (n,).
    weights : float array (n, n_weightings), >= 0; how often each track counts.

    Returns
    -------
    float array (n_weightings,); NaN where no positive, or no negative, has weight.

    Examples
    --------
    >>> scores, positives = np.array([0.9, 0.8, 0.3]), np.array([True, False, True])
    >>> weights = np.array([[1.0, 2.0], [1.0, 1.0], [1.0, 0.0]])
    >>> weighted_average_precision(scores, positives, weights).round(4).tolist()
    [0.8333, 1.0]
    """
    order = np.argsort(-scores, kind="stable")
    ranked, chosen = scores[order], positives[order]
    if not chosen.any():
        return np.full(weights.shape[1], np.nan)
    # Only scores of positives make a step: the tracks between them are summed at once.
    is_end = np.append(np.diff(ranked) != 0, True)
    step_of = np.append(0, np.cumsum(is_end)[:-1])
    steps, first = np.unique(step_of[chosen], return_index=True)
    ends = np.flatnonzero(is_end)[steps]
    weights = weights[order]
    reached, after = weights[: ends[-1] + 1], weights[ends[-1] + 1 :].sum(axis=0)
    seen = np.cumsum(np.add.reduceat(reached, np.append(0, ends[:-1] + 1), axis=0), axis=0)
    gained = np.add.reduceat(weights[chosen], first, axis=0)
    found = np.cumsum(gained, axis=0)
    precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
    total = found[-1]
    usable = (total > 0) & (total < seen[-1] + after)
    area = (gained * precision).sum(axis=0)
    return np.divide(area, total, out=np.full(len(total), np.nan), where=usable)


def average_precision(scores: Floats, positives: Bools) -> float | None:
    """Compute the average precision of one label.

    Parameters
    ----------
    scores : float array (n,).
    positives : bool array (n,).

    Returns
    -------
    float in (0, 1], or None without a positive or without a negative.

    Examples
    --------
    >>> average_precision(np.array([.9, .8, .3]), np.array([True, False, True]))
    0.8333333333333333
    """
    if not positives.any() or positives.all():
        return None
    return float(weighted_average_precision(scores, positives, np.ones((len(scores), 1)))[0])


def ranking_sums(probabilities: Floats, labels: LabelMatrix) -> tuple[Floats, Floats]:
    """Compute, for each track, the two sums whose ratio over all tracks is lwlrap.

    Parameters
    ----------
    probabilities : float array (n, n_labels) in [0, 1].
    labels : labels of the same tracks.

    Returns
    -------
    precision_sums : float array (n,). For each positive of a track, the share of positives
        among the judged labels ranked at or above it, summed (ties count against, as in
        scikit-learn).
    n_positives : float array (n,).

    Examples
    --------
    >>> labels = LabelMatrix(np.array([[True, False, True]]), np.ones((1, 3), bool))
    >>> sums, n_positives = ranking_sums(np.array([[0.9, 0.8, 0.3]]), labels)
    >>> round(float(sums[0]), 4), float(n_positives[0])
    (1.6667, 2.0)
    """
    scores = np.where(labels.label_mask, probabilities, -1.0)
    positives = labels.labels & labels.label_mask
    sums = np.zeros(labels.n_tracks)
    block = max(1, CELLS_A_BLOCK // max(1, labels.n_labels**2))
    for start in range(0, labels.n_tracks, block):
        part = slice(start, start + block)
        at_or_above = scores[part, None, :] >= scores[part, :, None]
        rank = (at_or_above & labels.label_mask[part, None, :]).sum(axis=2)
        hits = (at_or_above & positives[part, None, :]).sum(axis=2)
        ratio = np.where(positives[part], hits / np.maximum(rank, 1), 0.0)
        sums[part] = ratio.sum(axis=1)
    return sums, positives.sum(axis=1).astype(float)


def cross_entropy_sums(probabilities: Floats, labels: LabelMatrix) -> tuple[Floats, Floats]:
    """Compute, for each track, the summed binary cross-entropy and the number of judged cells.

    Parameters
    ----------
    probabilities : float array (n, n_labels) in [0, 1].
    labels : labels of the same tracks.

    Returns
    -------
    losses : float64 array (n,), in nats.
    n_judged : float64 array (n,).

    Examples
    --------
    >>> labels = LabelMatrix(np.array([[True, False]]), np.array([[True, False]]))
    >>> losses, n_judged = cross_entropy_sums(np.array([[0.5, 0.9]]), labels)
    >>> round(float(losses[0]), 4), float(n_judged[0])
    (0.6931, 1.0)
    """
    clipped = np.clip(probabilities.astype(np.float64), EPSILON, 1 - EPSILON)
    loss = -np.where(labels.labels, np.log(clipped), np.log1p(-clipped))
    loss = np.where(labels.label_mask, loss, 0.0)
    return loss.sum(axis=1), labels.label_mask.sum(axis=1).astype(float)


def macro_average_precision(
    probabilities: Floats, labels: LabelMatrix, weights: Floats
) -> Floats:
    """Compute macro AP for each weighting: the mean over labels that have an AP.

    Parameters
    ----------
    probabilities : float array (n, n_labels).
    labels : labels of the same tracks.
    weights : float array (n, n_weightings), >= 0.

    Returns
    -------
    float array (n_weightings,); NaN where no label has an AP.

    Examples
    --------
    >>> given = np.array([[True, True], [False, True]])
    >>> labels = LabelMatrix(given, np.ones((2, 2), bool))
    >>> macro_average_precision(np.array([[0.2, 0.9], [0.8, 0.1]]), labels, np.ones((2, 1)))
    array([0.5])
    """
    columns = []
    for label in range(labels.n_labels):
        judged = labels.label_mask[:, label]
        columns.append(
            weighted_average_precision(
                probabilities[judged, label], labels.labels[judged, label], weights[judged]
            )
        )
    stacked = np.array(columns)
    known = ~np.isnan(stacked)
    n_known = known.sum(axis=0)
    total = np.where(known, stacked, 0.0).sum(axis=0)
    return np.divide(total, n_known, out=np.full(len(n_known), np.nan), where=n_known > 0)


def _weighted_ratio(sums: tuple[Floats, Floats], weights: Floats) -> Floats:
    top, bottom = sums[0] @ weights, sums[1] @ weights
    return np.divide(top, bottom, out=np.full(len(bottom), np.nan), where=bottom > 0)


def label_ranking_precision(
    probabilities: Floats, labels: LabelMatrix, weights: Floats
) -> Floats:
    """Compute lwlrap (label-weighted label-ranking average precision) for each weighting.

    Parameters
    ----------
    probabilities : float array (n, n_labels) in [0, 1].
    labels : labels of the same tracks.
    weights : float array (n, n_weightings), >= 0.

    Returns
    -------
    float array (n_weightings,); NaN without a positive.

    Examples
    --------
    >>> labels = LabelMatrix(np.array([[True, False, True]]), np.ones((1, 3), bool))
    >>> label_ranking_precision(np.array([[0.9, 0.8, 0.3]]), labels, np.ones((1, 1))).round(4)
    array([0.8333])
    """
    return _weighted_ratio(ranking_sums(probabilities, labels), weights)


def binary_cross_entropy(probabilities: Floats, labels: LabelMatrix, weights: Floats) -> Floats:
    """Compute the mean binary cross-entropy per judged cell for each weighting.

    Parameters
    ----------
    probabilities : float array (n, n_labels) in [0, 1].
    labels : labels of the same tracks.
    weights : float array (n, n_weightings), >= 0.

    Returns
    -------
    float array (n_weightings,), in nats; NaN where nothing was judged.

    Examples
    --------
    >>> labels = LabelMatrix(np.array([[True, False]]), np.ones((1, 2), bool))
    >>> binary_cross_entropy(np.array([[0.5, 0.5]]), labels, np.ones((1, 1))).round(4)
    array([0.6931])
    """
    return _weighted_ratio(cross_entropy_sums(probabilities, labels), weights)
