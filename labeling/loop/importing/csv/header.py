"""The head of a CSV file: its dialect and its columns, and where the header comes again."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from labeling.errors import BadInput
from labeling.loop.importing.csv.cells import unguarded
from labeling.loop.importing.csv.columns import COLUMN_LIMIT
from labeling.loop.importing.csv.encoding import (
    chosen_encoding,
    detect_encoding,
    refuse_other_files,
)
from labeling.loop.importing.csv.lines import Dialect, Lines, TooLong, Unreadable, opened
from labeling.loop.importing.csv.records import ReadingNotes, records
from labeling.names import name_key, tidy_name

DELIMITERS = (",", ";", "\t", "|")
#: More rows are not a catalogue; to read them would keep a worker busy for hours.
ROW_LIMIT = 3_000_000
#: Characters among which the header must be; blank rows may come before it.
HEADER_LIMIT = 4_000_000
_BLOCK = 1 << 20
#: Samples that show how long the lines of a file are.
_SAMPLES, _SAMPLE_SIZE = 32, 1 << 14
_SEPARATOR_LINE = re.compile(r'"?sep=([^\w"\r\n])"?[,;]*[\r\n]*', re.IGNORECASE)
#: Lines before the header that may be blank.
_BLANK_LINES = 1_000


def dialect_of(path: Path, encoding: str = "", *, is_whole: bool = True) -> Dialect:
    """Return the dialect of a file, or refuse a file that is not a catalogue.

    Parameters
    ----------
    encoding : that a person chose; "" to detect it.
    is_whole : look at all of the file, as a worker does; else at its head and at samples.
    """
    refuse_other_files(path)
    _refuse_too_many_rows(path, is_whole=is_whole)
    found = chosen_encoding(encoding) if encoding else detect_encoding(path, is_whole=is_whole)
    dialect = Dialect(found.name, DELIMITERS[0], found.other, found.doubt)
    head = _first_line(path, dialect)
    separator = _SEPARATOR_LINE.fullmatch(head)
    delimiter = separator[1] if separator else _delimiter(head)
    return Dialect(found.name, delimiter, found.other, found.doubt, separator is not None)


def _first_line(path: Path, dialect: Dialect) -> str:
    """Return the first line that is not blank; "" if it is too long to be a header."""
    with opened(path, dialect) as file:
        lines = Lines(file)
        try:
            for _ in range(_BLANK_LINES):
                line = next(lines, "")
                if line.strip() or lines.is_at_end:
                    return line
        except TooLong:
            pass
    return ""


def _refuse_too_many_rows(path: Path, *, is_whole: bool) -> None:
    """Refuse a file with more lines than a catalogue has rows."""
    n_lines = _line_ends(path) if is_whole else _estimated_lines(path)
    if n_lines > ROW_LIMIT:
        raise BadInput(
            f"the file has {'' if is_whole else 'about '}{n_lines:,} lines, {ROW_LIMIT:,} are "
            "the most: split it into several files"
        )


def _line_ends(path: Path) -> int:
    if path.stat().st_size <= ROW_LIMIT:
        return 0
    n_feeds = n_returns = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            n_feeds += block.count(b"\n")
            n_returns += block.count(b"\r")
    return max(n_feeds, n_returns)


def _estimated_lines(path: Path) -> int:
    """Return about how many lines a file has; for a small file 0, as it does not matter."""
    size = path.stat().st_size
    if size <= ROW_LIMIT:
        return 0
    n_feeds = n_returns = n_read = 0
    with path.open("rb") as file:
        for number in range(_SAMPLES):
            file.seek(number * (size - _SAMPLE_SIZE) // _SAMPLES)
            block = file.read(_SAMPLE_SIZE)
            n_read += len(block)
            n_feeds += block.count(b"\n")
            n_returns += block.count(b"\r")
    return round(max(n_feeds, n_returns) * size / max(1, n_read))


def _delimiter(head: str) -> str:
    """Return the most frequent delimiter of the header line, outside of quotes."""
    outside = "".join(head.split('"')[::2])
    return max(DELIMITERS, key=outside.count)


def header(path: Path, dialect: Dialect) -> list[str]:
    """Return the names of the columns, or refuse with the reason."""
    for _, record in records(path, dialect, most=HEADER_LIMIT):
        if isinstance(record, Unreadable):
            raise BadInput(f"the header cannot be read: {record.reason}")
        if len(record) > COLUMN_LIMIT:
            raise BadInput(f"{len(record):,} columns are too many (at most {COLUMN_LIMIT:,})")
        if any("\0" in cell or "�" in cell for cell in record):
            raise BadInput(
                f"the header is not {dialect.encoding} text: choose the encoding of the file, "
                "or save it as CSV in UTF-8"
            )
        return [column_name(cell) for cell in record]
    raise BadInput("the file is empty: it needs a header row and one row per track")


def column_name(cell: str) -> str:
    """Return the name of a column as it is stored."""
    return tidy_name(unguarded(cell.strip()))


def body(
    found: Iterable[tuple[int, list[str] | Unreadable]],
    names: list[str],
    key: int,
    notes: ReadingNotes,
) -> Iterator[tuple[int, list[str] | Unreadable]]:
    """Yield the records behind the header; in joined files the header comes again.

    A repeated header is counted and left out. Behind the header of another file the cells have
    another meaning, so those rows are rejected, until the first header comes again.

    Parameters
    ----------
    names : of the columns. key : the column with the file name.
    """
    keys = [name_key(name) for name in names]
    foreign = 0
    for number, record in islice(found, 1, None):
        kind = ""
        if isinstance(record, list) and keys[key] in "\0".join(record).casefold():
            kind = _kind_of_header(record, keys, key)
            row = _before_header(record, keys)
            if row and not foreign:  # the file before ended without a line end
                yield number, row
                kind = "same"
        if kind == "same":
            notes.headers_repeated += 1
            foreign = 0
        elif kind == "other":
            foreign = number
            yield number, Unreadable(_FOREIGN.format(what="is the header of another file"))
        elif foreign:
            what = f"follows the header of another file in row {foreign}"
            yield number, Unreadable(_FOREIGN.format(what=what))
        elif isinstance(record, Unreadable) or not _is_separator_line(record):
            yield number, record


_FOREIGN = "{what}, whose columns are others: import the files one by one"


def _kind_of_header(record: list[str], keys: list[str], key: int) -> str:
    """Return "same" for the header of the file, "other" for another one, else ""."""
    cells = [name_key(column_name(cell)) for cell in record]
    if _without_blanks(cells) == _without_blanks(keys):
        return "same"
    if len(cells) == 1 and len(keys) > 1:  # with another delimiter?
        parts = max((_split(record[0], delimiter) for delimiter in DELIMITERS), key=len)
        return "other" if keys[key] in parts and len(parts) > 1 else ""
    is_key = len(cells) > key and cells[key] == keys[key]
    known = {name for name in keys if name}
    is_other = is_key or (keys[key] in cells and sum(cell in known for cell in cells) > 1)
    return "other" if is_other else ""


def _before_header(record: list[str], keys: list[str]) -> list[str]:
    """Return the cells of a row that the header follows on the same line; [] if none does."""
    place = len(record) - len(keys)
    if place < 1 or len(keys) < 2 or not keys[0]:  # a row of the right width is one
        return []
    last, *rest = record[place:]
    text = last.rstrip()
    if [name_key(column_name(cell)) for cell in rest] != keys[1:]:
        return []
    if not text.casefold().endswith(keys[0]) or len(text) == len(keys[0]):
        return []
    return [*record[:place], text[: -len(keys[0])].rstrip("\ufeff\x1a")]


def _without_blanks(keys: list[str]) -> list[str]:
    """Return the keys without the blank cells at the end."""
    n_cells = len(keys)
    while n_cells and not keys[n_cells - 1]:
        n_cells -= 1
    return keys[:n_cells]


def _split(text: str, delimiter: str) -> list[str]:
    cells = next(csv.reader([text], delimiter=delimiter), [])
    return [name_key(column_name(cell)) for cell in cells]


def _is_separator_line(record: list[str]) -> bool:
    """Say whether a record is Excel's `sep=;`, which joined files have in the middle."""
    first, *rest = record
    if "=" not in first[:6]:
        return False
    is_one = first.strip().casefold() == "sep=" or _SEPARATOR_LINE.fullmatch(first.strip())
    return bool(is_one) and not any(cell.strip() for cell in rest)
