"""Stored values: tables, choices, JSON in columns, hashes, files."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from django.apps import apps
from django.conf import settings
from django.db import connection, models
from django.db.migrations.loader import MigrationLoader

from tests.contracts import inside
from tests.contracts.shapes import anonymous, shape
from tests.contracts.world import model


def own_models() -> list[Any]:
    """Return the models of the apps that lie in this repository, by table."""
    own = [one for one in apps.get_app_configs() if _is_own(Path(one.path))]
    found = [one for app in own for one in app.get_models(include_auto_created=True)]
    return sorted(found, key=lambda one: one._meta.db_table)


def _is_own(folder: Path) -> bool:
    return folder.is_relative_to(settings.BASE_DIR) and ".venv" not in folder.parts


def tables() -> dict[str, Any]:
    """Return table -> column -> type, with constraints, indexes and migrations."""
    labels = {one._meta.app_label for one in own_models()}
    migrations = MigrationLoader(None).disk_migrations
    return {
        "tables": {one._meta.db_table: _table(one) for one in own_models()},
        "triggers": triggers(),
        "migrations": sorted(".".join(key) for key in migrations if key[0] in labels),
    }


def _table(one: Any) -> dict[str, Any]:
    meta = one._meta
    return {
        "columns": {field.column: _column(field) for field in meta.local_concrete_fields},
        "constraints": sorted(constraint.name for constraint in meta.constraints),
        "indexes": sorted(index.name for index in meta.indexes),
        "ordering": list(meta.ordering),
        "model": meta.object_name,
    }


def _column(field: models.Field[Any, Any]) -> str:
    told = [field.get_internal_type()]
    if field.max_length:
        told.append(f"at most {field.max_length}")
    if field.remote_field:
        told.append(f"to {field.remote_field.model._meta.db_table}")
    told += [name for name in ("null", "unique", "primary_key") if getattr(field, name)]
    if field.has_default() and not callable(field.default):
        told.append(f"default {str(field.default)!r}")
    return ", ".join(told)


def choices() -> dict[str, list[Any]]:
    """Return what may be stored in every column with choices; their labels are texts."""
    return {
        f"{one._meta.db_table}.{field.column}": [value for value, _ in field.choices]
        for one in own_models()
        for field in one._meta.local_concrete_fields
        if field.choices
    }


#: Columns without choices that hold codes.
_CODES = {
    "labeling_presentation": ("strategy",),
    "labeling_queueitem": ("strategy",),
    "labeling_trainingrun": ("arm", "network"),
    "labeling_evaluation": ("network",),
    "labeling_answerday": ("stratum",),
    "labeling_annotation": ("stratum",),
    "labeling_workerbeat": ("queues",),
}


def json_columns() -> dict[str, Any]:
    """Return the shape of every JSON column over all rows, by kind where rows have kinds."""
    found: dict[str, Any] = {}
    for one in own_models():
        names = {field.name for field in one._meta.local_concrete_fields}
        for field in one._meta.local_concrete_fields:
            if isinstance(field, models.JSONField):
                title = f"{one._meta.db_table}.{field.column}"
                by = "kind" if "kind" in names else None
                found |= _by_kind(one, field.name, title, by)
    return found


def _by_kind(one: Any, name: str, title: str, by: str | None) -> dict[str, Any]:
    values: dict[str, list[Any]] = {}
    for row in one.objects.values(name, *([by] if by else [])):
        values.setdefault(f"{title} ({row[by]})" if by else title, []).append(row[name])
    return {key: shape(*rows) for key, rows in sorted(values.items())}


def codes() -> dict[str, Any]:
    """Return the codes in columns without choices."""
    return {
        f"{one._meta.db_table}.{name}": sorted(set(one.objects.values_list(name, flat=True)))
        for one in own_models()
        for name in _CODES.get(one._meta.db_table, ())
    }


# --- hashes -------------------------------------------------------------------------------
def hashes_of_fixed() -> dict[str, Any]:
    """Return every hash and key of the fixed library that depends on no float.

    Taken before anybody uses the site: what comes later has uids of its own.
    """
    mine = {"library__slug": "fixed"}
    snapshots = model("Snapshot").objects.filter(**mine).order_by("number")
    runs = model("TrainingRun").objects.filter(**mine).order_by("id")
    return {
        "feature sets": dict(model("FeatureSet").objects.values_list("name", "digest")),
        "snapshots": [
            {
                "number": one.number,
                "hash": one.hash,
                "file": one.file,
                "selection": _changed(one.selection),
                "present": one.facts["present"],
                "label_uids": one.label_uids,
                "split": one.split,
                "arrays": arrays_of((settings.SNAPSHOT_ROOT / one.file).read_bytes()),
            }
            for one in snapshots
        ],
        "runs": [
            {"network": one.network, "arm": one.arm, "config_hash": one.config_hash}
            for one in runs
        ],
        "models": [
            {
                "number": one.number,
                "label_uids": one.label_uids,
                "folder": anonymous(one.folder),
            }
            for one in model("ModelVersion").objects.filter(**mine).order_by("number")
        ],
        "predictions": [
            {"features_hash": one.features_hash, "label_uids": one.label_uids}
            for one in model("PredictionSet").objects.order_by("id")
        ],
        "evaluations": [
            {"side": one.side, "answers_hash": one.answers_hash}
            for one in model("Evaluation").objects.filter(**mine).order_by("id")
        ],
        "agreement": list(model("AgreementFigures").objects.values_list("made_of", flat=True)),
    }


#: A selection that asks for nothing.
_NOTHING = inside.configurations()["selection"]["canonical"]


def _changed(selection: dict[str, Any]) -> dict[str, Any]:
    """Return the names of a selection, and its values where it asks for something."""
    asked = {name: value for name, value in selection.items() if value != _NOTHING.get(name)}
    return {"names": " ".join(sorted(selection)), **asked}


def label_sets() -> list[str]:
    """Return the hashes of what was on offer in the fixed library, once people answered."""
    rows = model("LabelSet").objects.filter(facet__library__slug="fixed")
    return sorted(f"{one.facet.name}: {one.hash}" for one in rows.select_related("facet"))


def job_keys() -> list[str]:
    """Return how jobs are called, by kind."""
    rows = model("Job").objects.values_list("kind", "key")
    return sorted({f"{kind}: {anonymous(key)}" for kind, key in rows})


def drift_verdicts() -> list[str]:
    """Return what may stand before the colon in the verdicts on change over time."""
    kept = model("AgreementFigures").objects.values_list("figures", flat=True)
    rows = [row for figures in kept for row in figures.get("drift", ())]
    return sorted({row["verdict"].partition(":")[0] for row in rows})


def triggers() -> list[str]:
    """Return the triggers of the database."""
    names = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
    }
    with connection.cursor() as cursor:
        cursor.execute(names[connection.vendor])
        return sorted(row[0] for row in cursor.fetchall())


def hashes_of_shop() -> dict[str, Any]:
    """Return the hashes and keys of an import."""
    mine = {"library__slug": "shop"}
    tracks = model("Track").objects.filter(**mine).order_by("key")
    events = model("Annotation").objects.filter(**mine).order_by("idempotency_key")
    return {
        "tracks": {
            one.key: f"group {one.split_group}, random {one.random_key}, audit {one.is_audit}"
            for one in tracks
        },
        "annotations": [
            f"{one.kind} {one.idempotency_key} {one.request_hash}" for one in events
        ],
    }


def arrays_of(content: bytes) -> dict[str, str]:
    """Return name -> type, shape and hash of the arrays of a file; of floats no hash."""
    found = {}
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        for name in sorted(archive.files):
            array = archive[name]
            told = f"{array.dtype.str} {array.shape}"
            if array.dtype.kind != "f":
                told += f" {hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}"
            if name in ("judged_by", "facts"):
                told += f" {array.tobytes().decode()}"
            found[name] = told
    return found


def evaluation_record() -> dict[str, Any]:
    """Return the arrays of a fixed evaluation record."""
    return arrays_of(inside.record_content())


# --- files --------------------------------------------------------------------------------
def files() -> dict[str, Any]:
    """Return the names of all files of the data folder, and what the JSON ones hold."""
    root = Path(settings.DATA)
    paths = [path for path in root.rglob("*") if path.is_file() and not _is_of_engine(path)]
    by_name: dict[str, list[Path]] = {}
    for path in paths:
        by_name.setdefault(anonymous(path.relative_to(root).as_posix()), []).append(path)
    kept = {name: found for name, found in by_name.items() if not name.startswith("demo/audio")}
    return {
        "names": sorted(kept),
        "modes": {
            name: oct((root / name).stat().st_mode & 0o777)
            for name in (".", "secret_key", "demo/logins.json", "broker")
        },
        "json": {
            name: shape(*(json.loads(path.read_text()) for path in found))
            for name, found in sorted(kept.items())
            if name.endswith(".json")
        },
        "npz": {
            name: sorted({key for path in found for key in np.load(path).files})
            for name, found in sorted(kept.items())
            if name.endswith(".npz")
        },
    }


def _is_of_engine(path: Path) -> bool:
    """Say whether only one of the two database engines has this file."""
    return "sqlite3" in path.name or path.suffix == ".pgdump" or path.parent.name == "locks"


def archive_of(path: Path) -> dict[str, Any]:
    """Return what a backup consists of, whichever the engine."""
    with tarfile.open(path) as archive:
        names = archive.getnames()
        manifest = json.loads(archive.extractfile("manifest.json").read())  # type: ignore[union-attr]
    manifest["files"] = {"a file": next(iter(manifest["files"].values()))}
    return {
        "names": sorted(
            {re.sub(r"^database\..*", "database.<engine>", _top(n)) for n in names}
        ),
        "manifest": shape(manifest),
        "format": manifest["format"],
    }


def _top(name: str) -> str:
    return "/".join(name.split("/")[:2])


def messages() -> list[str]:
    """Return the messages that wait for workers: queue, task, shape of the arguments."""
    found = set()
    for path in (Path(settings.DATA) / "broker").glob("*.msg"):
        message = json.loads(path.read_text())
        headers, body = message["headers"], base64.b64decode(message["body"])
        queue = path.name.split(".")[1]
        given, named, _ = json.loads(body)
        told = ", ".join([type(one).__name__ for one in given] + sorted(named))
        found.add(f"{queue}: {headers['task']}({told})")
    return sorted(found)
