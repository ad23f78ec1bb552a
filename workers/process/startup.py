"""Start-up of `run_audiotag`: tables, schedule and a trained demo."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command, get_commands

from labeling import health
from labeling.errors import BadInput
from labeling.loop.demo import library as demo_data
from labeling.models import Library, ModelVersion
from labeling.private_files import private_folder
from workers.jobs.schedules import ensure_schedules
from workers.process.commands import ONE_THREAD, Process, manage

#: What `demo_library` said when it made the demo: the users and their passwords (mode 600).
DEMO_NOTE = "demo.json"
RunOnce = Callable[[Process], int]
Say = Callable[[str], None]


def check_ground() -> None:
    """Refuse to start, and say what to do, if starting could not succeed."""
    looks = (health.python_version, health.packages, health.database)
    for check in health.checks(looks):
        if not check.ok:
            raise BadInput(f"{check.name}: {check.detail}. {check.fix}")


def check_port(host: str, port: int) -> None:
    """Refuse a port that another process listens on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BadInput(_port_words(host, port, error)) from error


def _port_words(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} is in use: stop what listens there, or set AUDIOTAG_PORT to another"
        )
    return f"{host}:{port} cannot be listened on: {error.strerror}"


def prepare_tables() -> None:
    """Bring the tables and the schedule up to date."""
    call_command("migrate", verbosity=0, interactive=False)
    ensure_schedules()


def prepare_demo(run_once: RunOnce, say: Say) -> None:
    """Make sure that there is a library, and that a synthetic one is ranked by a model.

    1. Without any library: create the demo, and store its users. An interrupted creation is
       continued.
    2. A synthetic library without a model gets its first round, even after an interruption.
    """
    if _wants_demo() and _is_command("demo_library"):
        say("making the demo library (once, about a minute) ...")
        _make_demo(run_once, say)
    for library in Library.objects.filter(is_synthetic=True):
        if _is_command("run_round") and not _has_learnt(library):
            say(f"training on {library.slug} and ranking its queue (once) ...")
            command = manage("run_round", "--library", library.slug, "--inline", "--json")
            if run_once(Process("first round", command, {"TF_CPP_MIN_LOG_LEVEL": "2"})) > 0:
                say(f"the first round of {library.slug} failed; its queue is not ranked yet")


def _wants_demo() -> bool:
    """Say whether there is no library, or an unfinished demo whose users were not shown.

    The note of the users is written when the demo is complete.
    """
    if not Library.objects.exists():
        return True
    is_begun = Library.objects.filter(slug=demo_data.SLUG, is_synthetic=True).exists()
    return is_begun and not (settings.DATA / DEMO_NOTE).exists()


def _is_command(name: str) -> bool:
    return name in get_commands()


def _has_learnt(library: Library) -> bool:
    return ModelVersion.objects.filter(library=library).exists()


def _make_demo(run_once: RunOnce, say: Say) -> None:
    note = private_folder(settings.DATA) / DEMO_NOTE
    partial = note.with_suffix(".part")
    with open(partial, "w", opener=_private) as file:
        process = Process(
            "demo", manage("demo_library", "--json"), dict(ONE_THREAD), output=file
        )
        status = run_once(process)
    if status == 0:
        partial.replace(note)
    elif status > 0:
        say("the demo library could not be made; the program starts without it")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def demo_logins(folder: Path | None = None) -> list[tuple[str, str]]:
    """Return the demo's users and passwords, as stored at its creation."""
    note = (folder or settings.DATA) / DEMO_NOTE
    try:
        users = json.loads(note.read_text())["users"]
    except (OSError, ValueError, KeyError):
        return []
    return [_login(user) for user in users if isinstance(user, dict)]


def _login(user: dict[str, Any]) -> tuple[str, str]:
    name = str(user.get("user") or user.get("name") or user.get("username"))
    role = user.get("role")
    return (f"{name} ({role})" if role else name), str(user.get("password", ""))
