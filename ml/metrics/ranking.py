"""Weighted sums behind `ml.metrics.scores`: average precision, lwlrap, cross-entropy.

Each is written over a weight per track, so that a bootstrap of a thousand resamples sorts the
scores once. Numpy only.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ml.types import LabelMatrix

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Bools: TypeAlias = npt.NDArray[np.bool_]

#: Work is cut into blocks of about this many cells: 32 MB of float64.
CELLS_A_BLOCK = 4_000_000
#: Probabilities are kept this far from 0 and 1 before their logarithm is taken.
EPSILON = 1e-7


def weighted_average_precision(scores: Floats, positives: Bools, weights: Floats) -> Floats:
    """Average precision under many weightings at once; tied scores count as one step.

    AP = sum over distinct scores of (recall - previous recall) x precision, no interpolation:
    what `sklearn.metrics.average_precision_score` computes.

    Parameters
    ----------
    scores : float (n,). positives : bool (n,).
    weights : float (n, n_weightings), >= 0; how often each track counts.

    Returns
    -------
    float (n_weightings,); nan where no positive, or no negative, has weight.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, chosen = scores[order], positives[order]
    if not chosen.any():
        return np.full(weights.shape[1], np.nan)
    # Only scores that a positive has make a step: what lies between them is summed at once.
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
    """Average precision of one label; None without a positive or without a negative.

    Examples
    --------
    >>> average_precision(np.array([.9, .8, .3]), np.array([True, False, True]))
    0.8333333333333333
    """
    if not positives.any() or positives.all():
        return None
    return float(weighted_average_precision(scores, positives, np.ones((len(scores), 1)))[0])


def ranking_sums(probabilities: Floats, labels: LabelMatrix) -> tuple[Floats, Floats]:
    """Per track, the two sums whose ratio over all tracks is lwlrap.

    Returns
    -------
    precision_sums : float (n,), over the positives of a track, of the share of positives among
        judged labels ranked at or above (ties count against, as scikit-learn).
    n_positives : float (n,).
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
    """Per track, the summed binary cross-entropy in nats and the number of judged cells."""
    clipped = np.clip(probabilities.astype(np.float64), EPSILON, 1 - EPSILON)
    loss = -np.where(labels.labels, np.log(clipped), np.log1p(-clipped))
    loss = np.where(labels.label_mask, loss, 0.0)
    return loss.sum(axis=1), labels.label_mask.sum(axis=1).astype(float)


def macro_average_precision(
    probabilities: Floats, labels: LabelMatrix, weights: Floats
) -> Floats:
    """Mean AP over labels for each weighting (n, B) -> (B,); one without AP is left out."""
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
    """Label-weighted LRAP for each weighting (n, B) -> (B,); nan without a positive."""
    return _weighted_ratio(ranking_sums(probabilities, labels), weights)


def binary_cross_entropy(probabilities: Floats, labels: LabelMatrix, weights: Floats) -> Floats:
    """Mean cross-entropy a judged cell, for each weighting (n, B) -> (B,)."""
    return _weighted_ratio(cross_entropy_sums(probabilities, labels), weights)
