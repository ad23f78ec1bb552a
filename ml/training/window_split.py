"""Split by windows, with windows of one track on both sides, as in the study. Numpy only.

Stage: train, only if the TrainingConfig has the split "windows". It exists to show the effect
of such a split: windows of one track are nearly alike, so a network is partly measured on what
it has memorised. Networks do not notice the split: they read *rows*.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.features.track_features import TrackFeatures
from ml.networks.inputs import evenly_spaced
from ml.types import FloatArray, Indices


@dataclass(frozen=True)
class WindowRows:
    """Features whose rows are parts of tracks.

    Row t < n_tracks holds the training windows of track t, every further row one validation
    window, because Keras validates window by window.

    Attributes
    ----------
    features : of n_tracks.
    track_of : int (rows,), the track that a row is a part of.
    held : int (windows,), numbers of the windows within their tracks, row after row.
    counts : int (rows,), windows of each row.
    """

    features: TrackFeatures
    track_of: Indices
    held: Indices
    counts: Indices

    @property
    def n_tracks(self) -> int:
        """Number of rows."""
        return len(self.track_of)

    @property
    def window_shape(self) -> tuple[int, int]:
        """(frames, coefficients) of a window."""
        return self.features.window_shape

    @property
    def training(self) -> Indices:
        """Rows that hold training windows."""
        return np.flatnonzero(self.counts[: self.features.n_tracks] > 0)

    @property
    def validation(self) -> Indices:
        """Rows that hold a validation window."""
        return np.arange(self.features.n_tracks, self.n_tracks)

    def summaries(self) -> FloatArray:
        """Return the summaries of the whole tracks.

        Returns
        -------
        FloatArray : float32 (rows, d).
        """
        return self.features.summaries()[self.track_of]

    def window_counts(self) -> Indices:
        """Return the number of windows of each row.

        Returns
        -------
        Indices : int (rows,).
        """
        return self.counts

    def windows(self, tracks: Indices, windows: Indices) -> FloatArray:
        """Read windows: `windows[i]` of row `tracks[i]`.

        Parameters
        ----------
        tracks : int (m,), rows. windows : int (m,), numbers within these rows.

        Returns
        -------
        FloatArray : float32 (m, frames, coefficients).
        """
        first = np.cumsum(self.counts) - self.counts
        return self.features.windows(self.track_of[tracks], self.held[first[tracks] + windows])


def split_windows(
    features: TrackFeatures, tracks: Indices, share: float, seed: int
) -> WindowRows:
    """Hold out a share of all windows, whichever track they are of.

    Parameters
    ----------
    features : of all tracks. tracks : int (n,), rows to learn from, ascending.
    share : of the windows, in (0, 1). seed : of the choice.

    Returns
    -------
    WindowRows : at least one window is held out and one is not; with fewer than two windows
        none is held out.
    """
    items = evenly_spaced(tracks, features.window_counts()[tracks], 0)
    n_held_out = max(1, round(share * len(items))) if len(items) > 1 else 0
    is_held_out = np.zeros(len(items), dtype=bool)
    is_held_out[np.random.default_rng([seed, 3]).permutation(len(items))[:n_held_out]] = True
    learnt, held_out = items[~is_held_out], items[is_held_out]
    per_track = np.bincount(learnt[:, 0], minlength=features.n_tracks)
    return WindowRows(
        features,
        track_of=np.concatenate([np.arange(features.n_tracks), held_out[:, 0]]),
        held=np.concatenate([learnt[:, 1], held_out[:, 1]]),
        counts=np.concatenate([per_track, np.ones(len(held_out), dtype=np.intp)]),
    )
