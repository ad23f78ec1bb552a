"""Show how consistent the annotators of a library are."""

from __future__ import annotations

from typing import Any

from labeling.loop.consistency import agreement
from labeling.management.base import AudiotagCommand


class Command(AudiotagCommand):
    help = "Show agreement between annotators, self-agreement and drift."

    def answer(self, **options: Any) -> dict[str, Any]:
        return agreement.report(self.library(options["library"]))

    def tell(self, answer: dict[str, Any]) -> None:
        for title, rows in answer.items():
            shown = [row for row in rows if row.get("label") is None] or rows
            self.stdout.write(f"{title}: {len(rows)} rows" + (":" if shown else ""))
            for row in shown:
                self.stdout.write("  " + ", ".join(f"{k} {_short(v)}" for k, v in row.items()))


def _short(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
