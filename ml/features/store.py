"""Feature store: features of many tracks in shards on disk, written once and memory-mapped.

Stage: features. Numpy only. Layout under the root, one folder per FeatureConfig::

    <first 16 of the config's digest>/<shard>.windows.npy    float16 (n, frames, coefficients)
    <first 16 of the config's digest>/<shard>.tracks.npy     one record per track

A record holds `row_key`, `offset` and `windows` (the position and number of its windows in the
other file) and `summary` (float32). One chunk of extraction, about 64 tracks, makes one shard.
Both files are written under temporary names, synced to disk and renamed, the windows last: a
shard that can be opened is complete. Its name must be new for each attempt (include the
attempt's token), so that a chunk that was killed and repeated never meets files of the earlier
attempt. `FeatureStore.sweep` removes what no row of the database refers to.
"""

from __future__ import annotations

import mmap
import os
import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.errors import FeatureStoreError, ParameterError
from ml.files import sync_folder
from ml.types import FeatureConfig, FloatArray

Half = npt.NDArray[np.float16]
#: (row_key, windows of any float type, summary).
StoreItem = tuple[int, npt.NDArray[np.floating], npt.NDArray[np.floating]]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_WINDOWS, _TRACKS, _TEMPORARY = ".windows.npy", ".tracks.npy", ".part"
_OPEN_SHARDS = 256
_FLOAT16_MAX = 65_504.0


@dataclass(frozen=True)
class ShardRow:
    """Position of one track's features in the store, as the database keeps it.

    Attributes
    ----------
    row_key : key of the track's row in the database.
    shard : name of the shard.
    offset : first window in the shard.
    windows : number of windows.
    """

    row_key: int
    shard: str
    offset: int
    windows: int


def config_folder(root: str | os.PathLike[str], config: FeatureConfig) -> Path:
    """Return the folder that holds the shards of a config.

    Parameters
    ----------
    root : root of the store.
    config : the features.

    Returns
    -------
    Path

    Examples
    --------
    >>> config_folder("features", FeatureConfig("seed-1s")).name
    '23bde57b20a37473'
    """
    return Path(root) / config.digest()[:16]


def write_shard(
    root: str | os.PathLike[str],
    config: FeatureConfig,
    shard_name: str,
    items: Sequence[StoreItem],
) -> list[ShardRow]:
    """Write the features of some tracks as a new shard.

    Parameters
    ----------
    root : root of the store.
    config : that the features were computed with.
    shard_name : letters, digits, - and _; must never have been used before.
    items : (row_key, windows (n, *config.frame_shape), summary (d,)) of each track; n >= 1 and
        d is the same for all. Windows are stored as float16 (error up to 0.016 at 50).

    Returns
    -------
    list of ShardRow, in the order of `items`.

    Raises
    ------
    ParameterError : the name or a shape is not as above, or a value is not finite.
    FeatureStoreError : a shard of this name exists.
    """
    _check_name(shard_name)
    windows, records = _packed(config, items)
    folder = config_folder(root, config)
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / f"{shard_name}{_TRACKS}").exists():
        raise FeatureStoreError(f"shard {shard_name} is already there; a shard is written once")
    _publish(folder / f"{shard_name}{_TRACKS}", records)
    _publish(folder / f"{shard_name}{_WINDOWS}", windows)
    sync_folder(folder)
    return [
        ShardRow(int(key), shard_name, int(offset), int(count))
        for key, offset, count in records[["row_key", "offset", "windows"]].tolist()
    ]


def _packed(
    config: FeatureConfig, items: Sequence[StoreItem]
) -> tuple[Half, npt.NDArray[np.void]]:
    if not items:
        raise ParameterError("a shard needs at least one track")
    size = len(items[0][2])
    for key, windows, summary in items:
        if windows.ndim != 3 or not len(windows) or windows.shape[1:] != config.frame_shape:
            raise ParameterError(
                f"windows of row {key} have the shape {windows.shape}, not "
                f"(n, {config.frame_shape[0]}, {config.frame_shape[1]})"
            )
        if summary.shape != (size,):
            raise ParameterError(f"summary of row {key} has {summary.shape}, others {size}")
        if not (np.isfinite(summary).all() and np.abs(windows).max() <= _FLOAT16_MAX):
            raise ParameterError(f"features of row {key} are not finite")
    counts = [len(windows) for _, windows, _ in items]
    records = np.zeros(len(items), _record_type(size))
    records["row_key"] = [key for key, _, _ in items]
    records["offset"] = np.cumsum([0, *counts[:-1]])
    records["windows"] = counts
    records["summary"] = np.stack([summary for _, _, summary in items])
    return np.concatenate([windows.astype(np.float16) for _, windows, _ in items]), records


def _record_type(size: int) -> np.dtype[np.void]:
    fields = [("row_key", "<i8"), ("offset", "<i8"), ("windows", "<i8")]
    return np.dtype([*fields, ("summary", "<f4", (size,))])


