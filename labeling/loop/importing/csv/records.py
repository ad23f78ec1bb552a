"""Records of a CSV file, one at a time: any encoding, delimiter and line end in use.

Memory stays bounded whatever the file holds: a line longer than `LINE_LIMIT` or a cell longer
than `CELL_LIMIT` becomes an `Unreadable` record and the next line is read.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from labeling.loop.importing.csv import lines as csv_lines
from labeling.loop.importing.csv.encoding import read_alone
from labeling.loop.importing.csv.lines import Dialect, Lines, TooLong, Unreadable, opened

CELL_LIMIT = 100_000
#: A file name ends like this; one such cell distinguishes a row from a line of prose.
_FILE_TYPE = re.compile(r"\.[A-Za-z0-9]{2,4}$")
#: So many cells in a line are not a coincidence, even if none looks like a file name.
_WIDE = 3
_SURROGATE = re.compile("[\udc80-\udcff]")
_NEVER_CLOSED = "a quote is opened and never closed: close it or remove it"
#: Rows and warnings that a report lists.
_ROWS_KEPT, _WARNINGS_KEPT = 20, 1_000


class RowWarning(TypedDict):
    """Something to check in a row that was read."""

    row: int
    column: str
    message: str


class RowsReadAs(TypedDict):
    """Rows with cells in another encoding than the file: how many, and the first of them."""

    encoding: str
    rows: int
    first: list[int]


@dataclass
class ReadingNotes:
    """Notes for a person about the reading of a file.

    Attributes
    ----------
    read_as : encoding -> rows with cells that were read in it, if it is not that of the file.
    headers_repeated : rows that repeat the header, as in joined files.
    warnings : rows that were read but may not be what they seem.
    n_characters : of the records read so far.
    """

    read_as: dict[str, RowsReadAs] = field(default_factory=dict)
    headers_repeated: int = 0
    warnings: list[RowWarning] = field(default_factory=list)
    n_characters: int = 0

    def warn(self, row: int, message: str) -> None:
        """Note something about a row; the first of many notes are kept."""
        if len(self.warnings) < _WARNINGS_KEPT:
            self.warnings.append({"row": row, "column": "", "message": message})

    def count_as(self, encoding: str, row: int) -> None:
        """Count a row with a cell in another encoding than the file."""
        found = self.read_as.setdefault(
            encoding, {"encoding": encoding, "rows": 0, "first": []}
        )
        if found["first"][-1:] != [row]:
            found["rows"] += 1
            found["first"] += [row] if len(found["first"]) < _ROWS_KEPT else []


def records(
    path: Path,
    dialect: Dialect,
    notes: ReadingNotes | None = None,
    *,
    most: int | None = None,
) -> Iterator[tuple[int, list[str] | Unreadable]]:
    """Yield (number, cells) of each record that is not blank; the header is number 1.

    Numbers count records, as a spreadsheet counts rows: a cell may contain line breaks. A row
    whose quote is never closed would swallow the rows after it: it is unreadable, and reading
    continues with the next line that looks like a row. With `most`, reading ends once so many
    characters are read.
    """
    notes = notes or ReadingNotes()
    with opened(path, dialect) as file:
        lines = Lines(file, most)
        if dialect.has_separator_line:
            next(lines, "")
        reader = csv.reader(lines, delimiter=dialect.delimiter)
        number = n_columns = 0
        while True:
            number += 1
            lines.taken.clear()
            record = _next(reader)
            if record is None:
                return
            notes.n_characters += sum(map(len, lines.taken))
            if len(lines.taken) > 1 or lines.is_at_end:
                record = _whole(record, lines, n_columns, dialect.delimiter, notes, number)
            if isinstance(record, list) and dialect.legacy:
                record = _in_one_encoding(record, dialect, notes, number)
            if isinstance(record, Unreadable) or any(cell.strip() for cell in record):
                n_columns = n_columns or (0 if isinstance(record, Unreadable) else len(record))
                yield number, record


def _in_one_encoding(
    record: list[str], dialect: Dialect, notes: ReadingNotes, number: int
) -> list[str] | Unreadable:
    """Decode the cells that are not UTF-8, each alone."""
    if all(map(str.isascii, record)):
        return record
    found: list[str] = []
    is_legacy = dialect.other == "utf-8"
    for place, cell in enumerate(record):
        if not _SURROGATE.search(cell):
            if is_legacy and not cell.isascii():
                notes.count_as("utf-8", number)
            found.append(cell)
            continue
        if is_legacy:
            raw = cell.encode("utf-8", "surrogateescape")
            found.append(raw.decode(dialect.legacy, "replace"))
            continue
        text = read_alone(cell, dialect.legacy)
        if text is None:
            shown = _SURROGATE.sub("?", cell)[:40]
            return Unreadable(
                f"cell {place + 1} ({shown!r}) is not UTF-8, although the file is: correct it, "
                "or choose the encoding of the file"
            )
        notes.count_as(dialect.legacy, number)
        found.append(text)
    return found


def _whole(
    record: list[str] | Unreadable,
    lines: Lines,
    n_columns: int,
    delimiter: str,
    notes: ReadingNotes,
    number: int,
) -> list[str] | Unreadable:
    """Return a record of several lines; if it is really several records, say so and go back.

    A record that is valid by RFC 4180 and has as many cells as the header is always one.
    """
    first, *rest = lines.taken
    problem = _strict_error(lines.taken, delimiter)
    model = _cells(first, delimiter)
    likely = [_is_like(line, model, n_columns, delimiter) for line in rest]
    if isinstance(record, list) and not problem and _width(record, n_columns) == n_columns:
        if any(likely):
            notes.warn(number, "a cell holds lines that look like rows: is a quote missing?")
        return record
    if not any(likely) and "unexpected end" in problem:
        likely = [_fits(line, n_columns, delimiter) for line in rest]
    if isinstance(record, Unreadable) and not any(likely):
        return record
    is_open = isinstance(record, Unreadable) or bool(problem)
    is_cut_off = is_open and lines.is_at_end
    if not (is_cut_off or (any(likely) if is_open else rest and all(likely))):
        return record
    if any(likely):
        lines.give_back(rest[likely.index(True) :])
    return Unreadable(_NEVER_CLOSED)


def _width(record: list[str], n_columns: int) -> int:
    """Return the number of cells, without blank ones beyond the header."""
    width = len(record)
    while width > n_columns and not record[width - 1].strip():
        width -= 1
    return width


def _strict_error(lines: list[str], delimiter: str) -> str:
    """Return what RFC 4180 objects to in these lines; "" if they are valid."""
    try:
        list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        return str(error)
    return ""


def _is_like(line: str, model: list[str], n_columns: int, delimiter: str) -> bool:
    """Say whether a line looks like a row: as many cells, with a file of the model's type."""
    if line.count(delimiter) + 1 < n_columns:  # most lines of a text: quickly
        return False
    cells = _cells(line, delimiter)
    if len(cells) != n_columns or len(model) > n_columns:
        return False
    types = {place: cell for place, cell in enumerate(map(_file_type, model)) if cell}
    if not types:
        return n_columns >= _WIDE
    return any(_file_type(cells[place]) == one for place, one in types.items())


def _fits(line: str, n_columns: int, delimiter: str) -> bool:
    """Say whether a line alone is a valid record of the right width."""
    is_valid = not _strict_error([line], delimiter)
    return n_columns > 1 and is_valid and len(_cells(line, delimiter)) == n_columns


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
    except TooLong:
        return Unreadable(f"the row is longer than {csv_lines.LINE_LIMIT:,} characters")
    except csv.Error as error:
        if "limit" in str(error):
            return Unreadable(
                f"a cell is longer than {CELL_LIMIT:,} characters (is a quote never closed?)"
            )
        return Unreadable(f"the row cannot be read: {error}")
    finally:
        csv.field_size_limit(former)
