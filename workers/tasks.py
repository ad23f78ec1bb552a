"""The loop, from top to bottom: one task a stage, each loads ids, calls ml, calls the loop.

    import -> probe -> features -> (people annotate) -> consistency -> snapshot
           -> train, evaluate -> predict -> rank the queue -> (people annotate)

How a task is claimed, kept alive and committed once is in `workers.jobs.run`; what it asks
for next is decided in `labeling.loop.retraining`, in the transaction that commits it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import shared_task
from django.conf import settings

from labeling.loop import features, predictions, retraining
from labeling.loop.acquisition import rounds
from labeling.loop.consistency import cache
from labeling.loop.datasets import snapshots
from labeling.loop.datasets.selection import Selection
from labeling.loop.importing import catalogue
from labeling.loop.importing.undo import undoing
from labeling.loop.registry import evaluation_records, models
from labeling.loop.serving import random_order
from labeling.loop.upkeep import orphans
from labeling.models import FeatureSet, Library, TrainingRun
from labeling.models.jobs import JobKind
from workers.jobs import upkeep as _upkeep  # noqa: F401 - its tasks are registered with these
from workers.jobs.chunks import Lease, chunk_task
from workers.jobs.run import Attempt, job_task
from workers.jobs.schedules import RETRAIN_ALL
from workers.stages import (
    comparing,
    evaluating,
    listening,
    network_folds,
    preparing,
    training,
)

logger = logging.getLogger(__name__)


# --- import ---------------------------------------------------------------------------------
@job_task(JobKind.IMPORT)
def import_catalogue(run: Attempt) -> dict[str, Any]:
    """Read an uploaded catalogue: tracks, labels, legacy answers."""
    return catalogue.run_batch(run.arguments["batch"], run.progress, run.should_stop)


@job_task(JobKind.UNDO_IMPORT)
def undo_import(run: Attempt) -> dict[str, Any]:
    """Take back what an import added, as far as nobody has built on it."""
    batch = run.library.imports.select_related("job").get(pk=run.arguments["batch"])
    report = undoing.undo_import(
        batch, by_id=run.job.by_id, progress=run.progress, should_stop=run.should_stop
    )
    run.check()
    return report


# --- probe: length, loudness, waveform ------------------------------------------------------
@job_task(JobKind.PROBE)
def probe_tracks(run: Attempt) -> None:
    """Probe new files, in chunks shared with other workers."""
    files = features.pending_probe(run.library)
    parts = run.do_chunks(features.chunks(files))
    with run.committing(
        {"probed": _sum(parts, "done"), "failed": _sum(parts, "failed")}
    ) as out:
        retraining.follow_up(run.job, out)
    orphans.sweep_peaks()


@chunk_task(JobKind.PROBE)
def probe_some(lease: Lease) -> None:
    """Probe the files of one chunk."""
    files = features.still_pending(lease.arguments["ids"])
    probed, failures = listening.probe_files(lease, files)
    with lease.finishing({"done": len(probed), "failed": len(failures)}):
        random_order.restart(features.record_probes(probed, failures))


# --- features -------------------------------------------------------------------------------
@job_task(JobKind.FEATURES)
def extract_features(run: Attempt) -> None:
    """Compute the features of files that have none, in chunks shared with other workers."""
    started = time.monotonic()
    feature_set = features.feature_set_of(run.arguments.get("features") or run.library.features)
    files = features.missing_features(run.library, feature_set)
    parts = run.do_chunks(features.chunks(files, feature_set=feature_set.pk))
    counts = features.count(run.library, feature_set, _sum(parts, "done"))
    facts = {"feature_set": feature_set.name, "windows": _sum(parts, "windows")}
    with run.committing(counts | facts | _seconds(started)) as result:
        retraining.follow_up(run.job, result)
    features.sweep_features(feature_set)


@chunk_task(JobKind.FEATURES)
def extract_some(lease: Lease) -> None:
    """Compute the features of the files of one chunk and write them as one shard."""
    feature_set = FeatureSet.objects.get(pk=lease.arguments["feature_set"])
    files = features.still_missing(feature_set, lease.arguments["ids"])
    root = Path(settings.FEATURE_ROOT)
    rows, failed = listening.features_of_files(lease, feature_set, root, files)
    with lease.finishing({"windows": sum(row.windows for row in rows)}) as result:
        features.record_features(feature_set, rows, failed)
        result["done"] = features.count_tracks(lease.job.library_id, [r.row_key for r in rows])


# --- consistency ----------------------------------------------------------------------------
@job_task(JobKind.CONSISTENCY)
def measure_consistency(run: Attempt) -> dict[str, Any]:
    """Count new answers into days and pairs, then compute and keep the figures of agreement."""
    return cache.refresh(run.library)


# --- snapshot -------------------------------------------------------------------------------
@job_task(JobKind.SNAPSHOT)
def take_snapshot(run: Attempt) -> dict[str, Any]:
    """Take a snapshot of a selection of answers."""
    selection = Selection.of(run.arguments.get("selection", {}))
    snapshot = snapshots.take_snapshot(run.library, selection, by_id=run.job.by_id)
    return {**snapshots.result_of(snapshot)}


# --- train, evaluate, promote ---------------------------------------------------------------
@job_task(JobKind.TRAIN)
def train_model(run: Attempt) -> None:
    """Train on the training side, evaluate on the audit side, promote if not worse."""
    prepared = preparing.prepare(run.library, run.arguments)
    same = models.same_run(prepared.snapshot, prepared.digest())
    if same is not None:
        _nothing_new(run, same)
        return
    started = time.monotonic()
    with training.recorded(run, prepared) as (row, log):
        model = training.fit(run, prepared, log)
        trained = training.saved(model, row, prepared)
        decision = training.decide(model, trained, prepared)
        with run.committing(_seconds(started), then=_look_again(run)) as result:
            models.register_model(row, trained, decision)
            result |= models.outcome(row)
            retraining.follow_up(run.job, result, skip=_needless(run.library))
    models.sweep_models(run.library)
    orphans.sweep_snapshots(run.library)


def _nothing_new(run: Attempt, same: TrainingRun) -> None:
    """Say that the answers and the configuration are those of an earlier run."""
    facts = {**models.outcome(same), "is_unchanged": True, "seconds": 0.0}
    with run.committing(facts, then=_look_again(run)) as result:
        retraining.follow_up(run.job, result, skip=_needless(run.library))


def _look_again(run: Attempt) -> Callable[[], None]:
    """Return a check that requests the next training if enough answers have arrived."""
    return lambda: retraining.after_training(run.library, run.job)


def _needless(library: Library) -> list[str]:
    return [] if predictions.is_stale(library) else [JobKind.PREDICT]


@job_task(JobKind.COMPARE)
def compare_criteria(run: Attempt) -> None:
    """Train on everybody's, legacy and current answers alike; promote none of the models."""
    comparing.train_each_criteria(run)


