"""The Range header of HTTP (RFC 9110, section 14): one range of bytes, or none.

Other units and several ranges are ignored, as the standard allows: the answer is then the
whole file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"^bytes=\s*(\d*)\s*-\s*(\d*)\s*$", re.ASCII | re.IGNORECASE)
#: Longer numbers are not positions in a file, and slow to read.
_MOST_DIGITS = 18


class Unsatisfiable(Exception):
    """The range is outside the file: the answer is 416."""


@dataclass(frozen=True)
class ByteRange:
    """Bytes first..last of a file of `size` bytes, both included."""

    first: int
    last: int
    size: int

    @property
    def length(self) -> int:
        """Return how many bytes the range has."""
        return self.last - self.first + 1

    @property
    def content_range(self) -> str:
        """Return the value of the Content-Range header."""
        return f"bytes {self.first}-{self.last}/{self.size}"


def parse_range(header: str | None, size: int, *, most: int | None = None) -> ByteRange | None:
    """Return the range asked for, cut to `most` bytes; None: answer with the whole file."""
    found = _ONE_RANGE.match(header) if header else None
    if found is None:
        return None
    start, end = found.groups()
    if not (start or end) or len(start) > _MOST_DIGITS or len(end) > _MOST_DIGITS:
        return None
    if start and end and int(end) < int(start):
        return None
    first, last = _bounds(start, end, size)
    if first >= size or first > last:
        raise Unsatisfiable(header)
    if most is not None:
        last = min(last, first + most - 1)
    return ByteRange(first, last, size)


def _bounds(start: str, end: str, size: int) -> tuple[int, int]:
    """Return first and last byte; `-n` means the last n bytes."""
    if not start:
        return max(0, size - int(end)), size - 1 if int(end) else -1
    return int(start), min(int(end), size - 1) if end else size - 1
