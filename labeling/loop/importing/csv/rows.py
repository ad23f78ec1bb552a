"""Rows of a catalogue: one record as facts about a track, or as its errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from labeling.loop.importing.csv.cells import is_error_value, unguarded
from labeling.loop.importing.csv.columns import FIELDS, Columns
from labeling.loop.importing.csv.dates import read_moment
from labeling.loop.importing.csv.lines import Unreadable
from labeling.names import name_key, tidy_name, track_key

KEY_LIMIT = 700
#: The size limit of a row of a PostgreSQL index, minus the other columns of the index.
KEY_BYTES_LIMIT = 2_600
NAME_LIMIT = 120
ANNOTATOR_LIMIT = 150
ANNOTATOR_IS_LONG = (
    f"is longer than {ANNOTATOR_LIMIT} characters once width and case are evened out"
)
EXTRA_LIMIT = 10_000
_ERROR_VALUE = "holds {text}, an error of a spreadsheet: correct the formula or empty the cell"
#: A catalogue repeats a few hundred cells over and over: that many are cached.
_REMEMBERED = 1_024


@dataclass(frozen=True)
class RowError:
    """The reason for rejecting a row: its number, the column, and what to do."""

    row: int
    column: str
    message: str

    def as_json(self) -> dict[str, int | str]:
        return {"row": self.row, "column": self.column, "message": self.message}


@dataclass
class Row:
    """The content of a record: the track, and its labels as (facet key, name) in order.

    `written` is the file name as the cell has it, if that is not the key.
    """

    number: int
    key: str
    written: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)
    labels: list[tuple[str, str]] = field(default_factory=list)
    annotator: str = ""
    annotated_at: datetime | None = None
    answer_extra: dict[str, str] = field(default_factory=dict)


@lru_cache(_REMEMBERED)
def names_in(cell: str, separator: str | None) -> tuple[tuple[str, bool], ...]:
    """Return (name, whether it is short enough) of each label in a cell.

    A separator at the end (or start) of a cell is not part of a name, even without blanks
    around it: "Calm, Dark," gives Calm and Dark.
    """
    parts = [cell]
    if separator:
        at_the_ends = separator.strip() + " "
        parts = [part.strip(at_the_ends) for part in cell.split(separator)]
    keys = ((name, name_key(name)) for name in map(tidy_name, parts) if name)
    return tuple((name, max(len(name), len(key)) <= NAME_LIMIT) for name, key in keys if key)


class _Reader:
    """Reader of the cells of one record; collects their errors."""

    def __init__(self, number: int, cells: list[str], columns: Columns) -> None:
        self.number, self.cells, self.columns = number, cells, columns
        self.errors: list[RowError] = []

    def reject(self, place: int | None, message: str) -> None:
        column = "" if place is None else self.columns.names[place] or f"column {place + 1}"
        self.errors.append(RowError(self.number, column, message))

    def text(self, place: int | None, limit: int, *, is_free: bool = False) -> str:
        """Return the cell, stripped and without a formula guard.

        An error value of a spreadsheet rejects the row, except in a free text (metadata).
        """
        if place is None or place >= len(self.cells):
            return ""
        text = unguarded(self.cells[place].strip()).strip()
        if "\0" in text:
            self.reject(place, "holds a NUL character: save the file as CSV in UTF-8")
        elif "�" in text:
            self.reject(
                place,
                "holds a character that cannot be read: choose the encoding of the file, or "
                "save it as UTF-8",
            )
        elif not is_free and is_error_value(text):
            self.reject(place, _ERROR_VALUE.format(text=text))
        elif len(text) > limit:
            self.reject(place, f"has {len(text):,} characters, {limit:,} are the most")
        return text

    def labels(self) -> list[tuple[str, str]]:
        found = []
        for place, facet in self.columns.facets.items():
            separator = self.columns.separators.get(place)
            cell = self.text(place, EXTRA_LIMIT)
            for name, is_short in names_in(cell, separator) if cell else ():
                if not is_short:
                    self.reject(place, f"{name[:30]!r}… is longer than {NAME_LIMIT} characters")
                elif separator and is_error_value(name) and not is_error_value(cell):
                    self.reject(place, _ERROR_VALUE.format(text=name))
                found.append((facet, name))
        return list(dict.fromkeys(found))

    def moment(self, place: int | None) -> datetime | None:
        text = self.text(place, 64)
        if not text:
            return None
        try:
            return read_moment(text, self.columns.dates)
        except ValueError as error:
            self.reject(place, str(error))
            return None

    def key(self) -> str:
        key = track_key(self.text(self.columns.key, KEY_LIMIT))
        if not key:
            self.reject(self.columns.key, "is empty: every row names the file of its track")
        elif ".." in key.split("/"):
            self.reject(self.columns.key, "leads out of its folder: write it without ..")
        elif len(key) > KEY_LIMIT and not self.errors:  # composing may lengthen a name
            self.reject(self.columns.key, f"is longer than {KEY_LIMIT} characters")
        elif len(key.encode()) > KEY_BYTES_LIMIT:
            self.reject(self.columns.key, f"is longer than {KEY_BYTES_LIMIT:,} bytes in UTF-8")
        return key

    def annotator(self) -> str:
        text = self.text(self.columns.annotator, ANNOTATOR_LIMIT)
        if not text:
            return ""
        name = tidy_name(text)
        if len(name) <= ANNOTATOR_LIMIT < len(name_key(name)):  # folding may lengthen it
            self.reject(self.columns.annotator, ANNOTATOR_IS_LONG)
        return name

    def check_width(self) -> None:
        n_columns = len(self.columns.names)
        if len(self.cells) > n_columns and any(map(str.strip, self.cells[n_columns:])):
            self.reject(
                None,
                f"has {len(self.cells)} cells, the header {len(self.columns.names)}: put cells "
                "with a delimiter in them into double quotes",
            )


def parse(
    number: int, record: list[str] | Unreadable, columns: Columns
) -> tuple[Row | None, list[RowError]]:
    """Read a record; a row with any error is rejected whole, with all its errors."""
    if isinstance(record, Unreadable):
        return None, [RowError(number, "", record.reason)]
    reader = _Reader(number, record, columns)
    reader.check_width()
    fields = {name: reader.text(place, FIELDS[name]) for name, place in columns.fields.items()}
    extra = {
        name: reader.text(place, EXTRA_LIMIT, is_free=True)
        for place, name in columns.extra.items()
    }
    own = {
        name: reader.text(place, EXTRA_LIMIT, is_free=True)
        for place, name in columns.of_answer.items()
    }
    key = reader.key()
    written = unguarded(record[columns.key]) if len(record) > columns.key else ""
    row = Row(
        number=number,
        key=key,
        written="" if written == key else written,
        fields={name: text for name, text in fields.items() if text},
        extra={name: text for name, text in extra.items() if text},
        labels=reader.labels(),
        annotator=reader.annotator(),
        annotated_at=reader.moment(columns.annotated_at),
        answer_extra={name: text for name, text in own.items() if text},
    )
    return (None, reader.errors) if reader.errors else (row, [])
