"""Errors that `ml` raises on purpose. Standard library only."""

from __future__ import annotations


class MlError(Exception):
    """Base class of every error that `ml` raises on purpose."""


class ParameterError(MlError, ValueError):
    """A parameter has a value that the function does not accept.

    The message names the parameter, its value and what is accepted.
    """


class AudioError(MlError):
    """A file cannot be decoded.

    Attributes
    ----------
    reason : one sentence that a curator understands.
    kind : the cause: "unreadable" (the content of the file), "missing" (there is no such file),
        "crashed" or "timeout" (the decoding process failed on the file).
    """

    def __init__(self, reason: str, kind: str = "unreadable") -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


class FeatureStoreError(MlError):
    """A shard of features is missing, damaged or already there; the message names it."""


class NothingToLearnError(MlError):
    """A selection has too few labels to train on; the message says what is missing."""


class NetworkDivergedError(MlError):
    """Training ended in NaN or infinity; there is no model."""


class CancelledError(MlError):
    """The caller asked to stop; nothing was kept."""
