"""Bootstrap intervals: resample groups of tracks, and centre the percentiles.

Stage: evaluation. Numpy only.

Sources: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13; Field &
Welsh, "Bootstrapping clustered data", J. R. Stat. Soc. B 69, 2007 (whole groups are drawn).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.metrics.ranking import CELLS_A_BLOCK, macro_average_precision
from ml.types import Floats, LabelMatrix


def resampling_weights(
    n_tracks: int, groups: npt.NDArray[Any] | None, n_resamples: int, seed: int
) -> Iterator[Floats]:
    """Yield bootstrap weights in blocks until `n_resamples` columns are drawn.

    Each column says how often each track was drawn when whole groups are drawn with
    replacement (the cluster bootstrap: tracks of one album are not independent).

    Parameters
    ----------
    n_tracks : number of tracks.
    groups : (n_tracks,) of any sortable type; None: each track is its own group.
    n_resamples : columns in all blocks together.
    seed : seed of the draws.

    Yields
    ------
    float64 array (n_tracks, b) of whole numbers >= 0.

    Examples
    --------
    >>> (weights,) = resampling_weights(4, np.array(["a", "a", "b", "c"]), 2, seed=0)
    >>> weights.shape, bool((weights[0] == weights[1]).all())
    ((4, 2), True)
    """
    inverse = np.arange(n_tracks)
    if groups is not None:
        inverse = np.unique(groups, return_inverse=True)[1].reshape(-1)
    n_groups = int(inverse.max()) + 1 if n_tracks else 0
    rng = np.random.default_rng(seed)
    block = max(1, CELLS_A_BLOCK // max(1, n_tracks))
    for start in range(0, n_resamples, block):
        size = min(block, n_resamples - start)
        drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=size)
        yield drawn.T[inverse].astype(float)


def resampled_macro_ap(
    probabilities: Floats,
    labels: LabelMatrix,
    groups: npt.NDArray[Any] | None,
    n_resamples: int,
    seed: int,
) -> Floats:
    """Return macro AP on bootstrap resamples of the tracks.

    Parameters
    ----------
    probabilities : float array (n_tracks, n_labels).
    labels : labels of the same tracks.
    groups : (n_tracks,) of any sortable type, drawn as a whole; None: each track on its own.
    n_resamples : number of resamples; below 1, nothing is drawn.
    seed : seed of the draws.

    Returns
    -------
    float array (n_resamples,), NaN where no label can be scored; empty without resamples.
    """
    if n_resamples < 1 or labels.n_labels == 0:
        return np.empty(0)
    blocks = resampling_weights(labels.n_tracks, groups, n_resamples, seed)
    return np.concatenate(
        [macro_average_precision(probabilities, labels, weights) for weights in blocks]
    )


def centred_interval(values: Floats, figure: float | None) -> list[float] | None:
    """Return the 95 % interval of a metric in [0, 1] from its bootstrap resamples.

    With few positives a resampled average precision is biased upwards (duplicates help each
    other), so the percentiles are shifted until their median is the metric itself.

    Parameters
    ----------
    values : float array (n_resamples,), NaN where a resample has no value.
    figure : the metric on all tracks; None when it cannot be computed.

    Returns
    -------
    [low, high] within [0, 1], or None without a metric or resamples.

    Examples
    --------
    >>> [round(x, 3) for x in centred_interval(np.linspace(0.5, 0.7, 41), 0.55)]
    [0.455, 0.645]
    """
    bounds = centred_bounds(values, figure)
    return None if bounds is None else [max(0.0, bounds[0]), min(1.0, bounds[1])]


def centred_bounds(values: Floats, figure: float | None) -> tuple[float, float] | None:
    """Return the bounds of `centred_interval` for a value of any range, such as a difference.

    The bias differs between two models: the one that ranks worse has more of it. It therefore
    does not cancel in their difference.

    Parameters
    ----------
    values : float array (n_resamples,), NaN where a resample has no value.
    figure : the value on all tracks; None when it cannot be computed.

    Returns
    -------
    (low, high), or None without a value or resamples.

    Examples
    --------
    >>> low, high = centred_bounds(np.array([-0.1, 0.0, 0.1, np.nan]), 0.2)
    >>> round(low, 3), round(high, 3)
    (0.105, 0.295)
    """
    known = values[np.isfinite(values)]
    if figure is None or len(known) == 0:
        return None
    low, middle, high = np.percentile(known, [2.5, 50, 97.5])
    return float(figure + low - middle), float(figure + high - middle)
