"""Health checks of an installation, for `doctor`, `/healthz` and `make run`.

Light checks only: nothing here imports libraries that decode or learn. Checks that need them
run in a child process, which may fail, hang or be killed without harm.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from packaging.requirements import Requirement

from labeling import jobs
from labeling.models import AudioRoot

_MB = 1024 * 1024
_LEAST_DISK_MB = 500
_CHILD_S = 180
_OF_WORKERS = ("soundfile", "tensorflow")
_NOT_NEEDED = "not installed, and not needed here: workers elsewhere do this"
_START = "start the program: make run"
_TRY_DECODING = """
import io, numpy, soundfile
tone = numpy.sin(numpy.arange(44100) / 20).astype("float32") * 0.5
for container, subtype in (("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III")):
    memory = io.BytesIO()
    soundfile.write(memory, tone, 44100, format=container, subtype=subtype)
    memory.seek(0)
    heard, rate = soundfile.read(memory, dtype="float32")
    assert rate == 44100 and abs(len(heard) - 44100) < 4000, (container, len(heard))
    assert abs(numpy.abs(heard).max() - 0.5) < 0.1, container
print("libsndfile", soundfile.__libsndfile_version__, "reads wav, flac and mp3")
"""
_TRY_LEARNING = "import tensorflow; print('TensorFlow', tensorflow.__version__)"


@dataclass(frozen=True)
class Check:
    """One check; `fix` says what to do if it is not ok."""

    name: str
    ok: bool
    detail: str
    fix: str = ""

    def as_json(self) -> dict[str, object]:
        """Return the check as the commands print it."""
        return asdict(self)


Look = Callable[[], Iterator[Check]]


def checks(looks: Iterable[Look]) -> Iterator[Check]:
    """Run one check after the other."""
    for look in looks:
        yield from look()


def python_version() -> Iterator[Check]:
    ok = sys.version_info >= (3, 11)
    yield Check("python", ok, platform.python_version(), "" if ok else "use Python 3.11+")


def packages(file: str = "requirements.txt") -> Iterator[Check]:
    """Compare the installed packages with the requirements."""
    wrong = [text for text in map(_wrong_package, _requirements(file)) if text]
    yield Check(
        "packages",
        not wrong,
        "; ".join(wrong) or "as required",
        f"{Path(sys.executable).name} -m pip install -r {file}" if wrong else "",
    )


def packages_here() -> Iterator[Check]:
    """Compare the installed packages with the requirements of this process."""
    yield from packages("requirements-web.txt" if _serves_only() else "requirements.txt")


def _serves_only() -> bool:
    """Say whether audio and learning are left to workers elsewhere.

    This is so in the image of the web server: a broker of its own, and none of their packages.
    With the broker in the data folder the workers run on this machine and need them.
    """
    return not settings.HAS_EMBEDDED_BROKER and not any(map(_is_there, _OF_WORKERS))


def _is_there(module: str) -> bool:
    return find_spec(module) is not None


def _requirements(file: str) -> Iterator[Requirement]:
    for line in (settings.BASE_DIR / file).read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            yield from _requirements(text[3:].strip())
        elif text:
            yield Requirement(text)


def _wrong_package(wanted: Requirement) -> str:
    if wanted.marker is not None and not wanted.marker.evaluate():
        return ""
    try:
        found = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return f"{wanted.name} is not installed"
    return (
        "" if found in wanted.specifier else f"{wanted.name} {found} is not {wanted.specifier}"
    )


def database() -> Iterator[Check]:
    """Check that the database answers, and that SQLite keeps its write-ahead log."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "PRAGMA journal_mode" if settings.IS_SQLITE else "SHOW server_version"
            )
            answer = str(cursor.fetchone()[0])
    except DatabaseError as error:
        fix = "check AUDIOTAG_DATABASE_URL, and that the server runs"
        yield Check("database", False, f"does not answer: {type(error).__name__}", fix)
        return
    if not settings.IS_SQLITE:
        yield Check("database", True, f"PostgreSQL {answer}")
        return
    ok = answer.lower() == "wal"
    fix = "" if ok else "keep AUDIOTAG_DATA on a local disk: no network file system"
    yield Check("database", ok, f"SQLite, journal mode {answer}", fix)


def migrations() -> Iterator[Check]:
    """Check that the tables are those of this version."""
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        yield Check("migrations", False, type(error).__name__, "see the check of the database")
        return
    names = ", ".join(f"{one.app_label}.{one.name}" for one, _ in missing[:5])
    fix = "python manage.py migrate" if missing else ""
    yield Check(
        "migrations", not missing, f"not applied: {names}" if missing else "applied", fix
    )


def broker() -> Iterator[Check]:
    """Check that a message could be sent."""
    if settings.HAS_EMBEDDED_BROKER:
        ok = os.access(settings.EMBEDDED_BROKER, os.W_OK)
        fix = "" if ok else "make the data folder writable"
        yield Check("broker", ok, "a folder of the data folder", fix)
        return
    try:
        jobs.look_for_broker()
    except OSError as error:
        fix = "check AUDIOTAG_BROKER_URL, and that the server runs; jobs wait until it does"
        yield Check("broker", False, f"does not answer: {error}", fix)
        return
    yield Check("broker", True, "answers")


