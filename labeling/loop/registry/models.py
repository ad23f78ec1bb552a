"""Training runs, the models that they produce, and the champion.

Stage: model registry. Every promotion decision (`labeling.loop.registry.promotion`) is stored
as an event with the figures behind it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from labeling.errors import BadInput
from labeling.loop.registry import evaluation_records
from labeling.loop.registry.evaluation_records import Measured
from labeling.loop.registry.promotion import ANY, Decision
from labeling.models import (
    FeatureSet,
    Job,
    Library,
    ModelVersion,
    PromotionEvent,
    RunGroup,
    Snapshot,
    TrainingRun,
)
from ml.training.weights import WEIGHTS_FILE
from ml.types import TrainingConfig

Kind = PromotionEvent.Kind
_FORGOTTEN_AFTER_S = 3_600.0
#: Metrics that both `metrics` and `baseline` contain.
SHARED = (
    "n",
    "labels_scored",
    "macro_ap",
    "lwlrap",
    "bce",
    "bce_skill",
    "macro_f1",
    "micro_f1",
    "binary_accuracy",
)
NOT_JUDGED = (
    "no audit track with features has been judged yet, so the model cannot be evaluated: label "
    "tracks of the audit stratum, which are in everybody's queue"
)


@dataclass(frozen=True)
class Trained:
    """A trained model for the registry: where its files are, and its metrics."""

    folder: str
    sha256: str
    label_uids: Sequence[str]
    thresholds: Sequence[float]
    calibration: dict[str, Any]
    metrics: dict[str, Any]
    baseline: dict[str, Any]
    epochs: Sequence[dict[str, Any]] = ()
    measured: Measured | None = None


class RunOutcome(TypedDict):
    """The result of a finished run: in the result of its job and as commands print it."""

    run: int
    snapshot: int
    model_version: int
    evaluation: int | None
    promoted: bool
    reason: str
    network: str
    metrics: dict[str, Any]
    baseline: dict[str, Any]


# --- runs -----------------------------------------------------------------------------------


def start_run(
    snapshot: Snapshot,
    feature_set: FeatureSet,
    config: TrainingConfig,
    *,
    digest: str,
    facts: dict[str, Any],
    versions: dict[str, str],
    job: Job | None = None,
    group: RunGroup | None = None,
    arm: str = "",
) -> TrainingRun:
    """Create the row of a training that begins; close runs left by dead attempts of the job.

    The runs of a group are open at the same time, so the caller that opens a group closes
    those that were left.
    """
    if job is not None and group is None:
        end_runs_of(job, "its worker stopped before the end, and the job was started again")
    return TrainingRun.objects.create(
        library=snapshot.library,
        snapshot=snapshot,
        feature_set=feature_set,
        job=job,
        group=group,
        arm=arm,
        network=config.network,
        config={"training": config.canonical(), **facts},
        config_hash=digest,
        seed=config.seed,
        versions=versions,
        started_at=timezone.now(),
    )


class EpochLog:
    """Training history of a run while it trains, written to its row at most once a second."""

    def __init__(self, run: TrainingRun, every_s: float = 1.0) -> None:
        self.epochs: list[dict[str, Any]] = []
        self._run = run
        self._every_s = every_s
        self._written_at = -float("inf")

    def add(self, epoch: dict[str, Any]) -> None:
        """Add an epoch, and write the history if the last write is long enough ago."""
        self.epochs.append(epoch)
        if time.monotonic() - self._written_at >= self._every_s:
            self._written_at = time.monotonic()
            TrainingRun.objects.filter(pk=self._run.pk, state=TrainingRun.State.RUNNING).update(
                epochs=self.epochs
            )


def end_runs_of(job: Job, reason: str) -> None:
    """Close the runs that dead attempts of a job left open, as failed."""
    for run in TrainingRun.objects.filter(job=job, state=TrainingRun.State.RUNNING):
        end_without_model(run, TrainingRun.State.FAILED, reason)


def end_without_model(run: TrainingRun, state: str, reason: str) -> None:
    """Close a run that produced no model."""
    TrainingRun.objects.filter(pk=run.pk, state=TrainingRun.State.RUNNING).update(
        state=state, reason=reason, finished_at=timezone.now()
    )


def same_run(snapshot: Snapshot, digest: str) -> TrainingRun | None:
    """Return the finished run with the same snapshot and configuration, if any.

    A run whose model has lost its files does not count: only a new training restores them.
    """
    done = snapshot.runs.filter(config_hash=digest, state=TrainingRun.State.DONE)
    for run in done.select_related("model").order_by("-id"):
        if has_files(run.model):
            return run
    return None


# --- models ---------------------------------------------------------------------------------


def champion_of(library: Library) -> ModelVersion | None:
    """Return the champion of a library, if it has one."""
    return library.models.filter(state=ModelVersion.State.CHAMPION).first()


def model_version_of(library: Library, number: int | None = None) -> ModelVersion:
    """Return the model with this number, or the champion."""
    if number is None:
        champion = champion_of(library)
        if champion is None:
            raise BadInput(f"{library.slug} has no champion yet: train a model first")
        return champion
    found = library.models.filter(number=number).first()
    if found is None:
        raise BadInput(f"{library.slug} has no model {number}")
    return found


def register_model(run: TrainingRun, trained: Trained, decision: Decision) -> ModelVersion:
    """Store the model of a run and promote or reject it, in the caller's transaction."""
    # The lock gives consecutive numbers to two runs that end at the same time.
    library = _locked(run.library_id)
    decision = _as_of_now(decision, champion_of(library))
    last = library.models.aggregate(n=Max("number"))["n"] or 0
    version = ModelVersion.objects.create(
        library=library,
        number=last + 1,
        run=run,
        folder=trained.folder,
        sha256=trained.sha256,
        label_uids=list(trained.label_uids),
        thresholds=list(trained.thresholds),
        calibration=trained.calibration,
        metrics=trained.metrics,
        baseline=trained.baseline,
    )
    TrainingRun.objects.filter(pk=run.pk).update(
        state=TrainingRun.State.DONE,
        metrics=trained.metrics,
        baseline=trained.baseline,
        epochs=list(trained.epochs),
        reason=decision.reason,
        finished_at=timezone.now(),
    )
    if trained.measured is not None:
        evaluation_records.register_evaluation(
            library, run.network, trained.measured, run=run, job=run.job
        )
    if decision.is_promoted:
        _switch(version, Kind.PROMOTED, decision.reason, decision.figures, by_id=None)
    else:
        PromotionEvent.objects.create(
            library=library,
            model_version=version,
            previous=champion_of(library),
            kind=Kind.REFUSED,
            reason=decision.reason,
            figures=decision.figures,
        )
    return version


