"""Sources of rows: a text file or a sheet of a workbook, read in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labeling.errors import BadInput
from labeling.loop.importing.csv import lines, workbook
from labeling.loop.importing.csv.cells import unguarded
from labeling.loop.importing.csv.lines import Dialect, Unreadable


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
    def delimiter(self) -> str:
        return self.dialect.delimiter if self.dialect else ""

    def records(self) -> Iterator[tuple[int, list[str] | Unreadable]]:
        """Yield (number, cells) of each record that is not blank; the header is the first."""
        if self.dialect is not None:
            yield from lines.records(self.path, self.dialect)
        else:
            yield from workbook.sheet_records(self.path, self.sheet)

    def header(self) -> list[str]:
        """Return the names of the columns, or refuse with the reason."""
        if self.dialect is not None:
            return lines.header(self.path, self.dialect)
        for _, cells in workbook.sheet_records(self.path, self.sheet):
            return [unguarded(cell.strip()).strip() for cell in cells]
        raise BadInput(
            f"the sheet {self.sheet!r} is empty: it needs a header row and one row per track"
        )


def open_source(path: Path, sheet: str = "") -> Source:
    """Open a catalogue file; its content says whether it is a workbook."""
    if not path.is_file():
        raise BadInput(f"there is no file {str(path)!r}")
    if not workbook.is_workbook(path):
        if sheet:
            raise BadInput(f"a CSV file has no sheets: leave out the sheet {sheet!r}")
        return Source(path, lines.dialect_of(path))
    workbook.check_workbook(path)
    name = workbook.sheet_named(path, sheet)
    return Source(path, sheet=name, sheets=workbook.sheets_of(path))
