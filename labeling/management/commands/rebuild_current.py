"""Rebuild the current answers from the events."""

from __future__ import annotations

from typing import Any

from labeling.loop.events import current_answers
from labeling.management.base import AudiotagCommand


class Command(AudiotagCommand):
    help = "Rebuild the current answers from the events; changes nothing if they are right."

    def answer(self, **options: Any) -> dict[str, Any]:
        library = self.library(options["library"])
        return {
            "library": library.slug,
            "changed": current_answers.rebuild_current_answers(library),
        }