def workers() -> Iterator[Check]:
    """Check the workers of each queue, the scheduler, and stuck jobs."""
    try:
        served = jobs.queues_served()
        stuck = list(jobs.stuck(served)[:20])
    except DatabaseError as error:
        yield Check("workers", False, type(error).__name__, "see the check of the database")
        return
    for queue in jobs.QUEUES:
        ok = queue in served
        yield Check(f"worker {queue}", ok, "alive" if ok else "none", "" if ok else _START)
    ok = jobs.SCHEDULER in served
    yield Check("schedule", ok, "alive" if ok else "none", "" if ok else _START)
    kinds = ", ".join(f"{job.pk} ({job.kind})" for job in stuck)
    fix = "start a worker for them; it takes them automatically" if stuck else ""
    yield Check("jobs", not stuck, f"stuck: {kinds}" if stuck else "none is stuck", fix)


def own_workers() -> Iterator[Check]:
    """Check the workers and the scheduler of this machine or container."""
    host = socket.gethostname()
    try:
        beats = [beat for beat in jobs.beats() if _host_of(beat.name) == host]
    except DatabaseError as error:
        yield Check("own workers", False, type(error).__name__, "see the check of the database")
        return
    served = {queue for beat in beats for queue in beat.queues.split(",")}
    for queue in (*jobs.QUEUES, jobs.SCHEDULER):
        name = f"own {queue}" if queue == jobs.SCHEDULER else f"own worker {queue}"
        ok = queue in served
        fix = "" if ok else f"python manage.py work {queue}"
        yield Check(name, ok, f"alive on {host}" if ok else f"none on {host}", fix)


def _host_of(name: str) -> str:
    """Return the host in the name of a beat: `audio@host`, `schedule@host:pid`."""
    return name.partition("@")[2].partition(":")[0]


def data_folder() -> Iterator[Check]:
    """Check that the data folder can be written, is private, and has room."""
    folder = settings.DATA
    mode = stat.S_IMODE(folder.stat().st_mode)
    ok = os.access(folder, os.W_OK) and not mode & 0o077
    fix = "" if ok else f"chmod 700 {folder}, owned by who runs the program"
    yield Check("data folder", ok, f"{folder}, mode {mode:o}", fix)
    free_mb = shutil.disk_usage(folder).free // _MB
    ok = free_mb >= _LEAST_DISK_MB
    yield Check(
        "disk", ok, f"{free_mb} MB free", "" if ok else "make room, or move AUDIOTAG_DATA"
    )


def secret() -> Iterator[Check]:
    """Check that the secret is long, and that only its owner can read it."""
    file = settings.DATA / "secret_key"
    is_private = not file.exists() or not stat.S_IMODE(file.stat().st_mode) & 0o077
    ok = len(settings.SECRET_KEY) >= 32 and is_private
    fix = "" if ok else f"chmod 600 {file}, or set AUDIOTAG_SECRET_KEY to 50 random characters"
    yield Check("secret", ok, "long and private" if ok else "short, or readable by others", fix)


def audio_roots() -> Iterator[Check]:
    """Check that each audio root is a folder that can be read."""
    roots = dict(settings.AUDIO_ROOTS)
    with contextlib.suppress(DatabaseError):  # the check of the database says so
        roots |= dict(AudioRoot.objects.values_list("name", "path"))
    missing = [f"{name} ({path})" for name, path in roots.items() if not _is_readable(path)]
    fix = "mount the folder again, or correct AUDIOTAG_AUDIO_ROOTS" if missing else ""
    detail = f"not readable: {', '.join(missing)}" if missing else f"{len(roots)} readable"
    yield Check("audio roots", not missing, detail, fix)


def _is_readable(path: str) -> bool:
    return os.path.isdir(path) and os.access(path, os.R_OK | os.X_OK)


def decoding(*, is_needed: bool = False) -> Iterator[Check]:
    """Write and read a tone in a child process, if this process handles audio."""
    name = "audio decoding"
    if _serves_only() and not is_needed:
        yield Check(name, True, _NOT_NEEDED)
        return
    yield in_child(name, _TRY_DECODING, "pip install --force-reinstall soundfile")


def learning(*, is_needed: bool = False) -> Iterator[Check]:
    """Import TensorFlow in a child process; on a busy machine this takes half a minute."""
    name = "tensorflow"
    if _serves_only() and not is_needed:
        yield Check(name, True, _NOT_NEEDED)
        return
    fix = "pip install -r requirements.txt (TensorFlow needs x86-64 with AVX, or arm64)"
    yield in_child(name, _TRY_LEARNING, fix)


def in_child(name: str, program: str, fix: str) -> Check:
    """Run a short program in its own process; its last line is the detail."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    try:
        child = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=_CHILD_S,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Check(name, False, f"no answer within {_CHILD_S} s", fix)
    lines = (child.stdout if child.returncode == 0 else child.stderr).strip().splitlines()
    detail = lines[-1] if lines else f"ended with status {child.returncode}"
    return Check(name, child.returncode == 0, detail, "" if child.returncode == 0 else fix)


QUICK: tuple[Look, ...] = (
    python_version,
    packages_here,
    data_folder,
    secret,
    database,
    migrations,
    broker,
    workers,
    audio_roots,
)
SLOW: tuple[Look, ...] = (decoding, learning)
#: Looks that are made only where they are asked for by name.
BY_NAME: tuple[Look, ...] = (
    own_workers,
    partial(decoding, is_needed=True),
    partial(learning, is_needed=True),
)


def named(names: Iterable[str]) -> list[Check]:
    """Return the checks of these names, running no more than needed to find them."""
    wanted = set(names)
    found: list[Check] = []
    for look in (*QUICK, *BY_NAME):
        if wanted <= {check.name for check in found}:
            break
        found += [check for check in look() if check.name in wanted]
    return found
