"""Starts processes, restarts those that die, stops them in order; leaves none behind.

Each child has a process group of its own, so that Ctrl-C on the terminal reaches only the
supervisor, and a group is killed with all that its members started. When the supervisor itself
is killed, `workers.process.guard` kills the groups.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from workers.process.commands import Process

STOP_WITHIN_S = 15.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
#: A child that lived this long starts afresh with the shortest pause.
SETTLED_AFTER_S = 60.0
_LOOK_EVERY_S = 0.1
_ORDER_S = 3.0
_LOG_BYTES = 10 * 1024 * 1024
_LOGS_EVERY_S = 5.0


class Guard:
    """Our end of the pipe to `workers.process.guard`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-m", "workers.process.guard"],
            stdin=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[2],
            start_new_session=True,
            text=True,
            bufsize=1,
        )

    def watch(self, group: int) -> None:
        """Ask the guard to kill this group when we are gone."""
        self._tell(f"+{group}")

    def forget(self, group: int) -> None:
        """Tell the guard to leave this group alone."""
        self._tell(f"-{group}")

    def close(self) -> None:
        """Let the guard end: it kills whatever is still listed."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(line + "\n")


class Child:
    """One process that is kept running."""

    def __init__(self, process: Process, guard: Guard, log: Path | None = None) -> None:
        self.process = process
        self._log = log
        self.restarts = 0
        self.status: int | None = None
        self._guard = guard
        self._running: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._start_at = 0.0

    @property
    def pid(self) -> int | None:
        """Process id, which is also the group's; None while it is not running."""
        return self._running.pid if self._running else None

    def start(self) -> None:
        """Start the process in a group of its own."""
        with contextlib.ExitStack() as files:
            log = files.enter_context(open_log(self._log)) if self._log else None
            self._running = subprocess.Popen(
                self.process.command,
                env=self.process.environ() | {"AUDIOTAG_SUPERVISED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=self.process.output or log,
                stderr=log,
                process_group=0,
            )
        self._guard.watch(self._running.pid)
        self._started_at = time.monotonic()

    def look(self) -> int | None:
        """Start again what ended, after its pause; return the status of what just ended."""
        now = time.monotonic()
        if self._running is None:
            if now >= self._start_at:
                self.restarts += 1
                self.start()
            return None
        if not self.has_ended():
            return None
        if now - self._started_at >= SETTLED_AFTER_S:
            self._pause_s = FIRST_PAUSE_S
        self._start_at = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        return self.status

    @property
    def pause_s(self) -> float:
        """Seconds until it is started again."""
        return max(0.0, self._start_at - time.monotonic())

    def make_room(self) -> None:
        """Limit the size of the log."""
        if self._log is not None:
            cut_log(self._log)

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the process itself, which ends what it has in hand."""
        if self._running is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._running.pid, signal.SIGTERM)

    def has_ended(self) -> bool:
        """Say whether it is gone; if so, kill the rest of its group."""
        if self._running is not None and self._running.poll() is not None:
            self._bury()
        return self._running is None

    def kill(self) -> None:
        """Kill the whole group."""
        if self._running is None:
            return
        _kill_group(self._running.pid)
        self._running.wait()
        self._bury()

    def _bury(self) -> None:
        if self._running is not None:
            self.status = self._running.returncode
            _kill_group(self._running.pid)
            self._guard.forget(self._running.pid)
            self._running = None


def open_log(file: Path) -> IO[str]:
    """Open a log to append to; one that has grown large becomes `.1` first."""
    if file.exists() and file.stat().st_size > _LOG_BYTES:
        file.replace(file.with_name(file.name + ".1"))
    return open(file, "a", opener=_private)


def cut_log(file: Path) -> None:
    """Move what a large log holds to `.1`, while its process goes on writing to it.

    The process appends to an open file, which is therefore copied and emptied, not renamed; a
    line written between the two is lost. The log is emptied even if the copy does not fit.
    """
    with contextlib.suppress(OSError):
        if file.stat().st_size <= _LOG_BYTES:
            return
        with contextlib.suppress(OSError):
            older = file.with_name(file.name + ".1")
            with file.open("rb") as source, open(older, "wb", opener=_private) as copy:
                shutil.copyfileobj(source, copy)
        os.truncate(file, 0)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


class Supervisor:
    """Runs a set of processes until it is asked to stop."""

    def __init__(
        self, processes: Sequence[Process], say: Callable[[str], None], logs: Path | None = None
    ) -> None:
        self._say = say
        self._guard = Guard()
        self.children = [Child(p, self._guard, self._log(logs, p)) for p in processes]
        self._asked = threading.Event()
        self._asked_times = 0
        #: Process whose end is a stop too; None where the parent does not matter.
        self.parent: int | None = None

    @staticmethod
    def _log(folder: Path | None, process: Process) -> Path | None:
        return folder / f"{process.name.replace(' ', '-')}.log" if folder else None

    @contextlib.contextmanager
    def signals_caught(self) -> Iterator[None]:
        """Turn SIGINT, SIGTERM and SIGHUP into a stop, a second one into a kill."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, *_: object) -> None:
        self._asked_times += 1
        self._asked.set()

    @property
    def is_asked_to_stop(self) -> bool:
        """True if a signal came."""
        return self._asked.is_set()

    def run_once(self, process: Process) -> int:
        """Run one process to its end, killed with us; return its status (-1: we must stop)."""
        child = Child(process, self._guard)
        child.start()
        while not child.has_ended():
            if self._asked.wait(_LOOK_EVERY_S):
                child.ask_to_stop()
                self._wait([child], time.monotonic() + _ORDER_S)
                child.kill()
                return -1
        return child.status or 0

    def _is_left_behind(self) -> bool:
        return self.parent is not None and os.getppid() != self.parent

    def start(self) -> None:
        """Start every process."""
        for child in self.children:
            child.start()

    def watch(self) -> None:
        """Keep every process running until a signal comes or the watched parent is gone."""
        rooms_at = time.monotonic()
        while not self._asked.wait(_LOOK_EVERY_S) and not self._is_left_behind():
            if time.monotonic() >= rooms_at:
                rooms_at = time.monotonic() + _LOGS_EVERY_S
                for child in self.children:
                    child.make_room()
            for child in self.children:
                status = child.look()
                if status is not None:
                    self._say(
                        f"{child.process.name} ended ({_words(status)}); "
                        f"it starts again in {child.pause_s:.1f} s"
                    )

    def stop(self) -> None:
        """Stop all in order and gently; kill what is left after the time.

        A second signal kills at once.
        """
        deadline = time.monotonic() + STOP_WITHIN_S
        for order in sorted({child.process.stop_order for child in self.children}):
            batch = [c for c in self.children if c.process.stop_order == order]
            for child in batch:
                child.ask_to_stop()
            is_last = order == max(c.process.stop_order for c in self.children)
            self._wait(batch, deadline if is_last else time.monotonic() + _ORDER_S)
        for child in self.children:
            child.kill()
        self._guard.close()

    def _wait(self, children: list[Child], deadline: float) -> None:
        while not all(child.has_ended() for child in children):
            if self._asked_times > 1 or time.monotonic() > deadline:
                return
            threading.Event().wait(_LOOK_EVERY_S / 2)


def _words(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"
