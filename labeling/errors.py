"""What can go wrong in the loop, by name. Every message says what to do next."""

from __future__ import annotations

from typing import Any


class LoopError(Exception):
    """Base of the errors of the loop."""


class BadInput(LoopError):
    """What was asked for cannot be done as asked; nothing was written."""


class NotAllowed(LoopError):
    """The person may not do this here."""


class QueueEmpty(LoopError):
    """Nothing is left to present to this annotator."""


class StaleVersion(LoopError):
    """Somebody (or another tab) answered in between; carries both answers."""

    def __init__(self, yours: dict[str, Any], stored: dict[str, Any], version: int) -> None:
        super().__init__("this track was answered in another window meanwhile")
        self.yours, self.stored, self.version = yours, stored, version


class EmptySelection(BadInput):
    """A selection of answers has nothing in it to learn from."""
