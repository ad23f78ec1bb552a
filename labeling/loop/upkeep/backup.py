"""Backup: write the whole database to one file while the site runs, and restore it.

Stage: upkeep. An archive is a tar file with `manifest.json`, the database (a copy by SQLite, or
the custom format of pg_dump) and the files that cannot be computed again: weights of models and
snapshots. Features, waveforms and predictions can; the manifest only says how many there were.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any, TypedDict

from django.conf import settings
from django.db import connection, connections
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from labeling.errors import BadInput, LoopError
from ml.files import file_sha256

FORMAT = 1
MANIFEST = "manifest.json"
_DATABASE = {"sqlite": "database.sqlite3", "postgresql": "database.pgdump"}


class BackupFailed(LoopError):
    """A tool that copies the database failed; the message is from the tool."""


class BackupResult(TypedDict):
    """The result of a backup, as the command prints it with --json."""

    file: str
    bytes: int
    sha256: str
    engine: str
    files: int


class RestoreResult(TypedDict):
    """The result of a restore, as the command prints it with --json."""

    restored: str
    taken_at: str
    kept_aside: str
    files: int
    migrations_missing: int


def backup(out: Path) -> BackupResult:
    """Write an archive of everything that cannot be computed again.

    1. Copy the database while writers go on; the copy is of one moment.
    2. Pack it with the stored files into a temporary file, and rename that to `out`.
    """
    if not out.parent.is_dir():
        raise BadInput(
            f"{str(out.parent)!r} does not exist: create the folder or choose another"
        )
    name = _DATABASE[connection.vendor]
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as work:
        database = Path(work) / name
        _dump(database)
        manifest = _manifest(database)
        packed = Path(work) / "archive"
        with tarfile.open(packed, "w") as archive:
            (Path(work) / MANIFEST).write_text(json.dumps(manifest, indent=1))
            archive.add(Path(work) / MANIFEST, MANIFEST)
            archive.add(database, name)
            for kept in _kept_files():
                archive.add(kept, f"files/{kept.relative_to(settings.DATA).as_posix()}")
        os.chmod(packed, 0o600)
        os.replace(packed, out)
    return {
        "file": str(out),
        "bytes": out.stat().st_size,
        "sha256": file_sha256(out),
        "engine": manifest["engine"],
        "files": len(manifest["files"]),
    }


def restore(source: Path, *, is_sure: bool = False) -> RestoreResult:
    """Replace the database by the one of an archive.

    1. Check the archive: format, engine, checksums.
    2. Refuse if the database is not empty, unless `is_sure`; a copy of it is kept.
    3. Restore the database in one transaction, then the files.
    """
    with tempfile.TemporaryDirectory(dir=settings.DATA, prefix="restore-") as work:
        manifest = _unpack(source, Path(work))
        aside = ""
        if not is_empty():
            if not is_sure:
                raise BadInput(
                    "the database is not empty: use --yes to replace it (a copy of it is kept)"
                )
            aside = str(_keep_aside())
        _load(Path(work) / _DATABASE[connection.vendor])
        n_files = _restore_files(Path(work) / "files")
    return {
        "restored": str(source),
        "taken_at": manifest["taken_at"],
        "kept_aside": aside,
        "files": n_files,
        "migrations_missing": _missing_migrations(),
    }


def is_empty() -> bool:
    """Return whether the database has nothing to lose: no tables, or no library and no user."""
    tables = connection.introspection.table_names()
    with connection.cursor() as cursor:
        for table in ("labeling_library", "auth_user"):
            if table in tables:
                cursor.execute(f"SELECT 1 FROM {table} LIMIT 1")  # noqa: S608 (our own names)
                if cursor.fetchone():
                    return False
    return True


def _manifest(database: Path) -> dict[str, Any]:
    applied = MigrationRecorder(connection).applied_migrations()
    return {
        "format": FORMAT,
        "engine": connection.vendor,
        "taken_at": timezone.now().isoformat(),
        "database_sha256": file_sha256(database),
        "migrations": sorted(f"{app}.{name}" for app, name in applied),
        "files": {
            path.relative_to(settings.DATA).as_posix(): file_sha256(path)
            for path in _kept_files()
        },
        "not_kept": {
            root.name: sum(1 for path in root.rglob("*") if path.is_file())
            for root in (settings.FEATURE_ROOT, settings.PEAKS_ROOT, settings.PREDICTION_ROOT)
        },
    }


def _kept_files() -> list[Path]:
    roots = (settings.MODEL_ROOT, settings.SNAPSHOT_ROOT)
    return sorted(path for root in roots for path in root.rglob("*") if path.is_file())


# --- one engine at a time -----------------------------------------------------------------
def _dump(out: Path) -> None:
    if connection.vendor == "postgresql":
        _run("pg_dump", "--format=custom", f"--file={out}")
        return
    connection.ensure_connection()
    copy = sqlite3.connect(out)
    try:
        connection.connection.backup(copy, pages=2_000)
    finally:
        copy.close()


def _load(source: Path) -> None:
    if connection.vendor == "postgresql":
        connections.close_all()
        _run(
            "pg_restore", "--clean", "--if-exists", "--single-transaction", "--no-owner", source
        )
        return
    kept = sqlite3.connect(source)
    try:
        if kept.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise BadInput("the database in the archive is damaged: use another backup")
        connection.ensure_connection()
        kept.backup(connection.connection)
    finally:
        kept.close()
        connections.close_all()


def _run(program: str, *arguments: object) -> None:
    """Run a PostgreSQL program on the database; the password is passed in the environment."""
    if shutil.which(program) is None:
        raise BadInput(f"{program} is not installed: install the PostgreSQL client")
    database = connection.settings_dict
    options = ["--dbname", str(database["NAME"])]
    for option, key in (("--host", "HOST"), ("--port", "PORT"), ("--username", "USER")):
        if database[key]:
            options += [option, str(database[key])]
    done = subprocess.run(
        [program, "--no-password", *options, *map(str, arguments)],
        env={**os.environ, "PGPASSWORD": str(database["PASSWORD"] or "")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BackupFailed(f"{program}: {done.stderr.strip()[-500:]}")


def _keep_aside() -> Path:
    moment = timezone.now().strftime("%Y%m%d-%H%M%S-%f")
    suffix = Path(_DATABASE[connection.vendor]).suffix
    aside = Path(settings.DATA) / f"before-restore-{moment}{suffix}"
    _dump(aside)
    aside.chmod(0o600)
    return aside


# --- the archive --------------------------------------------------------------------------
def _unpack(source: Path, work: Path) -> dict[str, Any]:
    try:
        with tarfile.open(source) as archive:
            archive.extractall(work, filter="data")
        manifest = json.loads((work / MANIFEST).read_text())
    except (OSError, tarfile.TarError, ValueError) as error:
        raise BadInput(f"{str(source)!r} is not a backup of audiotag: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BadInput(
            f"{str(source)!r} has a format that this version cannot read: use the version that "
            "wrote it"
        )
    if manifest["engine"] != connection.vendor:
        raise BadInput(
            f"the backup is of {manifest['engine']}, but this database is {connection.vendor}: "
            f"set AUDIOTAG_DATABASE_URL to a database of {manifest['engine']}"
        )
    expected = {f"files/{name}": digest for name, digest in manifest["files"].items()}
    expected[_DATABASE[connection.vendor]] = manifest["database_sha256"]
    for name, digest in expected.items():
        if not (work / name).is_file() or file_sha256(work / name) != digest:
            raise BadInput(
                f"the backup is damaged, {name} does not match its checksum: use another backup"
            )
    return manifest


def _restore_files(source: Path) -> int:
    """Restore the missing files; existing models and snapshots never change in place."""
    n_files = 0
    for path in sorted(source.rglob("*")) if source.is_dir() else []:
        target = Path(settings.DATA) / path.relative_to(source)
        if path.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
            n_files += 1
    return n_files


def _missing_migrations() -> int:
    """Return how many migrations of this version the restored database lacks."""
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
