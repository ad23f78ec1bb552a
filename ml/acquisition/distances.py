"""Distances between tracks in feature space, computed in blocks that stay small.

Stage: acquisition. Numpy only.
"""

from __future__ import annotations

import numpy as np

from ml.types import FloatArray, Floats, Indices

_BLOCK = 2_048


def standardised(features: Floats) -> FloatArray:
    """Scale columns to mean 0 and standard deviation 1.

    Parameters
    ----------
    features : float array (n, d).

    Returns
    -------
    float32 array (n, d); a column with a single value becomes 0.

    Examples
    --------
    >>> standardised(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    spread = features.std(axis=0)
    centred = features - features.mean(axis=0)
    return np.asarray(centred / np.where(spread > 0, spread, 1), dtype=np.float32)


def nearest_labelled(
    candidates: FloatArray, labelled: FloatArray
) -> tuple[Indices, FloatArray]:
    """Find the nearest labelled track of each candidate.

    Blocks of candidates keep the distance matrix below about 170 MB at 20,000 labelled tracks.

    Parameters
    ----------
    candidates : float32 array (m, d).
    labelled : float32 array (n, d), n >= 1.

    Returns
    -------
    rows : int array (m,), rows of `labelled`.
    distances : float32 array (m,), Euclidean.

    Examples
    --------
    >>> points = np.array([[0.0], [5.0]], np.float32)
    >>> rows, distances = nearest_labelled(points, np.array([[4.0], [1.0]], np.float32))
    >>> rows.tolist(), distances.tolist()
    ([1, 0], [1.0, 1.0])
    """
    rows = np.empty(len(candidates), dtype=np.intp)
    distances = np.empty(len(candidates), dtype=np.float32)
    norms = (labelled**2).sum(axis=1)
    for start in range(0, len(candidates), _BLOCK):
        part = candidates[start : start + _BLOCK]
        squared = norms - 2 * part @ labelled.T
        nearest = squared.argmin(axis=1)
        rows[start : start + _BLOCK] = nearest
        exact = ((part - labelled[nearest]) ** 2).sum(axis=1)
        distances[start : start + _BLOCK] = np.sqrt(exact)
    return rows, distances


def farthest_traversal(
    points: FloatArray,
    distances: FloatArray,
    tiers: Indices,
    albums: Indices,
    k: int,
    cap_per_album: int,
) -> list[int]:
    """Choose k points, each the farthest from all that is labelled or already chosen.

    Source: Gonzalez, "Clustering to minimize the maximum intercluster distance", Theoretical
    Computer Science 38, 1985.

    Parameters
    ----------
    points : float32 array (m, d).
    distances : float32 array (m,), distance to the nearest labelled point.
    tiers : int array (m,); points of a higher tier come before all points of lower ones.
    albums : int array (m,), negative where unknown.
    k : number of points, >= 0.
    cap_per_album : points taken from one album before the other albums are considered; after
        that, as many again.

    Returns
    -------
    list of at most k rows of `points`, in the order of choice.

    Examples
    --------
    >>> points = np.array([[2.0], [9.0], [10.0]], np.float32)
    >>> same, unknown = np.zeros(3, int), np.full(3, -1)
    >>> farthest_traversal(points, points[:, 0], same, unknown, 2, 1)
    [2, 0]
    """
    nearest = distances.astype(np.float32) ** 2
    norms = (points**2).sum(axis=1)
    is_left = np.ones(len(points), dtype=bool)
    used = np.zeros(int(albums.max(initial=0)) + 1, dtype=int)
    chosen: list[int] = []
    while len(chosen) < min(k, len(points)):
        is_open = is_left & ((albums < 0) | (used[albums] < cap_per_album))
        if not is_open.any():
            used[:] = 0
            continue
        is_open &= tiers == tiers[is_open].max()
        row = int(np.argmax(np.where(is_open, nearest, -1)))
        chosen.append(row)
        is_left[row] = False
        if albums[row] >= 0:
            used[albums[row]] += 1
        squared = norms + (norms[row] - 2 * points @ points[row])
        np.minimum(nearest, np.maximum(squared, 0), out=nearest)
    return chosen
