"""Long lists in pieces: no statement and no transaction holds all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of at most `size` values, in order."""
    rest = iter(values)
    while part := list(islice(rest, size)):
        yield part
