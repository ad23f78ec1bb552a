"""Lines of a CSV file, decoded one at a time with a bounded length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

LINE_LIMIT = 1_000_000
#: The end of a DOS file; spreadsheets do not show it.
_CTRL_Z = "\x1a"
_BOM = "\ufeff"


@dataclass(frozen=True)
class Dialect:
    """The way a file is written.

    Attributes
    ----------
    encoding : of the file. delimiter : between its cells.
    other : the encoding of single cells that are not in the first one; "" for none.
    doubt : a sentence if the encoding is not certain, else "".
    has_separator_line : the first line only names the delimiter, as Excel writes it (`sep=;`).
    """

    encoding: str
    delimiter: str
    other: str = ""
    doubt: str = ""
    has_separator_line: bool = False

    @property
    def legacy(self) -> str:
        """The encoding of cells that are not UTF-8 in a file that mixes both; "" for none."""
        if not self.other:
            return ""
        return self.encoding if self.other == "utf-8" else self.other


@dataclass(frozen=True)
class Unreadable:
    """A record that could not be read, and why."""

    reason: str


class TooLong(Exception):
    """A line is longer than `LINE_LIMIT`."""


def opened(path: Path, dialect: Dialect) -> TextIO:
    """Open a file so that every byte can be read.

    In a file that may mix UTF-8 and another encoding, bytes that are not UTF-8 stay as
    surrogates, so that each cell can be decoded alone; else they become U+FFFD.
    """
    if dialect.legacy:
        encoding = "utf-8-sig" if dialect.encoding == "utf-8-sig" else "utf-8"
        return path.open(encoding=encoding, errors="surrogateescape", newline="")
    return path.open(encoding=dialect.encoding, errors="replace", newline="")


class Lines:
    """Lines of at most LINE_LIMIT characters; a longer one raises and is skipped later.

    `taken` are the lines of the current record, which may be given back and read again. A byte
    order mark or Ctrl-Z at the start of a record comes from joined files, and a Ctrl-Z ends a
    DOS file: they go. With
    `most`, the lines end once so many characters are read.
    """

    def __init__(self, file: TextIO, most: int | None = None) -> None:
        self._left = most
        self.file = file
        self.taken: list[str] = []
        self.is_at_end = False
        self._again: list[str] = []
        self._is_in_long_line = False

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else self._read()
        if not self.taken and line[:1] in (_BOM, _CTRL_Z):
            line = line.lstrip(_BOM + _CTRL_Z)
        self.taken.append(line)
        return line

    def give_back(self, lines: list[str]) -> None:
        """Let these lines be read again."""
        self._again += reversed(lines)
        self.is_at_end = False

    def _read(self) -> str:
        while self._is_in_long_line:  # only now: who stops at the error reads no further
            rest = self._readline()
            self._is_in_long_line = bool(rest) and rest[-1] not in "\r\n"
        line = self._readline()
        if not line:
            self.is_at_end = True
            raise StopIteration
        if len(line) >= LINE_LIMIT and line[-1] not in "\r\n":
            self._is_in_long_line = True
            raise TooLong
        return line.rstrip(_CTRL_Z) if line.endswith(_CTRL_Z) else line

    def _readline(self) -> str:
        if self._left is None:
            return self.file.readline(LINE_LIMIT)
        line = self.file.readline(LINE_LIMIT) if self._left > 0 else ""
        self._left -= len(line)
        return line
