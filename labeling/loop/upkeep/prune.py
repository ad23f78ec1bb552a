"""Pruning: remove files and jobs that are not needed any more, every night or by command.

Stage: upkeep. A retraining creates a model with its evaluation record, a snapshot, an array of
predictions and several jobs. The rows of the history stay (models, evaluations, runs,
snapshots, decisions), and their files are removed. A row whose files are gone has an empty file
name, which pages and roll-back check.

A file that is being read is never removed. First its name is removed from the row, then the
files to keep are determined again. A reader that came before the first step is found in the
second one, as an open job or a recent snapshot, and the row gets its name back. A reader that
comes later finds no name. A process killed between the steps leaves a file without a row, which
the sweeps remove.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import ForeignObjectRel, Q, QuerySet
from django.utils import timezone

from labeling.batching import batches
from labeling.loop import retraining
from labeling.loop.importing import catalogue
from labeling.loop.registry import evaluation_records
from labeling.loop.registry import models as registry_models
from labeling.loop.registry.former_champions import former_champions
from labeling.models import (
    Evaluation,
    ImportBatch,
    Job,
    JobChunk,
    Library,
    ModelVersion,
    PredictionSet,
    PromotionEvent,
    Round,
    Snapshot,
    TrainingRun,
)
from ml.evaluation.record import FILE_NAME
from ml.training.weights import MODEL_FILE, WEIGHTS_FILE

logger = logging.getLogger(__name__)

ENDED = (Job.State.DONE, Job.State.FAILED, Job.State.CANCELLED)
#: Files and rows younger than this may still be read.
_YOUNG = timedelta(days=1)
_ROWS = 500
#: Rows that are removed with a job or stay without it. A job that other rows refer to is kept.
_NOT_KEEPING = (Evaluation, JobChunk, TrainingRun)


@dataclass
class Pruned:
    """Counts of what was removed or would be, and the bytes of the files."""

    models: int = 0
    evaluations: int = 0
    snapshots: int = 0
    prediction_sets: int = 0
    jobs: int = 0
    job_chunks: int = 0
    uploads: int = 0
    bytes: int = 0

    def as_json(self) -> dict[str, int]:
        """Return the counts by name."""
        return asdict(self)


def prune(library: Library | None = None, *, is_dry_run: bool = False) -> Pruned:
    """Remove what the settings do not keep.

    Without a library, of all libraries, and jobs and uploads that belong to none.
    """
    found = Pruned()
    for one in [library] if library is not None else Library.objects.all():
        gone = _prune_models(one, found, is_dry_run=is_dry_run)
        _prune_evaluations(one, gone, found, is_dry_run=is_dry_run)
        _prune_snapshots(one, gone, found, is_dry_run=is_dry_run)
        _prune_predictions(one, found, is_dry_run=is_dry_run)
        _prune_jobs(one, found, is_dry_run=is_dry_run)
        _prune_uploads(one, found, is_dry_run=is_dry_run)
    if library is None:
        _prune_jobs(None, found, is_dry_run=is_dry_run)
        _prune_stray_uploads(found, is_dry_run=is_dry_run)
    return found


# --- models ---------------------------------------------------------------------------------


def kept_models(library: Library) -> set[int]:
    """Return the ids of the models whose files are kept.

    These are the champion and the one before it, the best former champions, the newest models
    that were ever promoted, as many of the newest that never were, and the models that open
    jobs name.
    """
    most = _most_kept()
    newest = library.models.order_by("-number")
    promoted = Q(pk__in=_promotions(library).values("model_version"))
    requested = library.models.filter(number__in=_requested(library, "model"))
    return _champion_and_previous(library).union(
        newest.filter(promoted).values_list("pk", flat=True)[:most],
        newest.exclude(promoted).values_list("pk", flat=True)[:most],
        requested.values_list("pk", flat=True),
        (one.pk for one in former_champions(library)),
    )


def _most_kept() -> int:
    return max(0, settings.KEEP_MODELS)


def _promotions(library: Library) -> QuerySet[PromotionEvent]:
    """Return the events that made a model the champion, the newest first."""
    return library.promotions.exclude(kind=PromotionEvent.Kind.REFUSED)


def _champion_and_previous(library: Library) -> set[int]:
    """Return the ids of the champion and of the model that it replaced."""
    champion = registry_models.champion_of(library)
    if champion is None:
        return set()
    event = _promotions(library).filter(model_version=champion).first()
    previous = event.previous_id if event is not None else None
    return {champion.pk} if previous is None else {champion.pk, previous}


def _prune_models(library: Library, found: Pruned, *, is_dry_run: bool) -> set[int]:
    """Remove the files of models that are not kept; return the ids of these models."""
    kept = kept_models(library)
    doomed = {
        version.pk: version.folder
        for version in library.models.exclude(folder="")
        if version.pk not in kept
    }
    if not is_dry_run:
        others = ModelVersion.objects.exclude(state=ModelVersion.State.CHAMPION)
        _take_names(others, "folder", doomed, lambda: kept_models(library))
    for name in doomed.values():
        found.models += 1
        found.bytes += _empty(name, (WEIGHTS_FILE, MODEL_FILE), is_dry_run=is_dry_run)
    return set(doomed)


def _empty(name: str, files: Iterable[str], *, is_dry_run: bool) -> int:
    """Remove these files of a model folder, and the folder if it is empty then."""
    folder = Path(settings.MODEL_ROOT) / name
    size = sum(_remove(folder / file, is_dry_run=is_dry_run) for file in files)
    if not is_dry_run:
        with suppress(OSError):  # the folder contains other files
            folder.rmdir()
    return size


def _take_names(
    rows: QuerySet[Any], field: str, doomed: dict[int, str], kept: Callable[[], set[int]]
) -> None:
    """Empty the file names of the rows in `doomed`, and drop from it those to keep after all.

    `kept` determines the ids to keep again, after the names were emptied.
    """
    for pk, name in list(doomed.items()):
        if not rows.filter(pk=pk, **{field: name}).update(**{field: ""}):
            del doomed[pk]
    for pk in kept().intersection(doomed):
        rows.filter(pk=pk, **{field: ""}).update(**{field: doomed.pop(pk)})


def _requested(library: Library, name: str) -> list[int]:
    """Return the numbers that open jobs have in this argument."""
    arguments = library.jobs.filter(state__in=Job.OPEN).values_list("arguments", flat=True)
    return [one[name] for one in arguments if isinstance(one.get(name), int)]


# --- evaluations ----------------------------------------------------------------------------


def kept_evaluations(library: Library, gone: Iterable[int] = ()) -> set[int]:
    """Return the ids of the evaluations whose records are kept; `gone` are removed models.

    These are the evaluations of models with files, the newest cross-validations, and those of
    open jobs, because a job that compares its runs reads their records at the end.
    """
    without_files = library.models.filter(Q(folder="") | Q(pk__in=list(gone)))
    of_runs = library.evaluations.filter(run__isnull=False).exclude(
        run__in=without_files.values("run")
    )
    folds = library.evaluations.filter(run__isnull=True).order_by("-pk")
    of_open_jobs = library.evaluations.filter(job__state__in=Job.OPEN)
    return set(of_runs.values_list("pk", flat=True)).union(
        folds.values_list("pk", flat=True)[: _most_kept()],
        of_open_jobs.values_list("pk", flat=True),
    )


def _prune_evaluations(
    library: Library, gone: set[int], found: Pruned, *, is_dry_run: bool
) -> None:
    kept = kept_evaluations(library, gone)
    doomed = {
        row.pk: row.folder
        for row in library.evaluations.exclude(folder="")
        if row.pk not in kept
    }
    if not is_dry_run:
        _take_names(
            Evaluation.objects.all(), "folder", doomed, lambda: kept_evaluations(library)
        )
    for name in doomed.values():
        found.evaluations += 1
        files = (FILE_NAME, evaluation_records.REPORT_FILE)
        found.bytes += _empty(name, files, is_dry_run=is_dry_run)


# --- snapshots ------------------------------------------------------------------------------


def kept_snapshots(library: Library, gone: Iterable[int] = ()) -> set[int]:
    """Return the ids of the snapshots whose files are kept; `gone` are removed models.

    These are the snapshots of models with files and of running runs, those that open jobs name,
    those taken by hand, and those of the last day, because a training may be about to read one.
    """
    models = library.models.exclude(folder="").exclude(pk__in=list(gone))
    running = library.runs.filter(state=TrainingRun.State.RUNNING)
    own = Q(by__isnull=False) | Q(runs__isnull=True)
    young = Q(taken_at__gt=timezone.now() - _YOUNG)
    requested = Q(number__in=_requested(library, "snapshot"))
    return {
        *models.values_list("run__snapshot_id", flat=True),
        *running.values_list("snapshot_id", flat=True),
        *library.snapshots.filter(own | young | requested).values_list("pk", flat=True),
    }


def _prune_snapshots(
    library: Library, gone: set[int], found: Pruned, *, is_dry_run: bool
) -> None:
    kept = kept_snapshots(library, gone)
    doomed = {
        snapshot.pk: snapshot.file
        for snapshot in library.snapshots.exclude(file="")
        if snapshot.pk not in kept
    }
    if not is_dry_run:
        _take_names(Snapshot.objects.all(), "file", doomed, lambda: kept_snapshots(library))
    for file in doomed.values():
        found.snapshots += 1
        found.bytes += _remove(Path(settings.SNAPSHOT_ROOT) / file, is_dry_run=is_dry_run)


# --- predictions ----------------------------------------------------------------------------


def kept_predictions(library: Library) -> set[int]:
    """Return the ids of the models whose predictions are kept.

    These are the champion and the one before it, the models that ranked the live round and the
    one before it, and the models that open jobs name.
    """
    kept: set[int | None] = {*_champion_and_previous(library)}
    for state in (Round.State.LIVE, Round.State.RETIRED):
        last = library.rounds.filter(state=state).order_by("-number").first()
        kept.add(last.model_version_id if last else None)
    requested = library.models.filter(number__in=_requested(library, "model"))
    return {pk for pk in kept if pk is not None}.union(requested.values_list("pk", flat=True))


def _prune_predictions(library: Library, found: Pruned, *, is_dry_run: bool) -> None:
    """Remove arrays with their rows: a model that is promoted again predicts again.

    A row that was written again in the meantime names other files and is kept.
    """
    sets = PredictionSet.objects.filter(model_version__library=library)
    old = sets.filter(created_at__lt=timezone.now() - _YOUNG)
    for row in old.exclude(model_version__in=kept_predictions(library)):
        if not is_dry_run:
            same = sets.filter(pk=row.pk, file=row.file)
            if not same.exclude(model_version__in=kept_predictions(library)).delete()[0]:
                continue
        found.prediction_sets += 1
        for name in (row.file, row.index_file):
            found.bytes += _remove(Path(settings.PREDICTION_ROOT) / name, is_dry_run=is_dry_run)


# --- jobs -----------------------------------------------------------------------------------


def _prune_jobs(library: Library | None, found: Pruned, *, is_dry_run: bool) -> None:
    """Remove jobs that ended long ago, with their chunks; their runs and imports stay.

    The last training on all answers and the last one that failed are kept, because new answers
    are counted from them.
    """
    before = timezone.now() - timedelta(days=settings.KEEP_JOBS_DAYS)
    ids = _old_jobs(library, before).values_list("pk", flat=True)
    for part in batches(list(ids), _ROWS):
        if is_dry_run:
            found.jobs += len(part)
            found.job_chunks += JobChunk.objects.filter(job__in=part).count()
            continue
        with transaction.atomic():
            TrainingRun.objects.filter(job__in=part).update(job=None)
            Evaluation.objects.filter(job__in=part).update(job=None)
            found.job_chunks += JobChunk.objects.filter(job__in=part).delete()[0]
            found.jobs += Job.objects.filter(pk__in=part).delete()[0]


def _old_jobs(library: Library | None, before: datetime) -> QuerySet[Job]:
    old = Job.objects.filter(library=library, state__in=ENDED).filter(
        Q(finished_at__lt=before) | Q(finished_at__isnull=True, queued_at__lt=before)
    )
    if library is not None:
        counted_from = (retraining.last_trained(library), retraining.last_failed(library))
        old = old.exclude(pk__in=[job.pk for job in counted_from if job is not None])
    for relation in Job._meta.get_fields(include_hidden=True):
        if (
            isinstance(relation, ForeignObjectRel)
            and relation.related_model not in _NOT_KEEPING
        ):
            old = old.exclude(pk__in=_referred_to(relation))
    return old.order_by("pk")


def _referred_to(relation: ForeignObjectRel) -> QuerySet[Any]:
    model, field = relation.related_model, relation.field.name
    rows = model._default_manager.filter(**{f"{field}__isnull": False})
    return rows.order_by().values(field)


# --- uploads --------------------------------------------------------------------------------


def _prune_uploads(library: Library, found: Pruned, *, is_dry_run: bool) -> None:
    """Remove uploaded catalogues whose import ended long ago or was never started."""
    before = timezone.now() - timedelta(days=settings.KEEP_UPLOADS_DAYS)
    ended = Q(job__state__in=ENDED, job__finished_at__lt=before)
    never_begun = Q(job__isnull=True, created_at__lt=before)
    for batch in ImportBatch.objects.filter(ended | never_begun, library=library):
        _prune_upload(catalogue.stored_path(batch), found, is_dry_run=is_dry_run)


def _prune_stray_uploads(found: Pruned, *, is_dry_run: bool) -> None:
    """Remove uploads without an import, and temporary files of a killed web server."""
    before = time.time() - _YOUNG.total_seconds()
    stray = [
        path
        for folder, pattern in (
            (settings.UPLOAD_ROOT, "*.csv"),
            (settings.UPLOAD_ROOT, "*.xlsx"),
            (settings.FILE_UPLOAD_TEMP_DIR, "*.upload*"),
        )
        for path in sorted(Path(folder).glob(pattern))
        if path.stat().st_mtime < before
    ]
    known = set(ImportBatch.objects.values_list("stored_as", flat=True)) if stray else set()
    for path in stray:
        if path.name not in known:
            _prune_upload(path, found, is_dry_run=is_dry_run)


def _prune_upload(path: Path, found: Pruned, *, is_dry_run: bool) -> None:
    if path.is_file():
        found.uploads += 1
        found.bytes += _remove(path, is_dry_run=is_dry_run)


# --- files ----------------------------------------------------------------------------------


def _remove(path: Path, *, is_dry_run: bool) -> int:
    """Remove a file and return its size; log and leave a file that cannot be removed."""
    try:
        size = path.stat().st_size
        if not is_dry_run:
            path.unlink()
    except FileNotFoundError:
        return 0
    except OSError as error:
        logger.warning("%s cannot be removed: %s", path, error)
        return 0
    return size
