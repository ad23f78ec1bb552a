"""Store of the weights after every epoch, in a temporary file.

The weights of all epochs of five folds of several networks would fill the memory. The file has
no name and disappears with the object. Numpy only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO

import numpy as np

from ml.networks.base import Weights


class KeptWeights:
    """Weights by epoch, from 0; each is read from the file when it is asked for."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._places: list[tuple[int, tuple[str, ...]]] = []

    def append(self, weights: Weights) -> None:
        """Append the weights of the next epoch to the file.

        Parameters
        ----------
        weights : arrays by name; every epoch may have its own names.
        """
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="audiotag-weights-")  # noqa: SIM115
        self._places.append((self._file.seek(0, 2), tuple(weights)))
        for value in weights.values():
            np.save(self._file, value, allow_pickle=False)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, epoch: int) -> Weights:
        start, names = self._places[epoch]
        assert self._file is not None  # noqa: S101  there is a place
        self._file.seek(start)
        return {name: np.load(self._file, allow_pickle=False) for name in names}

    def __iter__(self) -> Iterator[Weights]:
        return (self[epoch] for epoch in range(len(self)))
