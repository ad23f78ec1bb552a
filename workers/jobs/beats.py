"""Heartbeats of whole processes: workers and the scheduler.

Each worker writes its row every few seconds and sweeps while it is at it, so that a missing
scheduler loses nothing. A worker that is told to stop empties its `queues`: from then on it
counts as gone. After a pause in which short work ends on its own, the work in its children is
asked to hand itself back. The children of a worker exit when the worker is gone.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from celery import signals
from django.conf import settings
from django.db import DatabaseError, connections
from django.utils import timezone

from labeling.jobs import SCHEDULER
from labeling.models import WorkerBeat

logger = logging.getLogger(__name__)

BEAT_S = 3.0
#: Time that short work gets to end on its own once its worker shuts down.
GRACE_S = 5.0
_PARENT_SEEN_S = 0.5


class ProcessBeat:
    """The beating thread of this process."""

    def __init__(self, name: str, queues: str, also: Callable[[], object] | None) -> None:
        self.name = name
        self.queues = queues
        self._also = also
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)

    def start(self) -> None:
        """Start beating immediately."""
        self._thread.start()

    def shut_down(self) -> None:
        """Take no more work, while this worker finishes what it has."""
        self.queues = ""
        _quietly(self.write)

    def end(self) -> None:
        """Stop beating and delete the row."""
        self._ended.set()
        self._thread.join(timeout=5)
        _quietly(lambda: WorkerBeat.objects.filter(name=self.name).delete())

    def write(self) -> None:
        """Write the row of this process."""
        WorkerBeat.objects.update_or_create(
            name=self.name,
            defaults={"queues": self.queues, "pid": os.getpid(), "beat_at": timezone.now()},
        )

    def _run(self) -> None:
        while True:
            _quietly(self.write)
            if self._also is not None and self.queues:
                _quietly(self._also)
            # Closed each time: a pool child forked in the meantime must not share a connection.
            connections.close_all()
            if self._ended.wait(BEAT_S):
                return


def is_shutting_down(worker: str) -> bool:
    """Say whether this worker was told to stop and its grace time is over."""
    if not worker:
        return False
    row = WorkerBeat.objects.filter(name=worker, queues="").first()
    if row is None:
        _stopping_since.pop(worker, None)
        return False
    since = _stopping_since.setdefault(worker, timezone.now())
    return timezone.now() - since >= timedelta(seconds=GRACE_S)


_stopping_since: dict[str, Any] = {}
_of_this_process: list[ProcessBeat] = []


def _quietly(act: Callable[[], object]) -> None:
    try:
        act()
    except Exception as error:  # whatever it is: a worker without a beat counts as gone
        is_known = isinstance(error, DatabaseError)
        logger.warning("no heartbeat, or no sweep: %s", error, exc_info=not is_known)


def start_beating(name: str, queues: str, also: Callable[[], object] | None = None) -> None:
    beat = ProcessBeat(name, queues, also)
    _of_this_process.append(beat)
    beat.start()


@signals.worker_shutting_down.connect(weak=False)
def _worker_stops(**_: Any) -> None:
    # Called in a signal handler: the write must not wait for a lock this thread holds.
    for beat in _of_this_process:
        threading.Thread(target=beat.shut_down, daemon=True).start()


@signals.worker_shutdown.connect(weak=False)
def _worker_is_gone(**_: Any) -> None:
    while _of_this_process:
        _of_this_process.pop().end()


@signals.beat_init.connect(weak=False)
def _scheduler_is_ready(**_: Any) -> None:
    start_beating(f"{SCHEDULER}@{os.uname().nodename}:{os.getpid()}", SCHEDULER)
    watch_parent()


@signals.worker_init.connect(weak=False)
def _worker_begins(**_: Any) -> None:
    watch_parent()


@signals.worker_process_init.connect(weak=False)
def _child_begins(**_: Any) -> None:
    # A fork inherits the list, not the threads: the beats are the parent's.
    _of_this_process.clear()
    watch_parent(always=True)


def watch_parent(*, always: bool = False) -> None:
    """Exit when the parent is gone: no orphan works on after a kill.

    A pool child always watches its worker; a worker watches only the supervisor that set
    `AUDIOTAG_SUPERVISED`, because under a service manager its parent may change.
    """
    if not always and not settings.IS_SUPERVISED:
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            threading.Event().wait(_PARENT_SEEN_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()
