"""Several clients that begin at the same moment."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from django.db import connections


def all_at_once(work, arguments):
    """Run `work` for every argument in a thread of its own, started together."""
    barrier = threading.Barrier(len(arguments))

    def started(argument):
        try:
            barrier.wait()
            return work(argument)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(started, arguments))
