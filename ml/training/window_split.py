"""Windows of one track on both sides of a validation split, as the study had them.

Stage: training, only where a TrainingConfig asks for split "windows". It is here to show what
such a split does: windows of one track are nearly alike, so what is measured on them is partly
memory. Networks know nothing of it: they see *rows*. Numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.features.track_features import TrackFeatures
from ml.networks.inputs import evenly_spaced

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class WindowRows:
    """Features whose rows are parts of tracks.

    Row t < n_tracks of the features holds the training windows of track t, every further row
    one validation window: Keras validates window by window, so that is how a row counts.

    Attributes
    ----------
    track_of : (rows,) the track that a row is a part of.
    held : (windows,) numbers of the windows within their tracks, row after row.
    counts : (rows,) windows of each row.
    """

    features: TrackFeatures
    track_of: IndexArray
    held: IndexArray
    counts: IndexArray

    @property
    def n_tracks(self) -> int:
        """Number of rows."""
        return len(self.track_of)

    @property
    def window_shape(self) -> tuple[int, int]:
        """(frames, coefficients) of a window."""
        return self.features.window_shape

    @property
    def training(self) -> IndexArray:
        """Rows that hold training windows."""
        return np.flatnonzero(self.counts[: self.features.n_tracks] > 0)

    @property
    def validation(self) -> IndexArray:
        """Rows that hold a validation window."""
        return np.arange(self.features.n_tracks, self.n_tracks)

    def summaries(self) -> FloatArray:
        """Return float32 (rows, d): those of the whole tracks."""
        return self.features.summaries()[self.track_of]

    def window_counts(self) -> IndexArray:
        """Return the number of windows of each row, (rows,)."""
        return self.counts

    def windows(self, tracks: IndexArray, windows: IndexArray) -> FloatArray:
        """Return float32 (m, frames, coefficients): window `windows[i]` of row `tracks[i]`."""
        first = np.cumsum(self.counts) - self.counts
        return self.features.windows(self.track_of[tracks], self.held[first[tracks] + windows])


def split_windows(
    features: TrackFeatures, tracks: IndexArray, share: float, seed: int
) -> WindowRows:
    """Hold out `share` of all windows of `tracks`, whichever track they are of.

    Parameters
    ----------
    features : of all tracks. tracks : those that are learnt from, ascending.
    share : of the windows, in (0, 1). seed : of the choice.

    Returns
    -------
    WindowRows. At least one window is held out and one is not; of a single window, or none,
    nothing is held out.
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
