"""The features of some tracks as networks read them, whatever holds them. Numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.features.store import FeatureStore, ShardRow

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.intp]


class TrackFeatures(Protocol):
    """Per track one summary vector and any number of windows of one shape."""

    @property
    def n_tracks(self) -> int:
        """Number of tracks."""

    @property
    def window_shape(self) -> tuple[int, int]:
        """(frames, coefficients) of a window."""

    def summaries(self) -> FloatArray:
        """Return float32 (n_tracks, d)."""

    def window_counts(self) -> IndexArray:
        """Return the number of windows of each track, (n_tracks,)."""

    def windows(self, tracks: IndexArray, windows: IndexArray) -> FloatArray:
        """Return float32 (m, frames, coefficients): window `windows[i]` of `tracks[i]`."""


@dataclass(frozen=True)
class ArrayFeatures:
    """Features held by arrays: in memory, or views of memory-mapped shards.

    Attributes
    ----------
    summary : float (n_tracks, d), or None where no network needs it.
    track_windows : one array (windows, frames, coefficients) a track, of any float type, or
        None. A view of a memory map stays on disk until its windows are asked for.
    """

    summary: npt.NDArray[Any] | None = None
    track_windows: Sequence[npt.NDArray[Any]] | None = None

    def __post_init__(self) -> None:
        if self.summary is None and self.track_windows is None:
            raise ParameterError("features need summaries, windows or both")
        if self.summary is not None and self.summary.ndim != 2:
            raise ParameterError(f"summaries are {self.summary.shape}, not (tracks, d)")
        lengths = {len(held) for held in (self.summary, self.track_windows) if held is not None}
        if len(lengths) > 1:
            raise ParameterError(f"summaries and windows are of {sorted(lengths)} tracks")
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
            raise ParameterError("these features hold no summaries")
        return np.asarray(self.summary, dtype=np.float32)

    def window_counts(self) -> IndexArray:
        """Return the number of windows of each track, (n_tracks,)."""
        return np.array([len(window) for window in self._windows()], dtype=np.intp)

    def windows(self, tracks: IndexArray, windows: IndexArray) -> FloatArray:
        """Return float32 (m, frames, coefficients): window `windows[i]` of `tracks[i]`."""
        held = self._windows()
        out = np.empty((len(tracks), *self.window_shape), dtype=np.float32)
        for row, (track, window) in enumerate(zip(tracks, windows, strict=True)):
            out[row] = held[track][window]
        return out

    def _windows(self) -> Sequence[npt.NDArray[Any]]:
        if not self.track_windows:
            raise ParameterError("these features hold no windows")
        return self.track_windows


@dataclass(frozen=True)
class ShardedFeatures:
    """Features in a few large arrays, each of many tracks: the memory-mapped feature store.

    A batch is gathered with one read a shard, not one a window.

    Attributes
    ----------
    shards : arrays (windows, frames, coefficients), usually float16 memory maps; a sequence
        that opens them when asked will do.
    shard : int (n_tracks,), which array holds the track. first : its first window there.
    counts : its number of windows. summary : float32 (n_tracks, d), or None.
    """

    shards: Sequence[npt.NDArray[Any]]
    shard: IndexArray
    first: IndexArray
    counts: IndexArray
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
            raise ParameterError("these features hold no windows")
        frames, coefficients = self.shards[0].shape[1:]
        return int(frames), int(coefficients)

    def summaries(self) -> FloatArray:
        """Return float32 (n_tracks, d)."""
        if self.summary is None:
            raise ParameterError("these features hold no summaries")
        return np.asarray(self.summary, dtype=np.float32)

    def window_counts(self) -> IndexArray:
        """Return the number of windows of each track, (n_tracks,)."""
        return self.counts

    def windows(self, tracks: IndexArray, windows: IndexArray) -> FloatArray:
        """Return float32 (m, frames, coefficients): window `windows[i]` of `tracks[i]`."""
        if np.any(windows < 0) or np.any(windows >= self.counts[tracks]):
            raise ParameterError("a window is asked for that its track does not have")
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
    """Shards of a feature store, mapped when asked for; the store bounds how many are open."""

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
    """Return the features of some tracks in a feature store, in the order of `rows`.

    Summaries are read at once (about 1 kB a track) unless `has_summaries` is False; windows
    when they are asked for.

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
    """Some tracks of other features, renumbered 0, 1, ... in the order of `index`."""

    features: TrackFeatures
    index: IndexArray

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

    def window_counts(self) -> IndexArray:
        """Return the number of windows of each track, (n_tracks,)."""
        return self.features.window_counts()[self.index]

    def windows(self, tracks: IndexArray, windows: IndexArray) -> FloatArray:
        """Return float32 (m, frames, coefficients): window `windows[i]` of `tracks[i]`."""
        return self.features.windows(self.index[tracks], windows)
