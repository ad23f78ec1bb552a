"""Cells that a spreadsheet would take for a formula, and back."""

from __future__ import annotations

import re

_RISKY = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")


def guarded(text: str) -> str:
    """Return the text with a ' before it where a spreadsheet would run it.

    What already looks guarded gets one more ', so that `unguarded` always gives the text back.
    """
    return f"'{text}" if _RISKY.match(text) else text


def unguarded(cell: str) -> str:
    """Return what a guarded cell stands for: exactly one ' is taken away."""
    return cell[1:] if cell[:1] == "'" and _GUARDED.match(cell) else cell
