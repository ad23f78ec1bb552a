"""Records of a CSV file, one at a time: any encoding, delimiter and line end in use.

Memory stays bounded whatever the file holds: a line longer than `LINE_LIMIT` or a cell longer
than `CELL_LIMIT` becomes an `Unreadable` record and the next line is read.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from labeling.errors import BadInput
from labeling.loop.importing.csv.cells import unguarded

LINE_LIMIT = 1_000_000
CELL_LIMIT = 100_000
_BLOCK = 1 << 20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
DELIMITERS = (",", ";", "\t")
#: A file name ends like this; one such cell distinguishes a row from a line of prose.
_FILE_TYPE = re.compile(r"\.[A-Za-z0-9]{2,4}$")
#: So many cells in a line are not a coincidence, even if none looks like a file name.
_WIDE = 3


@dataclass(frozen=True)
class Dialect:
    """The dialect of a file."""

    encoding: str
    delimiter: str


@dataclass(frozen=True)
class Unreadable:
    """A record that could not be read, and why."""

    reason: str


class _TooLong(Exception):
    pass


def dialect_of(path: Path) -> Dialect:
    """Detect the dialect of a file: the encoding from all of it, the rest from its head."""
    encoding = _encoding(path)
    with _opened(path, encoding) as file:
        head = next((line for line in _Lines(file) if line.strip()), "")
    return Dialect(encoding, _delimiter(head))


def _encoding(path: Path) -> str:
    """Return the encoding: by byte order mark, else UTF-8 if it is valid, else cp1252."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        start = file.read(4)
        for mark, encoding in _BOMS:
            if start.startswith(mark):
                return encoding
        file.seek(0)
        try:
            while block := file.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def _opened(path: Path, encoding: str) -> TextIO:
    return path.open(encoding=encoding, errors="replace", newline="")


def _delimiter(head: str) -> str:
    """Return the most frequent delimiter of the header line, outside of quotes."""
    outside = "".join(head.split('"')[::2])
    return max(DELIMITERS, key=outside.count)


class _Lines:
    """Lines of at most LINE_LIMIT characters; a longer one raises and is skipped.

    `taken` are the lines of the current record, which may be given back and read again.
    """

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.taken: list[str] = []
        self.is_at_end = False
        self._again: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else self._read()
        self.taken.append(line)
        return line

    def give_back(self, lines: list[str]) -> None:
        self._again += reversed(lines)
        self.is_at_end = False

    def _read(self) -> str:
        line = self.file.readline(LINE_LIMIT)
        if not line:
            self.is_at_end = True
            raise StopIteration
        if len(line) < LINE_LIMIT or line[-1] in "\r\n":
            return line
        while line and line[-1] not in "\r\n":
            line = self.file.readline(LINE_LIMIT)
        raise _TooLong


def records(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str] | Unreadable]]:
    """Yield (number, cells) of each record that is not blank; the header is number 1.

    Numbers count records, as a spreadsheet counts rows: a cell may contain line breaks. A row
    whose quote is never closed would swallow the rows after it: it is unreadable, and reading
    continues with the next line that looks like a row.
    """
    with _opened(path, dialect.encoding) as file:
        lines = _Lines(file)
        reader = csv.reader(lines, delimiter=dialect.delimiter)
        number = n_columns = 0
        while True:
            number += 1
            lines.taken.clear()
            record = _next(reader)
            if record is None:
                return
            if len(lines.taken) > 1 or lines.is_at_end:
                record = _whole(record, lines, n_columns, dialect.delimiter)
            if isinstance(record, Unreadable) or any(cell.strip() for cell in record):
                n_columns = n_columns or (0 if isinstance(record, Unreadable) else len(record))
                yield number, record


def _whole(
    record: list[str] | Unreadable, lines: _Lines, n_columns: int, delimiter: str
) -> list[str] | Unreadable:
    """Return a record of several lines; if it is really several records, say so and go back."""
    first, *rest = lines.taken
    likely = [_is_like(line, first, n_columns, delimiter) for line in rest]
    if isinstance(record, Unreadable) and not any(likely):
        return record
    is_open = isinstance(record, Unreadable) or _is_open(lines.taken, delimiter)
    is_cut_off = is_open and lines.is_at_end
    if not (is_cut_off or (any(likely) if is_open else rest and all(likely))):
        return record
    if any(likely):
        lines.give_back(rest[likely.index(True) :])
    return Unreadable("a quote is opened and never closed: close it or remove it")


def _is_open(lines: list[str], delimiter: str) -> bool:
    """Say whether the quotes in these lines do not match, read strictly."""
    try:
        list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return True
    return False


def _is_like(line: str, first: str, n_columns: int, delimiter: str) -> bool:
    """Say whether a line looks like a row: as many cells, with a file of the same type."""
    cells, model = (_cells(text, delimiter) for text in (line, first))
    if len(cells) != n_columns or len(model) > n_columns:
        return False
    types = {place: cell for place, cell in enumerate(map(_file_type, model)) if cell}
    if not types:
        return n_columns >= _WIDE
    return any(_file_type(cells[place]) == one for place, one in types.items())


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _file_type(cell: str) -> str:
    found = _FILE_TYPE.search(cell.strip())
    return found[0].casefold() if found else ""


def _next(reader: Iterator[list[str]]) -> list[str] | Unreadable | None:
    # Set for each record: the limit belongs to the csv module, and other code may change it.
    former = csv.field_size_limit(CELL_LIMIT)
    try:
        return next(reader)
    except StopIteration:
        return None
    except _TooLong:
        return Unreadable(f"the row is longer than {LINE_LIMIT:,} characters")
    except csv.Error as error:
        if "limit" in str(error):
            return Unreadable(
                f"a cell is longer than {CELL_LIMIT:,} characters (is a quote never closed?)"
            )
        return Unreadable(f"the row cannot be read: {error}")
    finally:
        csv.field_size_limit(former)


def header(path: Path, dialect: Dialect) -> list[str]:
    """Return the names of the columns, or refuse with the reason."""
    for _, record in records(path, dialect):
        if isinstance(record, Unreadable):
            raise BadInput(f"the header cannot be read: {record.reason}")
        if any("\0" in cell or "�" in cell for cell in record):
            raise BadInput(
                f"the header is not {dialect.encoding} text: save the file as CSV in UTF-8"
            )
        return [unguarded(cell.strip()).strip() for cell in record]
    raise BadInput("the file is empty: it needs a header row and one row per track")
