"""Features of some tracks as networks read them, in memory or on disk. Numpy only.

Stage: features and training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.features.store import FeatureStore, ShardRow
from ml.types import FloatArray, Indices


class TrackFeatures(Protocol):
    """Per track one summary vector and any number of windows of one shape."""

    @property
    def n_tracks(self) -> int:
        """Number of tracks."""

    @property
    def window_shape(self) -> tuple[int, int]:
        """(frames, coefficients) of a window."""

    def summaries(self) -> FloatArray:
        """Return the summaries of all tracks.

        Returns
        -------
        float32 array (n_tracks, d).
        """

    def window_counts(self) -> Indices:
        """Return the number of windows of each track.

        Returns
        -------
        int array (n_tracks,).
        """

    def windows(self, tracks: Indices, windows: Indices) -> FloatArray:
        """Return some windows: window `windows[i]` of track `tracks[i]`.

        Parameters
        ----------
        tracks, windows : int arrays (m,).

        Returns
        -------
        float32 array (m, frames, coefficients).
        """


@dataclass(frozen=True)
class ArrayFeatures:
    """Features in arrays: in memory, or views of memory-mapped shards.

    Attributes
    ----------
    summary : float array (n_tracks, d), or None if no network needs it.
    track_windows : one array (windows, frames, coefficients) per track, of any float type, or
        None. A view of a memory map stays on disk until its windows are used.

    Raises
    ------
    ParameterError : there are neither summaries nor windows, or their shapes do not match.

    Examples
    --------
    >>> features = ArrayFeatures(track_windows=[np.zeros((2, 4, 3)), np.ones((1, 4, 3))])
    >>> features.n_tracks, features.window_counts().tolist()
    (2, [2, 1])
    >>> features.windows(np.array([1]), np.array([0])).shape
    (1, 4, 3)
    """

    summary: npt.NDArray[Any] | None = None
    track_windows: Sequence[npt.NDArray[Any]] | None = None

    def __post_init__(self) -> None:
        if self.summary is None and self.track_windows is None:
            raise ParameterError("features need summaries, windows or both")
        if self.summary is not None and self.summary.ndim != 2:
            raise ParameterError(f"summaries {self.summary.shape} must have shape (tracks, d)")
        lengths = {len(held) for held in (self.summary, self.track_windows) if held is not None}
        if len(lengths) > 1:
            raise ParameterError(
                f"summaries and windows must have one number of tracks: {sorted(lengths)}"
            )
        if len({window.shape[1:] for window in self.track_windows or ()}) > 1:
            raise ParameterError("all windows must have one shape (frames, coefficients)")

    @property
    def n_tracks(self) -> int:
        """Number of tracks."""
        held = self.track_windows if self.summary is None else self.summary
        return 0 if held is None else len(held)

    @property
    def window_shape(self) -> tuple[int, int]:
        """(frames, coefficients) of a window."""
        frames, coefficients = self._windows()[0].shape[1:]
        return int(frames), int(coefficients)

    def summaries(self) -> FloatArray:
        """Return float32 (n_tracks, d)."""
        if self.summary is None:
            raise ParameterError("these features have no summaries: extract them first")
        return np.asarray(self.summary, dtype=np.float32)

    def window_counts(self) -> Indices:
        """Return the number of windows of each track, int (n_tracks,)."""
        return np.array([len(window) for window in self._windows()], dtype=np.intp)

    def windows(self, tracks: Indices, windows: Indices) -> FloatArray:
        """Return float32 (m, frames, coefficients): window `windows[i]` of `tracks[i]`."""
        held = self._windows()
        out = np.empty((len(tracks), *self.window_shape), dtype=np.float32)
        for row, (track, window) in enumerate(zip(tracks, windows, strict=True)):
            out[row] = held[track][window]
        return out

    def _windows(self) -> Sequence[npt.NDArray[Any]]:
        if not self.track_windows:
            raise ParameterError("these features have no windows: extract them first")
        return self.track_windows


@dataclass(frozen=True)
class ShardedFeatures:
    """Features in a few large arrays, each of many tracks: the memory-mapped feature store.

    A batch is gathered with one read per shard, not one per window.

    Attributes
    ----------
    shards : arrays (windows, frames, coefficients), usually float16 memory maps; any sequence
        that opens them on demand.
    shard : int array (n_tracks,), index of the array that holds the track.
    first : int array (n_tracks,), first window of the track in that array.
    counts : int array (n_tracks,), number of windows.
    summary : float32 array (n_tracks, d), or None.

    Raises
    ------
    ParameterError : the arrays differ in length.
    """

    shards: Sequence[npt.NDArray[Any]]
    shard: Indices
    first: Indices
    counts: Indices
    summary: npt.NDArray[Any] | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.shard), len(self.first), len(self.counts)}
        if len(lengths) > 1 or (self.summary is not None and len(self.summary) not in lengths):
            raise ParameterError("shard, first, counts and summary must be of one length")

    @property
    def n_tracks(self) -> int:
        """Number of tracks."""
        return len(self.counts)

    @property
    def window_shape(self) -> tuple[int, int]:
        """(frames, coefficients) of a window."""
        if not self.shards:
            raise ParameterError("these features have no windows: extract them first")
        frames, coefficients = self.shards[0].shape[1:]
        return int(frames), int(coefficients)

    def summaries(self) -> FloatArray:
        """Return float32 (n_tracks, d)."""
        if self.summary is None:
            raise ParameterError("these features have no summaries: extract them first")
        return np.asarray(self.summary, dtype=np.float32)

    def window_counts(self) -> Indices:
        """Return the number of windows of each track, int (n_tracks,)."""
        return self.counts

    def windows(self, tracks: Indices, windows: Indices) -> FloatArray:
        """Return float32 (m, frames, coefficients): window `windows[i]` of `tracks[i]`."""
        if np.any(windows < 0) or np.any(windows >= self.counts[tracks]):
            raise ParameterError("a window is requested that its track does not have")
        out = np.empty((len(tracks), *self.window_shape), dtype=np.float32)
        shard, position = self.shard[tracks], self.first[tracks] + windows
        for number in np.unique(shard):
            rows = np.flatnonzero(shard == number)
            held = self.shards[int(number)]
            if position[rows].max() >= len(held):
                raise ParameterError(f"a track reaches outside shard {number}")
            out[rows] = held[position[rows]]
        return out


class OpenedShards(Sequence[npt.NDArray[Any]]):
    """Shards of a feature store, mapped on demand; the store limits how many are open.

    Parameters
    ----------
    store : the feature store.
    names : names of the shards.
    """

    def __init__(self, store: FeatureStore, names: Sequence[str]) -> None:
        self._store = store
        self._names = names

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: Any) -> Any:
        return self._store.shard(self._names[index])


def stored_features(
    store: FeatureStore, rows: Sequence[ShardRow], *, has_summaries: bool = True
) -> ShardedFeatures:
    """Return the features of some tracks in a feature store.

    Summaries are read at once (about 1 kB per track), windows on demand.

    Parameters
    ----------
    store : the feature store.
    rows : positions of the tracks.
    has_summaries : False to leave the summaries unread.

    Returns
    -------
    ShardedFeatures, in the order of `rows`.

    Raises
    ------
    FeatureStoreError : a shard is missing or damaged, or does not hold these tracks.
    """
    names, shard = np.unique([row.shard for row in rows], return_inverse=True)
    return ShardedFeatures(
        OpenedShards(store, names.tolist()),
        shard.reshape(-1).astype(np.intp),
        np.array([row.offset for row in rows], dtype=np.intp),
        np.array([row.windows for row in rows], dtype=np.intp),
        store.summaries(rows) if has_summaries else None,
    )


@dataclass(frozen=True)
class SelectedTracks:
    """Some tracks of other features, renumbered 0, 1, ... in the order of `index`.

    Attributes
    ----------
    features : the other features.
    index : int array (n_tracks,), their tracks.
    """

    features: TrackFeatures
    index: Indices

    @property
    def n_tracks(self) -> int:
        """Number of tracks."""
        return len(self.index)

    @property
    def window_shape(self) -> tuple[int, int]:
        """(frames, coefficients) of a window."""
        return self.features.window_shape

    def summaries(self) -> FloatArray:
        """Return float32 (n_tracks, d)."""
        return self.features.summaries()[self.index]

    def window_counts(self) -> Indices:
        """Return the number of windows of each track, int (n_tracks,)."""
        return self.features.window_counts()[self.index]

    def windows(self, tracks: Indices, windows: Indices) -> FloatArray:
        """Return float32 (m, frames, coefficients): window `windows[i]` of `tracks[i]`."""
        return self.features.windows(self.index[tracks], windows)
