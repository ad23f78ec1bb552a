"""Memory that a reader and its decoding child share for the samples of an excerpt.

Seven megabytes through a pipe cost as much as a tenth of decoding them. The reader makes the
room and gives the child its descriptor; the child decodes straight into it. It has no name
and goes with the last process that holds it.
"""

from __future__ import annotations

import mmap
import os
import tempfile

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Room:
    """A growing piece of shared memory, seen as float32. Either side maps what it needs."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map: mmap.mmap | None = None

    @classmethod
    def made(cls) -> Room:
        """Make a new one, empty. It lives in memory on Linux, in a nameless file elsewhere."""
        if hasattr(os, "memfd_create"):
            return cls(os.memfd_create("audiotag-excerpt"))
        with tempfile.TemporaryFile() as file:
            return cls(os.dup(file.fileno()))

    def grow(self, samples: int) -> None:
        """Make it hold at least so many samples; only the side that made it does this."""
        if os.fstat(self.fd).st_size < samples * 4:
            os.ftruncate(self.fd, samples * 4)

    def view(self, samples: int) -> Floats:
        """Return the first samples. What is written there, the other side sees."""
        size = samples * 4
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self.fd, size)
        return np.frombuffer(self._map, np.float32, count=samples)

    def close(self) -> None:
        """Give the memory back, once no view of it is left."""
        self._map = None
        os.close(self.fd)
