"""Fields of a request, within the limits of the database."""

from __future__ import annotations

from django.http import QueryDict

#: Longer numbers are not ids, and too long for the database.
MOST_DIGITS = 18


def whole_number(text: str | None) -> int | None:
    """Return a non-negative whole number of at most 18 digits, or None for anything else."""
    if text and len(text) <= MOST_DIGITS and text.isascii() and text.isdecimal():
        return int(text)
    return None


def text_in(data: QueryDict, name: str) -> str:
    """Return the text of a field without the NUL character, which databases refuse."""
    return data.get(name, "").replace("\x00", "")
