"""Errors of the loop, by name. Every message says what to do next."""

from __future__ import annotations

from typing import Any


class LoopError(Exception):
    """Base of the errors of the loop."""


class BadInput(LoopError):
    """The request cannot be carried out as it is; nothing was written."""


class NotAllowed(LoopError):
    """The role of the person does not allow this."""


class QueueEmpty(LoopError):
    """No track is left to serve to this annotator."""


class StaleVersion(LoopError):
    """Somebody (or another tab) answered in between; carries both answers."""

    def __init__(self, yours: dict[str, Any], stored: dict[str, Any], version: int) -> None:
        super().__init__("this track was answered in another window since")
        self.yours, self.stored, self.version = yours, stored, version


class EmptySelection(BadInput):
    """A selection of answers that a model could not learn from."""
