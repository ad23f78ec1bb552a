"""The command line and environment of each process, for `run_audiotag` and for containers."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from django.conf import settings

_CELERY = (sys.executable, "-m", "celery", "--quiet", "-A", "audiotag_site")
#: Measured: without these a worker takes seconds longer to start, and does nothing with them.
_QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
#: One thread a process in the arithmetic libraries: the processes are the parallelism.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
#: TensorFlow grows by about 11 MB a fit: beyond this a new child takes over.
_ML_CHILD_KB = 2_000_000
_AUDIO_CHILD_KB = 1_000_000
_TRACKS_A_CHILD = 200


@dataclass(frozen=True)
class Process:
    """A process to start, and its place in the order of stopping (lowest first)."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    stop_order: int = 0
    output: IO[str] | None = None

    def environ(self) -> dict[str, str]:
        """Return the whole environment of the process."""
        return os.environ | self.environment


def web(host: str, port: int) -> Process:
    """Return the web server: on SQLite one process, whose threads queue for its write lock."""
    processes, threads = (1, 8) if settings.IS_SQLITE else (2, 4)
    memory = Path("/dev/shm")  # noqa: S108 - gunicorn's own files, removed once opened
    command = [sys.executable, "-m", "gunicorn", "audiotag_site.wsgi:application"]
    command += ["--worker-class", "gthread", "--workers", str(processes)]
    command += ["--threads", str(threads), "--bind", f"{host}:{port}"]
    command += ["--graceful-timeout", "5", "--log-level", "warning", "--no-control-socket"]
    if memory.is_dir() and os.access(memory, os.W_OK):
        command += ["--worker-tmp-dir", str(memory)]
    return Process("web", tuple(command), stop_order=1)


def worker(queue: str, *, name: str = "") -> Process:
    """Return the worker that listens on a queue, with what its kind of work needs."""
    name = name or queue
    command = [*_CELERY, "worker", "-Q", queue, "-n", f"{name}@%h", *_QUIET]
    command += ["--loglevel", "WARNING"]
    environment = {}
    if queue == "audio":
        command += ["-c", str(settings.AUDIO_PROCESSES)]
        command += ["--max-tasks-per-child", str(_TRACKS_A_CHILD)]
        command += ["--max-memory-per-child", str(_AUDIO_CHILD_KB)]
        environment = dict(ONE_THREAD)
    elif queue == "ml":
        command += ["-c", "1", "--max-memory-per-child", str(_ML_CHILD_KB)]
        # Measured: TensorFlow hangs in a child that was forked after it was used.
        command += ["--", "worker.pool_start_method=spawn"]
        environment = {"TF_CPP_MIN_LOG_LEVEL": "2"}
    else:
        command += ["-c", "1"]
    return Process(f"worker {name}", tuple(command), environment, stop_order=2)


def beat() -> Process:
    """Return the scheduler."""
    command = (*_CELERY, "beat", "--loglevel", "WARNING", "--pidfile=")
    return Process("schedule", command, stop_order=0)


def manage(*arguments: str) -> tuple[str, ...]:
    """Return the command line of one of our own commands."""
    return (sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments)