def _locked(library_id: int) -> Library:
    """Lock the library, so that nobody else registers or promotes a model."""
    return Library.objects.select_for_update(no_key=True).get(pk=library_id)


def _as_of_now(decision: Decision, champion: ModelVersion | None) -> Decision:
    """Reject a model that was compared with another model than the champion of now."""
    then, now = decision.against_id, champion.pk if champion else None
    if not decision.is_promoted or then in (ANY, now):
        return decision
    reason = f"{champion or 'no model'} was promoted while it was compared with another model"
    return replace(decision, is_promoted=False, reason=reason)


def _switch(
    version: ModelVersion, kind: str, reason: str, figures: dict[str, Any], by_id: int | None
) -> None:
    """Make a model the champion; the constraint of one champion per library decides a race."""
    states = ModelVersion.State
    previous = champion_of(version.library)
    with transaction.atomic():
        if previous is not None:
            ModelVersion.objects.filter(pk=previous.pk).update(state=states.RETIRED)
        with_files = ModelVersion.objects.filter(pk=version.pk).exclude(folder="")
        if not with_files.update(state=states.CHAMPION):
            raise BadInput(_pruned(version))
        PromotionEvent.objects.create(
            library=version.library,
            model_version=version,
            previous=previous,
            kind=kind,
            reason=reason,
            figures=figures,
            by_id=by_id,
        )
    version.state = states.CHAMPION


