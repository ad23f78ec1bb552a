"""Dates and counts, written the same way on every page: 23 Nov 2026, 14:05 and 1,234."""

from __future__ import annotations

from datetime import UTC, date, datetime

from django import template
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.formats import date_format

register = template.Library()
#: Names of formats in `audiotag_site.formats`, which the admin site follows too.
_DAY, _TIME, _MOMENT = "DATE_FORMAT", "TIME_FORMAT", "DATETIME_FORMAT"


@register.filter
def moment(when: datetime | str | None) -> str:
    """Return a date with its time in the site's time zone; empty if there is none."""
    found = parse_datetime(when) if isinstance(when, str) else when
    return "" if found is None else date_format(timezone.localtime(found), _MOMENT)


@register.filter
def day(when: date | str | None) -> str:
    """Return the date of a day or of a time in the site's time zone; empty if there is none."""
    found = _parsed(when)
    if isinstance(found, datetime):
        found = timezone.localtime(found)
    return "" if found is None else date_format(found, _DAY)


@register.filter
def utc_day(when: date | str | None) -> str:
    """Return the date in UTC, for days that people enter as UTC days."""
    found = _parsed(when)
    if isinstance(found, datetime):
        found = timezone.localtime(found, UTC)
    return "" if found is None else date_format(found, _DAY)


def _parsed(when: date | str | None) -> date | None:
    if isinstance(when, str):
        return parse_date(when) if len(when) <= len("2026-11-23") else parse_datetime(when)
    return when


def month(year: int, number: int) -> str:
    """Return a month, such as Nov 2026."""
    return date_format(date(year, number, 1), "M Y")


def time_or_day(when: datetime) -> str:
    """Return the time if it was today, otherwise the date."""
    here = timezone.localtime(when)
    is_today = here.date() == timezone.localdate()
    return date_format(here, _TIME if is_today else _DAY)


@register.filter
def whole(number: object) -> str:
    """Return a count with commas between thousands; other values as they are."""
    if isinstance(number, int) and not isinstance(number, bool):
        return f"{number:,}"
    return "" if number is None else str(number)


@register.filter
def period(days: str) -> str:
    """Return a period that is stored as first/last day, both included."""
    first, _, last = days.partition("/")
    return f"{day(first)} to {day(last)}"
