"""Counts of what the undo of an import takes back, and what it keeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypedDict

#: Rows of `kept` in a report; the rest is only counted.
KEPT_LISTED = 1_000


class KeptRow(TypedDict):
    """Something that an import added and that stays, and why."""

    what: str
    name: str
    why: str


@dataclass
class UndoCounts:
    """Counts of what is taken back, with a list of what later work keeps."""

    answers: int = 0
    labels: int = 0
    tracks: int = 0
    annotators: int = 0
    facts: int = 0
    kept: list[KeptRow] = field(default_factory=list)
    n_kept: int = 0

    def keep(self, what: str, names: Iterable[tuple[str, str]]) -> None:
        """Add (name, why) of things that stay."""
        for name, why in names:
            self.n_kept += 1
            if len(self.kept) < KEPT_LISTED:
                self.kept.append({"what": what, "name": name, "why": why})

    def numbers(self) -> dict[str, int]:
        """Return the counts by name."""
        names = ("answers", "labels", "tracks", "annotators", "facts")
        return {name: getattr(self, name) for name in names}

    def as_report(self, *, is_dry_run: bool, is_stopped: bool) -> dict[str, Any]:
        """Return the report as the command prints it with --json."""
        return {
            **self.numbers(),
            "kept": self.kept,
            "kept_omitted": self.n_kept - len(self.kept),
            "is_dry_run": is_dry_run,
            "is_stopped": is_stopped,
        }
