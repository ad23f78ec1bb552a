"""Follow a job from a command while a worker does it, with a progress bar on stderr."""

from __future__ import annotations

import sys
from threading import Event
from typing import TextIO

from labeling import jobs
from labeling.models import Job

_LOOK_EVERY_S = 0.3
_BAR = 24


def follow_job(job: Job, stream: TextIO | None = None) -> Job:
    """Watch the job to its end; return it still open if no worker runs (any more)."""
    bar = ProgressBar(stream or sys.stderr, job.get_kind_display())
    queue = jobs.queue_of(job.kind)
    while job.state in Job.OPEN and jobs.worker_is_there(queue):
        bar.show(job)
        Event().wait(_LOOK_EVERY_S)
        job.refresh_from_db()
    bar.end(job)
    return job


class ProgressBar:
    """One line that changes in place on a terminal, or a line a change elsewhere."""

    def __init__(self, stream: TextIO, title: str) -> None:
        self._stream = stream
        self._title = title
        self._is_terminal = hasattr(stream, "isatty") and stream.isatty()
        self._last = ""

    def show(self, job: Job) -> None:
        """Show how far the job is."""
        line = f"{self._title}: {progress_words(job)}"
        if line == self._last:
            return
        self._last = line
        if self._is_terminal:
            self._stream.write(f"\r\x1b[K{line}")
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def end(self, job: Job) -> None:
        """Leave the line with how it ended."""
        self.show(job)
        if self._is_terminal:
            self._stream.write("\n")


def progress_words(job: Job) -> str:
    """Return the progress of a job in words."""
    if job.state != Job.State.RUNNING:
        return job.state + (f" ({job.reason})" if job.reason else "")
    if not job.total:
        return job.message or "running"
    filled = _BAR * job.done // job.total
    bar = "#" * filled + "." * (_BAR - filled)
    return f"[{bar}] {job.done} of {job.total} {job.message}".rstrip()
