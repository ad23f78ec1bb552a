"""Runs, their models, and the champion.

Every decision (`labeling.loop.registry.promotion`) is an event with its metrics.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
#: Metrics that `metrics` and `baseline` share.
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
    "no audit track with features was judged yet, so nothing can be measured: label tracks of "
    "the audit stratum, they come up in everybody's queue"
)


@dataclass(frozen=True)
class Trained:
    """A trained model to register: its files and its metrics."""

    folder: str
    sha256: str
    label_uids: Sequence[str]
    thresholds: Sequence[float]
    calibration: dict[str, Any]
    metrics: dict[str, Any]
    baseline: dict[str, Any]
    epochs: Sequence[dict[str, Any]] = ()
    measured: Measured | None = None


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
    """Record that a training starts, and close the runs of dead attempts of the job.

    The runs of a group are open together: the first one closes old runs.
    """
    if job is not None and group is None:
        end_runs_of(job, "its worker stopped before the end; it was tried again")
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
    """The learning curve of a run while it trains: written once a second at most."""

    def __init__(self, run: TrainingRun, every_s: float = 1.0) -> None:
        self.epochs: list[dict[str, Any]] = []
        self._run = run
        self._every_s = every_s
        self._written_at = -float("inf")

    def add(self, epoch: dict[str, Any]) -> None:
        """Record an epoch."""
        self.epochs.append(epoch)
        if time.monotonic() - self._written_at >= self._every_s:
            self._written_at = time.monotonic()
            TrainingRun.objects.filter(pk=self._run.pk, state=TrainingRun.State.RUNNING).update(
                epochs=self.epochs
            )


def end_runs_of(job: Job, reason: str) -> None:
    """Close the runs that dead attempts of a job left open."""
    for run in TrainingRun.objects.filter(job=job, state=TrainingRun.State.RUNNING):
        end_without_model(run, TrainingRun.State.FAILED, reason)


def end_without_model(run: TrainingRun, state: str, reason: str) -> None:
    """Close a run without a model."""
    TrainingRun.objects.filter(pk=run.pk, state=TrainingRun.State.RUNNING).update(
        state=state, reason=reason, finished_at=timezone.now()
    )


def same_run(snapshot: Snapshot, digest: str) -> TrainingRun | None:
    """Return the finished run that had the same snapshot and configuration, if any.

    A run whose model has lost its files does not count: only a new training restores them.
    """
    done = snapshot.runs.filter(config_hash=digest, state=TrainingRun.State.DONE)
    for run in done.select_related("model").order_by("-id"):
        if has_files(run.model):
            return run
    return None


# --- models ---------------------------------------------------------------------------------


def champion_of(library: Library) -> ModelVersion | None:
    """Return the champion."""
    return library.models.filter(state=ModelVersion.State.CHAMPION).first()


def model_version_of(library: Library, number: int | None = None) -> ModelVersion:
    """Return the model of this number, or the champion."""
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
    """Register the model of a run and promote it or not, in the caller's transaction."""
    # Two runs that end together take numbers one after the other.
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
    """Lock the library against others that register or promote a model."""
    return Library.objects.select_for_update(no_key=True).get(pk=library_id)


def _as_of_now(decision: Decision, present: ModelVersion | None) -> Decision:
    """Promote nothing over a model that it was not compared with."""
    then, now = decision.against_id, present.pk if present else None
    if not decision.is_promoted or then in (ANY, now):
        return decision
    reason = f"{present or 'no model'} was promoted while it was compared with another one"
    return replace(decision, is_promoted=False, reason=reason)


def _switch(
    version: ModelVersion, kind: str, reason: str, figures: dict[str, Any], by_id: int | None
) -> None:
    """Make a model the champion; the constraint of one champion decides a race."""
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

    `why` is the reason of the person; `figures` compares the two models, if known.
    """
    present = champion_of(_locked(version.library_id))
    version.refresh_from_db(fields=["folder"])
    if present == version:
        raise BadInput(f"model {version.number} is already the champion")
    if version.folder and not has_files(version):
        raise BadInput(f"the files of model {version.number} are not where they should be")
    instead = f" instead of model {present.number}" if present else ""
    reason = f"promoted by hand{instead}{f': {why}' if why else ''}"
    try:
        _switch(version, Kind.ROLLED_BACK, reason, figures or {}, by_id)
    except IntegrityError:
        raise BadInput("another model was promoted at this moment: check again") from None


def outcome(run: TrainingRun) -> dict[str, Any]:
    """Return the metrics of a finished run, as commands print them."""
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
    """Return the columns of the candidate, and those of the champion, of the same labels."""
    place = {uid: number for number, uid in enumerate(champion.label_uids)}
    pairs = [(n, place[uid]) for n, uid in enumerate(candidate_uids) if uid in place]
    mine, its = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(mine, dtype=np.intp), np.array(its, dtype=np.intp)


def has_files(version: ModelVersion) -> bool:
    """Say whether the files of a model are there; it has no folder once it was pruned."""
    weights = Path(settings.MODEL_ROOT) / version.folder / WEIGHTS_FILE
    return bool(version.folder) and weights.is_file()


def model_folder_of(version: ModelVersion) -> Path:
    """Return the folder of a model; refuse if its files were removed to save space."""
    if not version.folder:
        raise BadInput(_pruned(version))
    return Path(settings.MODEL_ROOT) / version.folder


def folder_name(run: TrainingRun) -> str:
    """Return the folder name of a run's model, below the folder of models."""
    return f"{run.library.slug}/{run.uid.hex}"


def _pruned(version: ModelVersion) -> str:
    return (
        f"the files of model {version.number} were removed to save space, it stays for its "
        "figures only: train again to have one like it"
    )


def sweep_models(library: Library) -> list[str]:
    """Remove folders that no model names and no running run is about to fill."""
    home = Path(settings.MODEL_ROOT) / library.slug
    # Running trainings are read first: in the meantime they become a model or a record.
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
    """Return the metrics without the rows of labels, as commands print them."""
    return {name: value for name, value in figures.items() if name != "labels"}