def promote(
    version: ModelVersion,
    *,
    by_id: int | None = None,
    why: str = "",
    figures: dict[str, Any] | None = None,
) -> None:
    """Promote another model of the library by hand, in the caller's transaction.

    `why` is the person's reason; `figures` says how the two models compare, if that is known.
    """
    champion = champion_of(_locked(version.library_id))
    version.refresh_from_db(fields=["folder"])
    if champion == version:
        raise BadInput(f"model {version.number} is the champion already")
    if version.folder and not has_files(version):
        raise BadInput(
            f"the files of model {version.number} are missing: restore them from a backup, or "
            "train again to get a similar model"
        )
    instead = f" instead of model {champion.number}" if champion else ""
    reason = f"promoted by hand{instead}{f': {why}' if why else ''}"
    try:
        _switch(version, Kind.ROLLED_BACK, reason, figures or {}, by_id)
    except IntegrityError:
        raise BadInput(
            "another model was promoted at the same moment: look at the Models page again"
        ) from None


def outcome(run: TrainingRun) -> RunOutcome:
    """Return the result of a finished run, as commands print it."""
    version = ModelVersion.objects.select_related("run__snapshot").get(run=run)
    return {
        "run": run.pk,
        "snapshot": version.run.snapshot.number,
        "model_version": version.number,
        "evaluation": run.evaluation.pk if hasattr(run, "evaluation") else None,
        "promoted": version.state == ModelVersion.State.CHAMPION,
        "reason": version.run.reason,
        "network": version.run.network,
        "metrics": without_label_rows(version.metrics),
        "baseline": without_label_rows(version.baseline),
    }


def in_common(
    champion: ModelVersion, candidate_uids: Sequence[str]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the columns of the common labels, in the candidate and in the champion."""
    place = {uid: number for number, uid in enumerate(champion.label_uids)}
    pairs = [(n, place[uid]) for n, uid in enumerate(candidate_uids) if uid in place]
    mine, its = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(mine, dtype=np.intp), np.array(its, dtype=np.intp)


def has_files(version: ModelVersion) -> bool:
    """Return whether the files of a model exist; a pruned model has no folder."""
    weights = Path(settings.MODEL_ROOT) / version.folder / WEIGHTS_FILE
    return bool(version.folder) and weights.is_file()


def model_folder_of(version: ModelVersion) -> Path:
    """Return the folder of a model; raise BadInput if its files were removed to save space."""
    if not version.folder:
        raise BadInput(_pruned(version))
    return Path(settings.MODEL_ROOT) / version.folder


def folder_name(run: TrainingRun) -> str:
    """Return the folder for the files of a run's model, below MODEL_ROOT."""
    return f"{run.library.slug}/{run.uid.hex}"


def _pruned(version: ModelVersion) -> str:
    return (
        f"the files of model {version.number} were removed to save space, only its metrics "
        "are left: train again to get a similar model"
    )


def sweep_models(library: Library) -> list[str]:
    """Remove folders that belong to no model, evaluation or running run; return their names."""
    home = Path(settings.MODEL_ROOT) / library.slug
    # Running runs are read first: one that ends during the reads is then found as a model.
    running = library.runs.filter(state=TrainingRun.State.RUNNING)
    known = {folder_name(run) for run in running.select_related("library")}
    known |= set(library.models.values_list("folder", flat=True))
    known |= set(library.evaluations.values_list("folder", flat=True))
    removed = []
    for folder in sorted(home.glob("*")) if home.is_dir() else []:
        name = f"{library.slug}/{folder.name}"
        if name in known or time.time() - folder.stat().st_mtime < _FORGOTTEN_AFTER_S:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        removed.append(name)
    return removed


def without_label_rows(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics without the rows of single labels, as commands print them."""
    return {name: value for name, value in figures.items() if name != "labels"}
