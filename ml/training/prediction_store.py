"""Store of a pool's predictions: one float16 array, read by memory map. Numpy only.

Stage: predict. The array is label-major, (n_labels, n_tracks): a queue, a threshold or a
dashboard reads one label of all tracks, which is one contiguous run of bytes. The file is an
ordinary .npy. The caller stores which label a row is, which track a column is, and the sha256
of the file.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.errors import MlError, ParameterError
from ml.files import file_sha256, fresh_file

_LABELS_A_BLOCK = 8


class PredictionFileError(MlError):
    """A predictions file is missing, damaged or not the one that was registered."""


@dataclass(frozen=True)
class StoredPredictions:
    """Facts about a predictions file that was written.

    Attributes
    ----------
    path : of the file. n_tracks, n_labels : its columns and rows.
    sha256 : of the file, 64 hexadecimal characters. size_bytes : of the file.
    """

    path: Path
    n_tracks: int
    n_labels: int
    sha256: str
    size_bytes: int


def write_predictions(path: Path, probabilities: npt.NDArray[Any]) -> StoredPredictions:
    """Write probabilities as a file, whole or not at all; it replaces an earlier file.

    A killed process may leave a temporary file in the same folder; its name begins with a dot.

    Parameters
    ----------
    path : of the file. probabilities : float (n_tracks, n_labels) in [0, 1].

    Returns
    -------
    StoredPredictions : with the checksum to register.

    Raises
    ------
    ParameterError : the array is not two-dimensional, or a value is outside [0, 1] or NaN.
    """
    if probabilities.ndim != 2:
        raise ParameterError(f"probabilities are {probabilities.shape}, not (tracks, labels)")
    n_tracks, n_labels = probabilities.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {"descr": "<f2", "fortran_order": False, "shape": (n_labels, n_tracks)}
    start_of_file = io.BytesIO()
    np.lib.format.write_array_header_1_0(start_of_file, header)
    # Hashed as it is written: reading the file again could find another process's.
    digest = hashlib.sha256()
    with fresh_file(path) as file:
        for data in chain([start_of_file.getvalue()], _blocks(probabilities)):
            digest.update(data)
            file.write(data)
        size_bytes = file.tell()
    return StoredPredictions(path, n_tracks, n_labels, digest.hexdigest(), size_bytes)


def _blocks(probabilities: npt.NDArray[Any]) -> Iterator[bytes]:
    for start in range(0, probabilities.shape[1], _LABELS_A_BLOCK):
        yield _checked(probabilities[:, start : start + _LABELS_A_BLOCK].T).tobytes()


def _checked(block: npt.NDArray[Any]) -> npt.NDArray[np.float16]:
    if block.size and not (block.min() >= 0 and block.max() <= 1):
        raise ParameterError("probabilities must be numbers in [0, 1]")
    return np.ascontiguousarray(block, dtype="<f2")


@dataclass(frozen=True)
class PredictionArray:
    """A predictions file, open for reading; values are read when they are asked for.

    Attributes
    ----------
    values : float16 (n_labels, n_tracks), read-only memory map.
    """

    values: npt.NDArray[np.float16]

    @classmethod
    def open(cls, path: Path, expected_sha256: str | None = None) -> Self:
        """Map a file into memory.

        Parameters
        ----------
        path : of the file. expected_sha256 : compared with the whole content first; None skips
            the comparison.

        Returns
        -------
        PredictionArray : read-only.

        Raises
        ------
        PredictionFileError : the file is missing or damaged, does not hold float16, or has
            another checksum.
        """
        try:
            if expected_sha256 is not None and file_sha256(path) != expected_sha256:
                raise PredictionFileError(
                    f"{path.name} is not the file that was registered; predict again"
                )
            if path.stat().st_size == _empty_size(path):
                values = np.load(path, allow_pickle=False)
            else:
                values = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise PredictionFileError(
                f"{path.name} cannot be read: {error}; predict again"
            ) from error
        if values.dtype != np.dtype("<f2") or values.ndim != 2:
            raise PredictionFileError(f"{path.name} does not hold predictions; predict again")
        return cls(values)

    @property
    def n_labels(self) -> int:
        """Number of labels."""
        return int(self.values.shape[0])

    @property
    def n_tracks(self) -> int:
        """Number of tracks."""
        return int(self.values.shape[1])

    def label(self, label: int) -> npt.NDArray[np.float32]:
        """Read one label of all tracks.

        Parameters
        ----------
        label : row of the array.

        Returns
        -------
        ndarray : float32 (n_tracks,).
        """
        return self.values[label].astype(np.float32)

    def tracks(self, index: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Read all labels of some tracks.

        Parameters
        ----------
        index : int (m,), columns of the array.

        Returns
        -------
        ndarray : float32 (m, n_labels).
        """
        return np.ascontiguousarray(self.values[:, index].T, dtype=np.float32)


def _empty_size(path: Path) -> int:
    """Return the size of the header in bytes; a file without elements cannot be mapped."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        return file.tell()
