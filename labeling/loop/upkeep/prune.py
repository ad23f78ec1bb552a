"""Gives back the space of what nobody will read again, every night or by command.

A turn of the loop leaves a model with the record of its evaluation, a snapshot, an array of
predictions and several jobs. Rows that tell the history stay (models, evaluations, runs,
snapshots, decisions); what goes is their files. A row whose files are gone has a blank name of
them, which is what pages and roll-back look at.

A file that somebody reads is never removed. Its name is taken from the row first, then what is
wanted is looked up once more: who came before the first step is seen by the second, as an open
job or a late snapshot, and gets the name back; who comes after it finds no name. What a kill
leaves between the steps is a file without a name, which the sweeps remove.
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
#: What was made this lately may be about to be read.
_YOUNG = timedelta(days=1)
_ROWS = 500
#: What goes with a job, or stays without it; whatever else refers to a job keeps it.
_LET_GO = (Evaluation, JobChunk, TrainingRun)


@dataclass
class Pruned:
    """What was removed, or would be: numbers of things, and the bytes of their files."""

    models: int = 0
    evaluations: int = 0
    snapshots: int = 0
    prediction_sets: int = 0
    jobs: int = 0
    job_chunks: int = 0
    uploads: int = 0
    bytes: int = 0

    def as_json(self) -> dict[str, int]:
        """Return the numbers by name."""
        return asdict(self)


def prune(library: Library | None = None, *, is_dry_run: bool = False) -> Pruned:
    """Remove what the settings no longer keep, of one library or of all and of none."""
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
    """Return the models whose files stay, by id.

    The one in use and the one before it, the newest that were ever put in use, as many of the
    newest that never were, and what open jobs name.
    """
    most = _most_kept()
    newest = library.models.order_by("-number")
    used = Q(pk__in=_ever_used(library).values("model_version"))
    asked = library.models.filter(number__in=_asked_for(library, "model"))
    return _in_use_and_before(library).union(
        newest.filter(used).values_list("pk", flat=True)[:most],
        newest.exclude(used).values_list("pk", flat=True)[:most],
        asked.values_list("pk", flat=True),
    )


def _most_kept() -> int:
    return max(0, settings.KEEP_MODELS)


def _ever_used(library: Library) -> QuerySet[PromotionEvent]:
    """Return the events that put a model in use, the newest first."""
    return library.promotions.exclude(kind=PromotionEvent.Kind.REFUSED)


def _in_use_and_before(library: Library) -> set[int]:
    """Return the model in use and the one that it took the place of, by id."""
    champion = registry_models.champion_of(library)
    if champion is None:
        return set()
    event = _ever_used(library).filter(model_version=champion).first()
    before = event.previous_id if event is not None else None
    return {champion.pk} if before is None else {champion.pk, before}


def _prune_models(library: Library, found: Pruned, *, is_dry_run: bool) -> set[int]:
    """Take the files of models that are not kept; return these models by id."""
    kept = kept_models(library)
    doomed = {
        version.pk: version.folder
        for version in library.models.exclude(folder="")
        if version.pk not in kept
    }
    if not is_dry_run:
        in_use = Q(state=ModelVersion.State.CHAMPION)
        _take(
            ModelVersion.objects.exclude(in_use), "folder", doomed, lambda: kept_models(library)
        )
    for name in doomed.values():
        found.models += 1
        found.bytes += _empty(name, (WEIGHTS_FILE, MODEL_FILE), is_dry_run=is_dry_run)
    return set(doomed)


def _empty(name: str, files: Iterable[str], *, is_dry_run: bool) -> int:
    """Remove these files of a folder of models, and the folder once it is empty."""
    folder = Path(settings.MODEL_ROOT) / name
    size = sum(_remove(folder / file, is_dry_run=is_dry_run) for file in files)
    if not is_dry_run:
        with suppress(OSError):  # something else is in it
            folder.rmdir()
    return size


def _take(
    rows: QuerySet[Any], field: str, doomed: dict[int, str], wanted: Callable[[], set[int]]
) -> None:
    """Blank the names in the rows; leave in `doomed` only those that nobody wants after it."""
    for pk, name in list(doomed.items()):
        if not rows.filter(pk=pk, **{field: name}).update(**{field: ""}):
            del doomed[pk]
    for pk in wanted().intersection(doomed):
        rows.filter(pk=pk, **{field: ""}).update(**{field: doomed.pop(pk)})


def _asked_for(library: Library, name: str) -> list[int]:
    """Return the numbers that open jobs name in this argument."""
    arguments = library.jobs.filter(state__in=Job.OPEN).values_list("arguments", flat=True)
    return [one[name] for one in arguments if isinstance(one.get(name), int)]


# --- evaluations ----------------------------------------------------------------------------


def kept_evaluations(library: Library, gone: Iterable[int] = ()) -> set[int]:
    """Return the evaluations whose records stay, by id, where these models are gone.

    Those of models with files, the newest cross-validations, and those of open jobs: one that
    compares its runs reads their records at its end.
    """
    without_files = library.models.filter(Q(folder="") | Q(pk__in=list(gone)))
    of_runs = library.evaluations.filter(run__isnull=False).exclude(
        run__in=without_files.values("run")
    )
    folds = library.evaluations.filter(run__isnull=True).order_by("-pk")
    asked = library.evaluations.filter(job__state__in=Job.OPEN)
    return set(of_runs.values_list("pk", flat=True)).union(
        folds.values_list("pk", flat=True)[: _most_kept()],
        asked.values_list("pk", flat=True),
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
        _take(Evaluation.objects.all(), "folder", doomed, lambda: kept_evaluations(library))
    for name in doomed.values():
        found.evaluations += 1
        files = (FILE_NAME, evaluation_records.REPORT_FILE)
        found.bytes += _empty(name, files, is_dry_run=is_dry_run)


# --- snapshots ------------------------------------------------------------------------------


def kept_snapshots(library: Library, gone: Iterable[int] = ()) -> set[int]:
    """Return the snapshots whose files stay, by id, where these models are gone.

    Those of models with files, of runs that are under way, that open jobs name, that somebody
    took by hand, and those of the last day: a training may be about to read one.
    """
    models = library.models.exclude(folder="").exclude(pk__in=list(gone))
    running = library.runs.filter(state=TrainingRun.State.RUNNING)
    own = Q(by__isnull=False) | Q(runs__isnull=True)
    young = Q(taken_at__gt=timezone.now() - _YOUNG)
    asked = Q(number__in=_asked_for(library, "snapshot"))
    return {
        *models.values_list("run__snapshot_id", flat=True),
        *running.values_list("snapshot_id", flat=True),
        *library.snapshots.filter(own | young | asked).values_list("pk", flat=True),
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
        _take(Snapshot.objects.all(), "file", doomed, lambda: kept_snapshots(library))
    for file in doomed.values():
        found.snapshots += 1
        found.bytes += _remove(Path(settings.SNAPSHOT_ROOT) / file, is_dry_run=is_dry_run)


# --- predictions ----------------------------------------------------------------------------


def kept_predictions(library: Library) -> set[int]:
    """Return the models whose predictions stay, by id.

    The one in use and the one before it, those that ranked the live round and the one before
    it, and what open jobs name.
    """
    kept: set[int | None] = {*_in_use_and_before(library)}
    for state in (Round.State.LIVE, Round.State.RETIRED):
        last = library.rounds.filter(state=state).order_by("-number").first()
        kept.add(last.model_version_id if last else None)
    asked = library.models.filter(number__in=_asked_for(library, "model"))
    return {pk for pk in kept if pk is not None}.union(asked.values_list("pk", flat=True))


def _prune_predictions(library: Library, found: Pruned, *, is_dry_run: bool) -> None:
    """Remove arrays with their rows: a model that is put in use again scores the tracks anew.

    A row that was written anew meanwhile names other files and stays.
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
    """Remove jobs that ended long ago with their chunks; runs and imports keep their facts.

    The training that last learnt from all answers stays, and the turn that last failed: new
    answers are counted from them.
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
        if isinstance(relation, ForeignObjectRel) and relation.related_model not in _LET_GO:
            old = old.exclude(pk__in=_referred_to(relation))
    return old.order_by("pk")


def _referred_to(relation: ForeignObjectRel) -> QuerySet[Any]:
    model, field = relation.related_model, relation.field.name
    rows = model._default_manager.filter(**{f"{field}__isnull": False})
    return rows.order_by().values(field)


# --- uploads --------------------------------------------------------------------------------


def _prune_uploads(library: Library, found: Pruned, *, is_dry_run: bool) -> None:
    """Remove uploaded catalogues whose import ended, or was never begun, long ago."""
    before = timezone.now() - timedelta(days=settings.KEEP_UPLOADS_DAYS)
    ended = Q(job__state__in=ENDED, job__finished_at__lt=before)
    never_begun = Q(job__isnull=True, created_at__lt=before)
    for batch in ImportBatch.objects.filter(ended | never_begun, library=library):
        _prune_upload(catalogue.stored_path(batch), found, is_dry_run=is_dry_run)


def _prune_stray_uploads(found: Pruned, *, is_dry_run: bool) -> None:
    """Remove uploads of which no import is known, and what a killed web server left."""
    before = time.time() - _YOUNG.total_seconds()
    stray = [
        path
        for folder, pattern in (
            (settings.UPLOAD_ROOT, "*.csv"),
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
    """Remove a file; return its bytes. What cannot be removed is said and left."""
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
