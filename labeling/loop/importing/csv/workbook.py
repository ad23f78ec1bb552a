"""Excel workbooks (.xlsx) as records, read as a stream.

A workbook is a zip file of XML. Before it is opened, the directory of the zip and every part
that is read are checked against limits, so that a small file cannot fill the memory.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from xml.parsers import expat

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.workbook.workbook import Workbook

from labeling.errors import BadInput
from labeling.loop.importing.csv.columns import COLUMN_LIMIT

#: Rows of a sheet in Excel.
ROW_LIMIT = 1_048_576
CELLS_LIMIT = 2_500_000
_PARTS_LIMIT = 10_000
_SHEET_BYTES = 256_000_000
_TEXT_BYTES = 64_000_000
_OTHER_BYTES = 8_000_000
#: Sheets are packed about twentyfold; a bomb is packed a thousandfold.
_MOST_PACKED, _PACKED_FROM = 200, 4_000_000
#: A cell is an element with one or two others inside.
_ELEMENTS = 5 * CELLS_LIMIT // 2
#: Cells with the empty ones between them, which the file leaves out.
_PADDED_CELLS = 10 * CELLS_LIMIT
_ELEMENTS_OF_ROW = 4 * 16_384
_DEPTH = 32
_BLOCK = 1 << 16
#: No cell, attribute or comment is as long.
_LONGEST = 1_000_000
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_SAVE_AGAIN = "open it in Excel and save it again as .xlsx or as CSV UTF-8"
_BROKEN = (
    zipfile.BadZipFile, InvalidFileException, ParseError, expat.ExpatError,
    KeyError, ValueError, TypeError, AttributeError, IndexError, EOFError, NotImplementedError,
)  # fmt: skip

# Styles and validations that it does not know do not concern us.
warnings.filterwarnings("ignore", module="openpyxl")


def is_workbook(path: Path) -> bool:
    """Say whether a file is a workbook, by its content; refuse the kinds that are not read."""
    with path.open("rb") as file:
        start = file.read(4)
    if start == _OLE:
        raise BadInput(f"the file is an old Excel file (.xls) or has a password: {_SAVE_AGAIN}")
    return start == _ZIP


class _Scan:
    """Count the elements of an XML part as it is unpacked, and refuse what is out of bounds."""

    def __init__(self) -> None:
        self.n = self.n_cells = self.of_row = self.depth = self.length = self.quiet = 0
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        self.parse = parser.Parse

    def block(self, data: bytes) -> None:
        self.quiet += len(data)
        self.parse(data, not data)
        if self.quiet > _LONGEST:
            raise BadInput(f"a cell is longer than {_LONGEST:,} characters: {_SAVE_AGAIN}")

    def _start(self, name: str, _: Any) -> None:
        self.quiet = self.length = 0
        self.n += 1
        self.depth += 1
        self.n_cells += name[-1] == "c"
        self.of_row = 0 if name[-3:] == "row" else self.of_row + 1
        if self.n_cells > CELLS_LIMIT or self.n > _ELEMENTS:
            raise BadInput(f"a sheet has more than {CELLS_LIMIT:,} cells: split it")
        if self.depth > _DEPTH:
            raise BadInput(f"the workbook is not one of Excel: {_SAVE_AGAIN}")
        if self.of_row > _ELEMENTS_OF_ROW and name[-1] == "c":
            raise BadInput(f"a row has more than {COLUMN_LIMIT:,} columns: leave some out")

    def _end(self, _: str) -> None:
        self.quiet = self.length = 0
        self.depth -= 1

    def _text(self, text: str) -> None:
        self.quiet = 0
        self.length += len(text)
        if self.length > _LONGEST:
            raise BadInput(f"a cell is longer than {_LONGEST:,} characters: {_SAVE_AGAIN}")

    def _doctype(self, *_: Any) -> None:
        raise BadInput(f"the workbook declares entities, which Excel never does: {_SAVE_AGAIN}")


def check_workbook(path: Path) -> None:
    """Refuse a file that is not a workbook, or whose parts are out of bounds."""
    with _readable(), zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        names = {part.filename for part in parts}
        if len(parts) > _PARTS_LIMIT or "xl/workbook.xml" not in names:
            raise BadInput(f"the file is a zip file, but not an Excel workbook: {_SAVE_AGAIN}")
        read = [part for part in parts if part.filename.endswith((".xml", ".rels"))]
        for part in read:
            _check_size(part)
        if sum(part.file_size for part in read) > _SHEET_BYTES + _TEXT_BYTES:
            raise BadInput("the workbook is too large once unpacked: split it")
        for part in read:
            _scan(archive, part)


def _check_size(part: zipfile.ZipInfo) -> None:
    limit = _OTHER_BYTES
    if part.filename.startswith("xl/worksheets/"):
        limit = _SHEET_BYTES
    elif part.filename == "xl/sharedStrings.xml":
        limit = _TEXT_BYTES
    is_packed = part.file_size > _MOST_PACKED * max(1, part.compress_size)
    if part.file_size > limit or (is_packed and part.file_size > _PACKED_FROM):
        raise BadInput(
            f"{part.filename} of the workbook is {part.file_size / 1e6:,.0f} MB once unpacked: "
            "delete empty rows and columns, or split the workbook"
        )


def _scan(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    scan = _Scan()
    with archive.open(part) as file:
        while block := file.read(_BLOCK):
            scan.block(block)
        scan.block(b"")


@contextmanager
def _readable() -> Iterator[None]:
    """Turn the errors of a broken workbook into a refusal."""
    try:
        yield
    except _BROKEN as error:
        raise BadInput(f"the workbook cannot be read ({error}): {_SAVE_AGAIN}") from error


@contextmanager
def _opened(path: Path) -> Iterator[Workbook]:
    with _readable():
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        try:
            yield book
        finally:
            book.close()


def sheets_of(path: Path) -> list[str]:
    """Return the names of the sheets with cells."""
    with _opened(path) as book:
        return [sheet.title for sheet in book.worksheets]


def sheet_named(path: Path, name: str) -> str:
    """Return the sheet of this name; without a name, the first one with content."""
    with _opened(path) as book:
        titles = [sheet.title for sheet in book.worksheets]
        if name:
            if name not in titles:
                raise BadInput(f"there is no sheet {name!r} (there are: {', '.join(titles)})")
            return name
        for sheet in book.worksheets:
            if any(_has_content(row) for row in islice(_rows(sheet), 1_000)):
                return str(sheet.title)
    raise BadInput("the workbook is empty: it needs a header row and one row per track")


def _has_content(row: tuple[Any, ...]) -> bool:
    return any(value is not None and str(value).strip() for value in row)


def _rows(sheet: Any) -> Iterator[tuple[Any, ...]]:
    # The size that a sheet declares may be wrong; the cells count.
    sheet.reset_dimensions()
    return islice(sheet.iter_rows(values_only=True), ROW_LIMIT)


def sheet_records(path: Path, sheet: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (number, cells) of each row that is not blank; the number is that of Excel."""
    n_cells = 0
    with _opened(path) as book:
        for number, row in enumerate(_rows(book[sheet]), start=1):
            n_cells += len(row)
            if n_cells > _PADDED_CELLS:
                raise BadInput(f"the sheet has more than {CELLS_LIMIT:,} cells: split it")
            if _has_content(row):
                yield number, _trimmed(row)


def _trimmed(row: tuple[Any, ...]) -> list[str]:
    """Return the cells as texts, without blank ones at the end."""
    cells = [cell_text(value) for value in row]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def cell_text(value: Any) -> str:
    """Return a cell as the text that a CSV file would have."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, datetime):
        # Excel counts in days, so a time is exact to a second only.
        moment = (value + timedelta(microseconds=500_000)).replace(microsecond=0)
        return moment.isoformat() if moment.time() != time() else moment.date().isoformat()
    return str(value)
