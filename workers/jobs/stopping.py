"""Why work ends before it is done. Raised by the work itself, at a place of its choice."""

from __future__ import annotations


class Stopped(Exception):
    """The work was asked to end; nothing of it is kept."""


class Cancelled(Stopped):
    """A person cancelled the job."""


class LeaseLost(Stopped):
    """Another worker has the work now; whatever this one made is discarded."""


class HandedBack(Stopped):
    """The worker shuts down; the job goes back to the queue and the attempt does not count."""
