"""One training from the arguments of a job to a model that can be registered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
from django.conf import settings

from labeling.loop import features as loop_features
from labeling.loop.datasets.selection import Selection
from labeling.loop.features import Located
from labeling.loop.registry import evaluation_records, models, promotion, recipes
from labeling.loop.registry.models import EpochLog, Trained
from labeling.loop.registry.promotion import Decision
from labeling.models import (
    Library,
    ModelVersion,
    RunGroup,
    TrainingRun,
)
from ml.errors import CancelledError
from ml.features.track_features import SelectedTracks
from ml.networks.base import EpochReport
from ml.training.fit import train
from ml.training.out_of_fold import out_of_fold
from ml.training.prediction import pool_probabilities
from ml.training.trained_model import TrainedModel, versions
from workers.jobs.run import Attempt
from workers.jobs.stopping import Stopped
from workers.stages import evaluating, promoting
from workers.stages.dataset import track_features_for
from workers.stages.preparing import Prepared

# --- training -------------------------------------------------------------------------------


@contextmanager
def recorded(
    run: Attempt, prepared: Prepared, *, group: RunGroup | None = None, arm: str = ""
) -> Iterator[tuple[TrainingRun, EpochLog]]:
    """Keep the row of the training true: running, and closed with a reason if it fails."""
    row = models.start_run(
        prepared.snapshot,
        prepared.feature_set,
        prepared.config,
        digest=prepared.digest(),
        facts=prepared.facts(),
        versions=versions(),
        job=run.job,
        group=group,
        arm=arm,
    )
    states = TrainingRun.State
    try:
        yield row, EpochLog(row)
    except (CancelledError, Stopped):
        models.end_without_model(row, states.CANCELLED, "stopped before the end")
        raise
    except Exception as error:
        models.end_without_model(row, states.FAILED, str(error) or type(error).__name__)
        raise


def fit(run: Attempt, prepared: Prepared, log: EpochLog) -> TrainedModel:
    """Train on the training side, telling of every epoch."""

    def on_epoch(report: EpochReport) -> None:
        run.progress(report.epoch, report.epochs, f"epoch {report.epoch}, {report.stage}")
        if report.start == 1:  # one learning curve to show while they train; then their mean
            log.add(_epoch(report))

    rows = prepared.training
    return train(
        SelectedTracks(prepared.features, rows),
        prepared.frozen.matrix.rows(rows),
        prepared.frozen.groups[rows],
        prepared.config,
        label_uids=prepared.uids,
        facets=prepared.facets,
        is_present=prepared.is_present,
        on_epoch=on_epoch,
        should_stop=run.should_stop,
    )


def _epoch(report: EpochReport) -> dict[str, Any]:
    """Return an epoch as JSON, which has no NaN."""
    values = asdict(report).items()
    return {name: None if value != value else value for name, value in values}


def saved(model: TrainedModel, row: TrainingRun, prepared: Prepared) -> Trained:
    """Measure the model and write its files; nothing refers to them yet."""
    record = evaluating.recorded_on_audit(model, row, prepared)
    metrics, baseline = evaluating.evaluated(record, prepared)
    metrics["out_of_fold"] = out_of_fold(model)
    name = models.folder_name(row)
    stored = model.save(Path(settings.MODEL_ROOT) / name)
    measured = evaluation_records.keep(name, record)
    return Trained(
        folder=name,
        sha256=stored.sha256,
        label_uids=model.label_uids,
        thresholds=model.thresholds.tolist(),
        calibration=model.platt.to_dict(),
        metrics=metrics,
        baseline=baseline,
        epochs=[_epoch(report) for report in model.history],
        measured=measured,
    )


# --- promotion ------------------------------------------------------------------------------


def decide(model: TrainedModel, trained: Trained, prepared: Prepared) -> Decision:
    """Decide by the metrics of the model, then by comparison with the champion."""
    champion = models.champion_of(prepared.library)
    decision = (
        promotion.for_comparison(
            Selection.of(prepared.snapshot.selection),
            recipes.strangers(prepared.library, prepared.uids),
            prepared.origin.get("recipe", {}).get("name", ""),
        )
        or promotion.needs_a_person(
            trained.metrics,
            trained.baseline,
            int(model.is_learnt.sum()),
            trained.measured.verdict if trained.measured else "",
        )
        or promoting.decide_among_usable(model, trained, prepared, champion)
    )
    return replace(decision, against_id=champion.pk if champion else None)


# --- prediction -----------------------------------------------------------------------------


def score_all(
    run: Attempt, library: Library, number: int | None
) -> tuple[ModelVersion, Located, npt.NDArray[Any]]:
    """Return (model version, tracks, probabilities) of all tracks that have features."""
    version = models.model_version_of(library, number)
    model = TrainedModel.load(models.model_folder_of(version), version.sha256)
    found = loop_features.located(library, version.run.feature_set)
    features = track_features_for(model.config.network, version.run.feature_set, found)
    probabilities = pool_probabilities(model, features, run.progress, run.should_stop)
    return version, found, probabilities
