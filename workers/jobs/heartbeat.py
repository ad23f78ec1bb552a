"""A thread that renews the heartbeat of a job while this process works on it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.db import DatabaseError, connection, connections

logger = logging.getLogger(__name__)


class Heartbeat:
    """Calls `beat` every `interval_s` on a connection of its own, until the block ends.

    Inside an open transaction (a test, a command) no heartbeat is needed: no other process sees
    the claim, so none can take it, and on SQLite the thread could only wait.
    """

    def __init__(self, beat: Callable[[], None], interval_s: float) -> None:
        self._beat = beat
        self._interval_s = interval_s
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Heartbeat:
        if not connection.in_atomic_block:
            self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._interval_s):
                self._beat_once()
        finally:
            connections.close_all()

    def _beat_once(self) -> None:
        try:
            self._beat()
        except Exception as error:
            # The next beat may get through; when none does, the sweep gives the work away. A
            # thread that ended here would give away work that goes on.
            is_known = isinstance(error, DatabaseError)
            logger.warning("heartbeat missed: %s", error, exc_info=not is_known)
            connections.close_all()
