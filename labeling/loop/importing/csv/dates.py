"""Dates of a catalogue: read in the form that a person chose, never guessed.

`03/04/2019` is a day in March or in April, and `43586` may be a day of Excel or a second of
Unix. So the form is chosen for the whole column, and a cell of another form is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from labeling.moments import EARLIEST

#: The form of the dates -> how it is described.
DATE_FORMS = {
    "iso": "2019-05-31 or 2019-05-31T10:00:00+02:00",
    "dmy": "day/month/year, such as 31/5/2019",
    "mdy": "month/day/year, such as 5/31/2019",
    "unix": "Unix seconds or milliseconds, such as 1559296800",
    "excel": "Excel day numbers, such as 43616.4",
}
_YEAR_FIRST = re.compile(r"\d{4}-")
_PARTS = re.compile(
    r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})"
    r"(?:[ T,]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*([AaPp][Mm])?)?"
)
_NUMBER = re.compile(r"\d{1,16}(?:[.,]\d+)?")
#: Seconds of Unix have fewer digits until the year 5138; larger numbers are milliseconds.
_MILLISECONDS_FROM = 1e11
_EXCEL_DAY_0 = datetime(1899, 12, 30, tzinfo=UTC)


@dataclass(frozen=True)
class DateExample:
    """The first cells of a column as one form reads them; "" where they do not fit."""

    form: str
    words: str
    read: list[str]

    @property
    def fits(self) -> bool:
        return all(self.read)


def read_moment(text: str, form: str = "iso") -> datetime:
    """Return the moment of a cell, or raise ValueError with the problem and its solution.

    Without a time zone, UTC is assumed. A date with the year first is read in every form.
    """
    try:
        moment = _parsed(text, "iso" if _YEAR_FIRST.match(text) else form)
    except (ValueError, OverflowError):
        raise ValueError(_not_a_date(text, form)) from None
    # The current date may be a few hours ahead in another time zone.
    if moment > datetime.now(UTC) + timedelta(days=1):
        raise ValueError(f"{text[:40]!r} is in the future: no answer was given then")
    if moment < EARLIEST:
        raise ValueError(
            f"{text[:40]!r} is before {EARLIEST.year}: no answer was given then; leave the "
            "cell empty where the moment is not known"
        )
    return moment


def _not_a_date(text: str, form: str) -> str:
    if form == "iso":
        problem = "is not a date: write 2019-05-01 or 2019-05-01T10:00:00+00:00"
    else:
        problem = f"is not a date as {DATE_FORMS[form]}"
    others = [other for other in DATE_FORMS if other != form and fits(text, other)]
    hint = f", or read the dates as {' or '.join(others)} (--dates)" if others else ""
    return f"{text[:40]!r} {problem}{hint}"


def fits(text: str, form: str) -> bool:
    """Say whether a cell is a date of this form, between 1990 and now."""
    try:
        moment = _parsed(text, form)
    except (ValueError, OverflowError):
        return False
    return EARLIEST <= moment <= datetime.now(UTC) + timedelta(days=1)


def _parsed(text: str, form: str) -> datetime:
    if form == "iso":
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    if form in ("dmy", "mdy"):
        return _by_parts(text, is_day_first=form == "dmy")
    return _by_number(text, form)


def _by_parts(text: str, *, is_day_first: bool) -> datetime:
    found = _PARTS.fullmatch(text)
    if found is None:
        raise ValueError(text)
    first, _, second, year, hour, minute, seconds, half = found.groups()
    day, month = (first, second) if is_day_first else (second, first)
    return datetime(
        _year(year),
        int(month),
        int(day),
        _hour(int(hour or 0), (half or "").casefold()),
        int(minute or 0),
        int(seconds or 0),
        tzinfo=UTC,
    )


def _year(digits: str) -> int:
    """Return the year; one of two digits is not before the earliest answer."""
    year = int(digits)
    if len(digits) == 4:
        return year
    return year + (1900 if year >= EARLIEST.year % 100 else 2000)


def _hour(hour: int, half: str) -> int:
    if not half:
        return hour
    if not 1 <= hour <= 12:
        raise ValueError(half)
    return hour % 12 + (12 if half == "pm" else 0)


def _by_number(text: str, form: str) -> datetime:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    number = float(text.replace(",", "."))
    if form == "unix":
        seconds = number / 1000 if number >= _MILLISECONDS_FROM else number
        return datetime.fromtimestamp(seconds, UTC)
    return _EXCEL_DAY_0 + timedelta(seconds=round(number * 86_400))


def date_examples(cells: list[str]) -> list[DateExample]:
    """Return how these cells are read in each form, for a person to choose."""
    return [
        DateExample(form, words, [_shown(cell, form) for cell in cells])
        for form, words in DATE_FORMS.items()
    ]


def _shown(cell: str, form: str) -> str:
    try:
        moment = read_moment(cell, form)
    except ValueError:
        return ""
    is_day = (moment.hour, moment.minute, moment.second) == (0, 0, 0)
    return f"{moment:%d %B %Y}" if is_day else f"{moment:%d %B %Y %H:%M} UTC"
