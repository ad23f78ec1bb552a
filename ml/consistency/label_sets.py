"""Label sets of limited size: probabilities of labels, given how many labels a track carries.

Stage: consistency and snapshot. Numpy only. The labels of a track are independent, except that
the number of labels has a distribution of its own. The numbers are added up in a binary tree of
labels (upwards), and what is known about the total is handed back to each label (downwards), so
that no loop runs over the labels.

Source: Pearl, "Probabilistic reasoning in intelligent systems", 1988, chapter 4 (messages in a
tree); the counts of a tree are Poisson-binomial distributions.
"""

from __future__ import annotations

import numpy as np

from ml.types import Doubles

#: Tracks at a time, so that the tree fits into the processor's cache.
_CHUNK = 500


def count_distribution(probabilities: Doubles, most: int) -> Doubles:
    """Return how many of some independent labels apply.

    Parameters
    ----------
    probabilities : float64 (n_tracks, n_labels), probability of each label.
    most : counts above it are counted as `most`, >= 1.

    Returns
    -------
    float64 (n_tracks, most + 1), probability of 0, 1, .. and of `most` or more labels.

    Examples
    --------
    >>> count_distribution(np.array([[0.5, 0.5, 0.0]]), 2).tolist()
    [[0.25, 0.5, 0.25]]
    """
    return np.asarray(_upwards(probabilities.T, most)[-1][:, 0].T)


def with_known_counts(probabilities: Doubles, odds: Doubles) -> tuple[Doubles, Doubles]:
    """Return the probability of each label after the number of labels was taken into account.

    Parameters
    ----------
    probabilities : float64 (n_tracks, n_labels), probability of each label on its own.
    odds : float64 (most + 1,) or (n_tracks, most + 1), how much more probable 0, 1, .. and
        `most` or more labels are than for independent labels.

    Returns
    -------
    tuple : float64 (n_tracks, n_labels), probability of each label; and float64
        (n_tracks, most + 1), probability of each number of labels.

    Examples
    --------
    One of two labels applies, and not both:

    >>> labels, counts = with_known_counts(np.array([[0.5, 0.2]]), np.array([0.0, 1.0, 0.0]))
    >>> labels.round(2).tolist(), counts.tolist()
    ([[0.8, 0.2]], [[0.0, 1.0, 0.0]])
    """
    most = odds.shape[-1] - 1
    odds = np.broadcast_to(odds, (len(probabilities), most + 1))
    labels, counts = np.empty(probabilities.shape), np.empty(odds.shape)
    for first in range(0, len(probabilities), _CHUNK):
        rows = slice(first, first + _CHUNK)
        found = _one_chunk(np.ascontiguousarray(probabilities[rows].T), odds[rows].T)
        labels[rows], counts[rows] = found[0].T, found[1].T
    return labels, counts


def _one_chunk(probabilities: Doubles, odds: Doubles) -> tuple[Doubles, Doubles]:
    """Return the same for (n_labels, n_tracks) and (most + 1, n_tracks)."""
    most = len(odds) - 1
    levels = _upwards(probabilities, most)
    total = levels[-1][:, 0] * odds
    counts = total / np.maximum(total.sum(axis=0), np.finfo(float).tiny)
    message = odds[:, None] / np.maximum(odds.max(axis=0), np.finfo(float).tiny)
    for level in reversed(levels[:-1]):
        message = _downwards(level, message, most)
    message = message[:, : len(probabilities)]
    yes = probabilities * message[1]
    both = yes + (1 - probabilities) * message[0]
    # Where no allowed number of labels fits the answers at all, the answers alone decide.
    return np.divide(yes, both, out=probabilities.copy(), where=both > 0), counts


def _upwards(probabilities: Doubles, most: int) -> list[Doubles]:
    """Return the count distributions of the tree's levels, (size, n_nodes, n_tracks).

    A node joins one of the first half of the level below with one of the second half.
    """
    levels = [np.stack([1 - probabilities, probabilities])]
    while levels[-1].shape[1] > 1 or len(levels[-1]) < most + 1:
        level = levels[-1] = _even(levels[-1])
        half = level.shape[1] // 2
        left, right = level[:, :half], level[:, half:]
        size = min(2 * (len(level) - 1), most) + 1
        joined = np.zeros((size, *left.shape[1:]))
        for i in range(len(level)):
            for j in range(len(level)):
                joined[min(i + j, most)] += left[i] * right[j]
        levels.append(joined)
    return levels


def _even(level: Doubles) -> Doubles:
    """Return a level with an even number of nodes; an added node has count 0."""
    if level.shape[1] % 2 == 0:
        return level
    nothing = np.zeros((len(level), 1, level.shape[2]))
    nothing[0] = 1
    return np.concatenate([level, nothing], axis=1)


def _downwards(level: Doubles, message: Doubles, most: int) -> Doubles:
    """Return the messages to the nodes of a level from those to their parents."""
    half = level.shape[1] // 2
    left, right = level[:, :half], level[:, half:]
    out, message = np.zeros(level.shape), message[:, :half]
    for own in range(len(level)):
        for other in range(len(level)):
            part = message[min(own + other, most)]
            out[own, :half] += right[other] * part
            out[own, half:] += left[other] * part
    return out
