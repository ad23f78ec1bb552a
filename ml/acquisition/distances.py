"""Distances between tracks in a feature space, in blocks that stay small. Numpy only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ml.types import Floats

Indices = npt.NDArray[np.intp]

_BLOCK = 2_048


def standardised(features: Floats) -> npt.NDArray[np.float32]:
    """Columns to mean 0 and deviation 1, float32; a constant column becomes 0."""
    spread = features.std(axis=0)
    centred = features - features.mean(axis=0)
    return np.asarray(centred / np.where(spread > 0, spread, 1), dtype=np.float32)


def nearest_labelled(
    candidates: npt.NDArray[np.float32], labelled: npt.NDArray[np.float32]
) -> tuple[Indices, npt.NDArray[np.float32]]:
    """For each candidate (m, d) the row in `labelled` (l, d) nearest to it, and the distance.

    Blocks of candidates keep the distance matrix below about 170 MB at 20,000 labelled tracks.
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
    points: npt.NDArray[np.float32],
    distances: npt.NDArray[np.float32],
    tiers: Indices,
    albums: Indices,
    k: int,
    cap_per_album: int,
) -> list[int]:
    """Choose k points, each the farthest from all that is labelled or chosen before it.

    Parameters
    ----------
    points : float32 (m, d). distances : float32 (m,), to the nearest labelled point.
    tiers : int (m,); a point of a higher tier comes before all of the lower ones.
    albums : int (m,), negative where unknown. cap_per_album : points of one album before the
        other albums have had their turn; then as many again.

    Returns
    -------
    list of at most k rows of `points`, in the order of choice.
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
