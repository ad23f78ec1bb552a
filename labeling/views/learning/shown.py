"""A metric as text, with a note and a tooltip; a dash where it is unknown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shown:
    """A metric as text: its value, a note and a tooltip."""

    value: str
    note: str = ""
    hint: str = ""

    @property
    def is_unknown(self) -> bool:
        """Say whether there is no figure."""
        return self.value == "–"


def short(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """Return a number as text; a dash if there is none."""
    if value is None:
        return "–"
    return f"{value:{'+' if signed else ''}.{digits}f}"
