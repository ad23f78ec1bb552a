"""Errors of the arithmetic half. Standard library only."""

from __future__ import annotations


class MlError(Exception):
    """Base of every error that `ml` raises on purpose."""


class ParameterError(MlError, ValueError):
    """A parameter is outside what the function accepts; names it, its value and the range."""


class AudioError(MlError):
    """A file cannot be decoded. `reason` is one sentence a curator understands.

    `kind` tells the causes apart: "unreadable" (it is in the file), "missing" (there is no such
    file), "crashed" and "timeout" (the decoding process did not survive the file).
    """

    def __init__(self, reason: str, kind: str = "unreadable") -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


class FeatureStoreError(MlError):
    """A shard of features is missing, damaged or already there; the message names it."""


class NothingToLearnError(MlError):
    """A selection has too little in it to train on; the message says what is missing."""


class NetworkDivergedError(MlError):
    """Training ended in NaN or infinity; no model comes of it."""


class CancelledError(MlError):
    """The caller asked to stop; nothing was kept."""
