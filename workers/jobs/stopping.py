"""Reasons why work ends early, raised by the work itself at a point of its choice."""

from __future__ import annotations


class Stopped(Exception):
    """The work was asked to end; its result is discarded."""


class Cancelled(Stopped):
    """A person cancelled the job."""


class LeaseLost(Stopped):
    """Another worker has the work now; the result of this one is discarded."""


class HandedBack(Stopped):
    """The worker shuts down; the job goes back to the queue and the attempt does not count."""
