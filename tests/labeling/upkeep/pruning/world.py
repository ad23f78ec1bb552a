"""Rows and files that pruning may or may not remove."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
from django.utils import timezone

from labeling.loop import features, predictions
from labeling.loop.features import Located
from labeling.loop.registry import evaluation_records
from labeling.loop.registry import models as registry_models
from labeling.loop.registry.evaluation_records import Measured
from labeling.loop.registry.models import Decision
from labeling.models import (
    Job,
    JobChunk,
    PredictionSet,
    Snapshot,
)
from labeling.models.jobs import JobKind
from ml.features.store import ShardRow
from ml.types import TrainingConfig

RECORD = ("evaluation.npz", "report.json")


YES, NO = Decision(True, "good"), Decision(False, "bad")


def ago(**how):
    return timezone.now() - timedelta(**how)


def leave(root, name, content=b"something"):
    path = Path(root) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def snapshot_of(library, settings, **over):
    number = library.snapshots.count() + 1
    file = f"house/{number}.npz"
    leave(settings.SNAPSHOT_ROOT, file)
    values = {
        "number": number, "selection": {}, "hash": f"h{number}", "file": file, "sha256": "s",
        "tracks": 1, "annotations": 1, "label_uids": [], "split": {}, "taken_at": ago(days=9),
    }  # fmt: skip
    return Snapshot.objects.create(library=library, **{**values, **over})


def run_of(snapshot, job=None):
    return registry_models.start_run(
        snapshot,
        features.feature_set_of("audiotag"),
        TrainingConfig(),
        digest="d",
        facts={},
        versions={},
        job=job,
    )


def record_in(folder, settings):
    """Write files in the place of an evaluation record and its report."""
    for name in RECORD:
        leave(settings.MODEL_ROOT, f"{folder}/{name}")
    return Measured(folder, "s", "h", "audit", 1, "good")


def fold_of(library, settings, **over):
    """Make a cross-validation with its files."""
    number = library.evaluations.count()
    measured = record_in(f"{library.slug}/folds-{number}", settings)
    return evaluation_records.register_evaluation(
        library, "net", replace(measured, side="folds"), **over
    )


def evaluations_with_files(library, settings):
    rows = library.evaluations.exclude(folder="")
    home = Path(settings.MODEL_ROOT) / library.slug
    on_disk = {path for path in home.rglob("*.*") if path.name in RECORD}
    assert on_disk == {
        evaluation_records.record_folder_of(row) / name for row in rows for name in RECORD
    }
    return set(rows)


def numbers_with_files(library):
    rows = library.models.order_by("number")
    names = {row.number for row in rows if registry_models.has_files(row)}
    assert names == {row.number for row in rows if row.folder}
    return names


def snapshots_with_files(library, settings):
    rows = library.snapshots.exclude(file="").order_by("number")
    on_disk = {path.stem for path in Path(settings.SNAPSHOT_ROOT).rglob("*.npz")}
    assert on_disk == {str(row.number) for row in rows}
    return {row.number for row in rows}


def predict(version, **over):
    found = Located(np.array([7]), [ShardRow(7, "shard", 0, 1)])
    row = predictions.record(version, predictions.write(version, found, np.zeros((1, 1))))
    PredictionSet.objects.filter(pk=row.pk).update(created_at=ago(days=3), **over)
    return row


def old_job(library, state="done", days=100, kind=JobKind.RANK, **over):
    number = Job.objects.count()
    job = Job.objects.create(
        library=library, kind=kind, key=f"k{number}", state=state,
        started_at=ago(days=days), finished_at=ago(days=days), **over,
    )  # fmt: skip
    JobChunk.objects.create(job=job, n=0, arguments={"ids": [1]}, state="done")
    return job