def _publish(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array so that its name appears only when all of it is on disk.

    The unfinished file has a fixed name: another attempt at the shard overwrites it.
    """
    temporary = path.with_name(path.name + _TEMPORARY)
    with open(temporary, "wb") as stream:
        np.save(stream, array, allow_pickle=False)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


def _check_name(shard_name: str) -> None:
    if not _NAME.fullmatch(shard_name):
        raise ParameterError(
            f"{shard_name!r} is not a valid name of a shard: use only A-Z a-z 0-9 - _"
        )


class FeatureStore:
    """Reads the shards of one config. Not for several threads at once.

    Parameters
    ----------
    root : root of the store.
    config : the features.

    Attributes
    ----------
    config : the features.
    folder : folder of their shards.
    """

    def __init__(self, root: str | os.PathLike[str], config: FeatureConfig) -> None:
        self.config = config
        self.folder = config_folder(root, config)
        self._shards: OrderedDict[str, Half] = OrderedDict()
        self._tracks: OrderedDict[str, npt.NDArray[np.void]] = OrderedDict()

    def shard(self, shard: str) -> Half:
        """Return all windows of a shard, as a memory map.

        Nothing is read until it is used, and then only those pages (the kernel is told not to
        read ahead).

        Parameters
        ----------
        shard : name of the shard.

        Returns
        -------
        float16 array (n, frames, coefficients), read-only.

        Raises
        ------
        FeatureStoreError : the shard is missing, truncated, or of another shape.
        """
        held = self._shards.pop(shard, None)
        if held is None:
            held = self._mapped(shard)
        self._shards[shard] = held
        while len(self._shards) > _OPEN_SHARDS:
            self._shards.popitem(last=False)
        return held

    def windows(self, shard: str, offset: int, n: int) -> Half:
        """Return the windows of one track: a view of the memory map.

        Parameters
        ----------
        shard, offset, n : position and number of the windows, as in `ShardRow`.

        Returns
        -------
        float16 array (n, frames, coefficients), read-only.

        Raises
        ------
        FeatureStoreError : the shard is missing or damaged, or has fewer windows.
        """
        held = self.shard(shard)
        if not 0 <= offset <= offset + n <= len(held):
            raise FeatureStoreError(
                f"shard {shard} has {len(held)} windows, not {offset} to {offset + n}"
            )
        return held[offset : offset + n]

    def summaries(self, rows: Sequence[ShardRow]) -> FloatArray:
        """Return the summaries of some tracks in the order of `rows`.

        Parameters
        ----------
        rows : positions of the tracks.

        Returns
        -------
        float32 array (len(rows), d).

        Raises
        ------
        FeatureStoreError : a shard is missing or damaged, or does not hold the track.
        """
        by_shard: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            by_shard.setdefault(row.shard, []).append(place)
        out: FloatArray | None = None
        for shard, places in by_shard.items():
            records = self._records(shard)
            offsets = np.array([rows[place].offset for place in places])
            index = np.minimum(np.searchsorted(records["offset"], offsets), len(records) - 1)
            keys = np.array([rows[place].row_key for place in places])
            found = records[index]
            if np.any(found["offset"] != offsets) or np.any(found["row_key"] != keys):
                raise FeatureStoreError(f"shard {shard} does not hold the tracks asked for")
            if out is None:
                out = np.empty((len(rows), found["summary"].shape[1]), np.float32)
            out[places] = found["summary"]
        return np.empty((0, 0), np.float32) if out is None else out

    def sweep(self, known_shards: Iterable[str], older_than_s: float) -> list[str]:
        """Remove files of shards without reference, and unfinished files of crashed writers.

        Parameters
        ----------
        known_shards : names of the shards that the database refers to.
        older_than_s : age in seconds below which files are kept: their chunk may be about to
            commit.

        Returns
        -------
        list of the names of removed files.
        """
        known, removed = set(known_shards), []
        before = time.time() - older_than_s
        for path in sorted(self.folder.glob("*")):
            shard = path.name.split(".", 1)[0]
            is_ours = path.name.endswith((_WINDOWS, _TRACKS, _TEMPORARY))
            is_kept = shard in known and not path.name.endswith(_TEMPORARY)
            if is_ours and not is_kept and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)
                removed.append(path.name)
                self._shards.pop(shard, None)
                self._tracks.pop(shard, None)
        return removed

    def _records(self, shard: str) -> npt.NDArray[np.void]:
        held = self._tracks.pop(shard, None)
        if held is None:
            _check_name(shard)
            try:
                held = np.load(self.folder / f"{shard}{_TRACKS}", allow_pickle=False)
            except FileNotFoundError as error:
                raise FeatureStoreError(f"shard {shard} is not there") from error
            except (ValueError, EOFError, OSError) as error:
                raise FeatureStoreError(f"the tracks of shard {shard} are damaged") from error
        self._tracks[shard] = held
        while len(self._tracks) > _OPEN_SHARDS:
            self._tracks.popitem(last=False)
        return held

    def _mapped(self, shard: str) -> Half:
        _check_name(shard)
        try:
            with open(self.folder / f"{shard}{_WINDOWS}", "rb") as stream:
                np.lib.format.read_magic(stream)
                shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
                start = stream.tell()
                mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError as error:
            raise FeatureStoreError(f"shard {shard} is not there") from error
        except (ValueError, EOFError) as error:
            raise FeatureStoreError(f"the windows of shard {shard} are damaged") from error
        if dtype != np.float16 or shape[1:] != self.config.frame_shape:
            raise FeatureStoreError(
                f"shard {shard} holds {dtype} {shape}, which does not match its config: "
                "extract the features again"
            )
        expected = start + int(np.prod(shape)) * 2
        if len(mapped) != expected or shape[0] != self._records(shard)["windows"].sum():
            raise FeatureStoreError(
                f"shard {shard} is cut short: {len(mapped)} of {expected} bytes are there"
            )
        if hasattr(mapped, "madvise"):
            mapped.madvise(mmap.MADV_RANDOM)
        return np.frombuffer(mapped, np.float16, offset=start).reshape(shape)
