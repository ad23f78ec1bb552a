"""The guard: kills the listed process groups when its supervisor is gone.

It reads `+GROUP` and `-GROUP` lines from a pipe that only the supervisor holds open. The end
of the file means that the supervisor is gone, for whatever reason; then every group still
listed is killed, children of children included. On a normal stop the list is empty. Started as
`python -m workers.process.guard`; standard library only, so that it is small.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable


def groups_left(lines: Iterable[str]) -> set[int]:
    """Return the process groups that were added and not taken off, at the end of the lines."""
    groups: set[int] = set()
    for line in lines:
        sign, number = line[:1], line[1:].strip()
        if not number.isdigit():
            continue
        if sign == "+":
            groups.add(int(number))
        elif sign == "-":
            groups.discard(int(number))
    return groups


def main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    for group in groups_left(iter(sys.stdin.readline, "")):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
