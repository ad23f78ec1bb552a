"""Spans of time in words short enough for a table."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils import timezone

register = template.Library()


@register.filter
def took(start: datetime | None, end: datetime | None) -> str:
    """Return how long something took, in two units at most; empty while it is not over."""
    if start is None or end is None:
        return ""
    return _in_words((end - start).total_seconds())


@register.filter
def seconds(number: float | None) -> str:
    """Return a number of seconds, in two units at most; empty if there is none."""
    return "" if number is None else _in_words(number)


@register.filter
def ago(moment: datetime | None) -> str:
    """Return how long ago a moment was."""
    if moment is None:
        return ""
    since = (timezone.now() - moment).total_seconds()
    return "just now" if since < 5 else f"{_in_words(since)} ago"


def _in_words(seconds: float) -> str:
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    for size, name, smaller, smaller_name in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            large, rest = divmod(whole, size)
            small = rest // smaller
            return f"{large} {name} {small} {smaller_name}" if small else f"{large} {name}"
    return f"{whole} s"
