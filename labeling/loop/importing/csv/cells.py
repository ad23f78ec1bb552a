"""Formula guards: cells that a spreadsheet would run as a formula, and back."""

from __future__ import annotations

import re

_RISKY = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")


def guarded(text: str) -> str:
    """Return the text with a ' before it if a spreadsheet would run it.

    A text that already looks guarded gets one more ', so that `unguarded` always restores it.
    """
    return f"'{text}" if _RISKY.match(text) else text


def unguarded(cell: str) -> str:
    """Return the text of a guarded cell: exactly one ' is removed."""
    return cell[1:] if cell[:1] == "'" and _GUARDED.match(cell) else cell
