"""Sources of rows: a text file or a sheet of a workbook, read in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labeling.errors import BadInput
from labeling.loop.importing.csv import header as csv_header
from labeling.loop.importing.csv import workbook
from labeling.loop.importing.csv.lines import Dialect, Unreadable
from labeling.loop.importing.csv.records import ReadingNotes, records


@dataclass(frozen=True)
class Source:
    """A catalogue file that was opened: its dialect, or the sheet of a workbook.

    `sheets` are all sheets of a workbook; a text file has none.
    """

    path: Path
    dialect: Dialect | None = None
    sheet: str = ""
    sheets: list[str] = field(default_factory=list)

    @property
    def encoding(self) -> str:
        return self.dialect.encoding if self.dialect else "Excel workbook"

    @property
    def doubt(self) -> str:
        """A sentence if the encoding is not certain, else ""."""
        return self.dialect.doubt if self.dialect else ""

    @property
    def delimiter(self) -> str:
        return self.dialect.delimiter if self.dialect else ""

    def records(
        self, notes: ReadingNotes | None = None, *, most: int | None = None
    ) -> Iterator[tuple[int, list[str] | Unreadable]]:
        """Yield (number, cells) of each record that is not blank; the header is the first.

        With `most`, a text file ends once so many characters are read.
        """
        if self.dialect is not None:
            yield from records(self.path, self.dialect, notes, most=most)
        else:
            yield from workbook.sheet_records(self.path, self.sheet)

    def body(
        self, names: list[str], key: int, notes: ReadingNotes
    ) -> Iterator[tuple[int, list[str] | Unreadable]]:
        """Yield the records behind the header, without repetitions of it."""
        return csv_header.body(self.records(notes), names, key, notes)

    def header(self) -> list[str]:
        """Return the names of the columns, or refuse with the reason."""
        if self.dialect is not None:
            return csv_header.header(self.path, self.dialect)
        for _, cells in workbook.sheet_records(self.path, self.sheet):
            return [csv_header.column_name(cell) for cell in cells]
        raise BadInput(
            f"the sheet {self.sheet!r} is empty: it needs a header row and one row per track"
        )


def open_source(
    path: Path, sheet: str = "", encoding: str = "", *, is_whole: bool = False
) -> Source:
    """Open a catalogue file; its content says whether it is a workbook.

    Only a worker looks at the whole of a text file for its encoding (`is_whole`); a page looks
    at the head and at samples.
    """
    if not path.is_file():
        raise BadInput(f"there is no file {str(path)!r}")
    if not workbook.is_workbook(path):
        if sheet:
            raise BadInput(f"a CSV file has no sheets: leave out the sheet {sheet!r}")
        return Source(path, csv_header.dialect_of(path, encoding, is_whole=is_whole))
    workbook.check_workbook(path)
    name = workbook.sheet_named(path, sheet)
    return Source(path, sheet=name, sheets=workbook.sheets_of(path))
