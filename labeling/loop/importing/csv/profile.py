"""Profile of the columns: what a person may have overlooked when mapping them.

Nothing here changes how a file is read. A proposal is shown, and a person decides.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypedDict

from labeling.loop.importing.csv.columns import Columns
from labeling.loop.importing.csv.dates import DATE_FORMS, fits

#: Rows that are looked at.
PROFILED = 20_000
_SEPARATORS = {",": "a comma", ";": "a semicolon", "|": "a bar", "/": "a slash"}
#: A separator in fewer cells than this share is part of a few names.
_FEWEST_SPLIT, _SPLIT_SHARE, _SPLIT_SHARE_OF_METADATA = 3, 0.1, 0.5
_FEWEST_REPEATS, _REPEAT_SHARE = 3, 0.05
_MOST_PEOPLE = 500
_PERSON = re.compile(
    r"\b(annotator|worker|user|username|curator|editor|rater|tagger|labell?er|listener|person|"
    r"who|author|reviewer|coder|initials|by|name of \w+)\b"
)
_DATE = re.compile(r"\b(date|time|timestamp|when|day|on|at|created|modified|updated)\b")
_WORDS = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")


class Proposal(TypedDict):
    """Something to choose: what it is, the column, the proposed value, and the reason."""

    kind: str
    column: str
    value: str
    message: str


@dataclass
class _Column:
    n_filled: int = 0
    n_with: Counter[str] = field(default_factory=Counter)
    values: set[str] = field(default_factory=set)
    n_dates: Counter[str] = field(default_factory=Counter)
    n_differing: int = 0

    def add(self, cell: str, *, are_dates: bool) -> None:
        self.n_filled += 1
        for separator in _SEPARATORS:
            self.n_with[separator] += separator in cell
        if len(self.values) <= _MOST_PEOPLE:
            self.values.add(cell)
        if are_dates:
            self.n_dates.update(form for form in DATE_FORMS if fits(cell, form))


class Profile:
    """Counts over the first rows of a file, read with these columns.

    Before a person has mapped the columns (`is_first_look`), metadata may be labels as well.
    """

    def __init__(self, columns: Columns, *, is_first_look: bool = False) -> None:
        self.columns = columns
        self.is_first_look = is_first_look
        self.n_rows = self.n_repeats = 0
        self._of = [_Column() for _ in columns.names]
        self._first: dict[str, list[str]] = {}
        self._dated = {
            place for place, name in enumerate(columns.names) if _DATE.search(_words(name))
        }
        if columns.annotated_at is not None:
            self._dated.add(columns.annotated_at)

    def add(self, cells: list[str]) -> None:
        """Count a row; only the first `PROFILED` rows count."""
        if self.n_rows >= PROFILED:
            return
        self.n_rows += 1
        width = len(self._of)
        row = [cell.strip() for cell in cells[:width]] + [""] * (width - len(cells))
        for place, cell in enumerate(row):
            if cell:
                self._of[place].add(cell, are_dates=place in self._dated)
        key = row[self.columns.key]
        first = self._first.setdefault(key, row)
        if first is not row:
            self.n_repeats += 1
            for place, cell in enumerate(row):
                self._of[place].n_differing += cell != first[place]

    def proposals(self) -> list[Proposal]:
        """Return what a person may want to choose differently."""
        return [*self._separators(), *self._dates(), *self._people()]

    def _separators(self) -> Iterator[Proposal]:
        shares = dict.fromkeys(self.columns.facets, _SPLIT_SHARE)
        if self.is_first_look:
            shares |= dict.fromkeys(self.columns.extra, _SPLIT_SHARE_OF_METADATA)
        for place, share in sorted(shares.items()):
            column = self._of[place]
            if not column.n_filled or self._splits(place):
                continue
            separator, n = max(column.n_with.items(), key=lambda one: one[1])
            if n >= max(_FEWEST_SPLIT, share * column.n_filled) and place not in self._dated:
                yield {
                    "kind": "separator",
                    "column": self.columns.names[place],
                    "value": separator,
                    "message": f"{n:,} of {column.n_filled:,} cells contain "
                    f"{_SEPARATORS[separator]}: choose it as the separator if these cells hold "
                    "several labels",
                }

    def _splits(self, place: int) -> bool:
        """Say whether a separator was chosen that cells contain, as far as it is known."""
        chosen = self.columns.separators.get(place, "")
        counted = set(chosen) & _SEPARATORS.keys()
        return bool(chosen) and (
            not counted or any(self._of[place].n_with[one] for one in counted)
        )

    def _dates(self) -> Iterator[Proposal]:
        place, form = self.columns.annotated_at, self.columns.dates
        if place is None or not self._of[place].n_filled:
            return
        column = self._of[place]
        fitting = column.n_dates[form]
        others = [one for one, n in column.n_dates.items() if n > fitting]
        if not others:
            return
        most = max(column.n_dates[one] for one in others)
        best = [one for one in DATE_FORMS if column.n_dates[one] == most and one in others]
        words = "; or ".join(DATE_FORMS[one] for one in best)
        yield {
            "kind": "dates",
            "column": self.columns.names[place],
            "value": best[0],
            "message": f"{fitting:,} of {column.n_filled:,} cells are dates as "
            f"{DATE_FORMS[form]}; {most:,} are dates as {words}",
        }

    def _people(self) -> Iterator[Proposal]:
        """Propose columns for the annotator and the date, if rows repeat a track."""
        if self.n_repeats < max(_FEWEST_REPEATS, _REPEAT_SHARE * self.n_rows):
            return
        for place in (*self.columns.extra, *self.columns.of_answer):
            name = self.columns.names[place]
            if self.columns.annotated_at is None and self._looks_like_a_date(place):
                yield self._for_answer("annotated_at", "a date", name)
            elif self.columns.annotator is None and self._looks_like_people(place):
                yield self._for_answer("annotator", "the person who labelled", name)

    def _for_answer(self, meaning: str, words: str, name: str) -> Proposal:
        return {
            "kind": meaning,
            "column": name,
            "value": meaning,
            "message": f"{self.n_repeats:,} of {self.n_rows:,} rows name a track again, and "
            f"{name!r} looks like {words}: map it to {meaning}, or these rows are joined into "
            "one answer",
        }

    def _looks_like_a_date(self, place: int) -> bool:
        column = self._of[place]
        most = max(column.n_dates.values(), default=0)
        return place in self._dated and most >= 0.9 * column.n_filled > 0

    def _looks_like_people(self, place: int) -> bool:
        """Few values, repeated, that differ where a track is named again."""
        column, name = self._of[place], _words(self.columns.names[place])
        n_values = len(column.values)
        if n_values < 2 or n_values > _MOST_PEOPLE or 2 * n_values > column.n_filled:
            return False
        is_number = all(_is_number(value) for value in column.values)
        always_differs = column.n_differing >= 0.9 * self.n_repeats
        return bool(_PERSON.search(name)) or (always_differs and not is_number)


def _words(name: str) -> str:
    return " ".join(_WORDS.split(name)).casefold()


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace(",", "", 1).isdecimal()
