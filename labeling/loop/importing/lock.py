"""The import lock: one import at a time per library, since new tracks join existing groups.

The lock is released when the process or its connection ends, for whatever reason, so a killed
import blocks nobody.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import connection

from labeling.private_files import private_folder

_LOOK_AGAIN_S = 0.05
#: Distinguishes our advisory locks from others in the same database.
_OURS = 0x61756469
#: Instead of a library's id: the lock to register a folder, which all libraries share.
FOLDERS = 0


@contextmanager
def one_import_at_a_time(
    library_id: int, should_stop: Callable[[], bool] | None = None
) -> Iterator[bool]:
    """Wait until no other import of this library runs; yield False if asked to stop first."""
    held = _advisory_lock if connection.vendor == "postgresql" else _file_lock
    with held(library_id) as try_it:
        while not (has_turn := try_it()):
            if should_stop is not None and should_stop():
                break
            time.sleep(_LOOK_AGAIN_S)
        yield has_turn


@contextmanager
def _advisory_lock(library_id: int) -> Iterator[Callable[[], bool]]:
    has_it = False

    def try_it() -> bool:
        nonlocal has_it
        has_it = _ask("SELECT pg_try_advisory_lock(%s, %s)", library_id)
        return has_it

    try:
        yield try_it
    finally:
        if has_it and connection.connection is not None:
            _ask("SELECT pg_advisory_unlock(%s, %s)", library_id)


def _ask(query: str, library_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(query, [_OURS, library_id % 2**31])
        return bool(cursor.fetchone()[0])


@contextmanager
def _file_lock(library_id: int) -> Iterator[Callable[[], bool]]:
    path = private_folder(Path(settings.DATA) / "locks") / f"import-{library_id}.lock"
    with path.open("w") as file:  # closing it releases the lock

        def try_it() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        yield try_it
