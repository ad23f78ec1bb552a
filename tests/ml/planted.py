"""Tracks whose labels follow from their features, for tests of training."""

from __future__ import annotations

import numpy as np

from ml.features.track_features import ArrayFeatures
from ml.types import LabelMatrix


def planted_tracks(
    n_tracks: int = 240, n_labels: int = 4, noise: float = 0.0, seed: int = 0
) -> tuple[ArrayFeatures, LabelMatrix, np.ndarray]:
    """Label l is there where feature l is above its 70 % quantile; groups of four tracks."""
    rng = np.random.default_rng(seed)
    summaries = rng.normal(size=(n_tracks, n_labels + 4)).astype(np.float32)
    signal = summaries[:, :n_labels] + noise * rng.normal(size=(n_tracks, n_labels))
    labels = signal > np.quantile(signal, 0.7, axis=0)
    # Units and offsets as features have them: nothing is centred or of one size.
    summaries = summaries * np.float32([10, 0.1, 3, 1] * 9)[: n_labels + 4] + np.float32(5)
    matrix = LabelMatrix(labels, np.ones_like(labels))
    return ArrayFeatures(summaries), matrix, np.arange(n_tracks) // 4


def planted_windows(
    n_tracks: int = 120, n_labels: int = 3, seed: int = 0
) -> tuple[ArrayFeatures, LabelMatrix, np.ndarray]:
    """Coefficient l of every window of a track is raised where it has label l; 1-4 windows."""
    rng = np.random.default_rng(seed)
    labels = rng.random((n_tracks, n_labels)) < 0.4
    windows = []
    for track in range(n_tracks):
        values = rng.normal(size=(rng.integers(1, 5), 12, n_labels + 2))
        values[..., :n_labels] += 1.5 * labels[track]
        windows.append(values.astype(np.float16))
    matrix = LabelMatrix(labels, np.ones_like(labels))
    return ArrayFeatures(None, windows), matrix, np.arange(n_tracks) // 3