@job_task(JobKind.EVALUATE)
def evaluate_folds(run: Attempt) -> None:
    """Measure a configuration, or several networks, by folds; makes no model.

    So no training waits for it.
    """
    if run.arguments.get("networks"):
        with run.committing(network_folds.compare_networks_on_folds(run)):
            return
    prepared = preparing.prepare(run.library, run.arguments)
    measured, figures = evaluating.cross_validated(run, prepared, int(run.arguments["folds"]))
    with run.committing(figures) as result:
        network = prepared.config.network
        row = evaluation_records.register_evaluation(
            run.library, network, measured, job=run.job
        )
        result["evaluation"] = row.pk


# --- predict --------------------------------------------------------------------------------
@job_task(JobKind.PREDICT)
def predict_pool(run: Attempt) -> None:
    """Predict every track that has features by the champion, or by the given model."""
    started, library = time.monotonic(), run.library
    version, found, scores = training.score_all(run, library, run.arguments.get("model"))
    written = predictions.write(version, found, scores)
    facts = {"model_version": version.number, "tracks": len(found.track_ids)}
    with run.committing(facts | _seconds(started)) as result:
        predictions.record(version, written)
        retraining.follow_up(run.job, result)
    predictions.sweep_predictions(library)


# --- acquire: rank the queue ----------------------------------------------------------------
@job_task(JobKind.RANK)
def rank_queue(run: Attempt) -> None:
    """Rank the tracks to ask next, and replace the live round by the new one."""
    round_ = rounds.build_round(run.library, on_progress=run.progress)
    with run.committing({"round": round_.number, "strategy": round_.strategy}) as result:
        rounds.switch(round_)
        retraining.follow_up(run.job, result)
    rounds.forget_old_rounds(run.library)


# --- every night ----------------------------------------------------------------------------
@shared_task(name=RETRAIN_ALL, queue="default", ignore_result=True)
def retrain_all() -> None:
    """Request a training in every library with new answers; errors of one stop no other."""
    for library in Library.objects.all():
        try:
            retraining.request_nightly(library)
        except Exception:
            logger.exception("no nightly training was requested in %s", library.slug)


def _sum(parts: list[dict[str, Any]], name: str) -> int:
    return sum(part.get(name, 0) for part in parts)


def _seconds(since: float) -> dict[str, float]:
    return {"seconds": round(time.monotonic() - since, 3)}
