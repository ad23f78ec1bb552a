"""Evaluation of a run: its record on audit tracks, or on all tracks by folds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from django.utils import timezone

from labeling.errors import BadInput
from labeling.loop.registry import evaluation_records, models
from labeling.loop.registry.evaluation_records import Measured
from labeling.models import TrainingRun
from ml.evaluation.cross_validation import CrossValidation, FoldProgress, cross_validate
from ml.evaluation.measurement import HeldOut, record_of_folds, record_of_model
from ml.evaluation.record import EvaluationRecord
from ml.evaluation.resampling import record_headline, record_label_skills
from ml.features.track_features import SelectedTracks
from ml.metrics.scores import baseline as baseline_metrics
from ml.metrics.scores import evaluate
from ml.training.trained_model import TrainedModel, versions
from ml.types import LabelMatrix
from workers.jobs.run import Attempt
from workers.stages.preparing import Prepared

Rows = npt.NDArray[np.intp]


def evaluated(
    record: EvaluationRecord, prepared: Prepared
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (metrics, baseline) on the audit tracks, by the reference labels."""
    thresholds, prior = record.thresholds[0], record.prior[0]
    metrics: dict[str, Any] = {
        **evaluate(
            record.probabilities,
            record.reference,
            thresholds,
            prior=prior,
            groups=record.groups,
        )
    }
    baseline: dict[str, Any] = {**baseline_metrics(prior, record.reference)}
    metrics["headline"] = record_headline(record)
    metrics["judged_by"] = prepared.frozen.judged_by
    metrics["message"] = _message(metrics)
    for row, found in zip(metrics["labels"], record_label_skills(record), strict=True):
        row |= {
            "skill": found["skill"],
            "skill_interval": found["interval"],
            "is_better": found["is_better"],
        }
    for row in metrics["labels"] + baseline["labels"]:
        row["label_uid"] = prepared.uids[row["index"]]
    return metrics, baseline


def recorded_on_audit(
    model: TrainedModel, row: TrainingRun, prepared: Prepared
) -> EvaluationRecord:
    """Predict the audit tracks and keep the predictions as a record."""
    rows = prepared.audit
    seconds = (timezone.now() - row.started_at).total_seconds()
    about = {
        "run": row.pk,
        "versions": row.versions,
        "seconds": round(seconds, 1),
        # As it was followed: with one side only there are no criteria to tell apart.
        "config": model.config.canonical(),
    }
    return record_of_model(
        model,
        SelectedTracks(prepared.features, rows),
        held_out_of(prepared, rows, prepared.frozen.reference.rows(rows), about),
    )


def held_out_of(
    prepared: Prepared, rows: Rows, reference: LabelMatrix, about: dict[str, Any]
) -> HeldOut:
    """Name the tracks of a record, and the facts about its origin."""
    return HeldOut(
        track_uids=prepared.frozen.track_uids[rows],
        groups=prepared.frozen.groups[rows],
        reference=reference,
        labels=evaluation_records.recorded_label_names(prepared.library, prepared.uids),
        judged_by=prepared.frozen.judged_by,
        about={**prepared.about(), **about},
    )


def _message(metrics: dict[str, Any]) -> str:
    if not metrics["n"]:
        return models.NOT_JUDGED
    if not metrics["labels_scored"]:
        return (
            f"on the {metrics['n']} audit tracks judged so far no label is both given and not "
            "given: more are needed to measure"
        )
    return ""


# --- cross-validation -----------------------------------------------------------------------


def cross_validated(
    run: Attempt, prepared: Prepared, folds: int
) -> tuple[Measured, dict[str, Any]]:
    """Evaluate a configuration by folds over all tracks, audit included; register nothing."""
    n_groups = len(np.unique(prepared.frozen.groups))
    if not 2 <= folds <= n_groups:
        raise BadInput(f"--folds is {folds}; these tracks allow 2 to {n_groups}")
    started = time.monotonic()
    outcome: CrossValidation = cross_validate(
        prepared.features,
        prepared.frozen.matrix,
        prepared.frozen.groups,
        prepared.config,
        n_folds=folds,
        seed=prepared.config.seed,
        facets=prepared.facets,
        on_progress=_fold_progress(run),
        should_stop=run.should_stop,
    )
    seconds = round(time.monotonic() - started, 3)
    record = _record_of(prepared, outcome, {"folds": folds, "seconds": seconds})
    folder = f"{prepared.library.slug}/folds-{run.token.hex}"  # two attempts never meet
    measured = evaluation_records.keep(folder, record)
    metrics = {
        **models.without_label_rows(outcome.metrics),
        "headline": record_headline(record),
        "judged_by": "all selected answers",
    }
    return measured, {
        "run": None,
        "model_version": None,
        "snapshot": prepared.snapshot.number,
        "network": prepared.config.network,
        "folds": folds,
        "metrics": metrics,
        "baseline": models.without_label_rows(outcome.baseline),
        "seconds": seconds,
    }


def _record_of(
    prepared: Prepared, outcome: CrossValidation, about: dict[str, Any]
) -> EvaluationRecord:
    """Return the predictions of the folds as a record."""
    rows = np.arange(len(prepared.frozen.track_ids))
    # As it was followed: folds tell no criteria apart.
    config = outcome.models[0].config.canonical()
    learnt_from = prepared.answers_of(rows)
    about = {**about, "versions": versions(), "answers": learnt_from, "config": config}
    held_out = held_out_of(prepared, rows, prepared.frozen.matrix, about)
    return record_of_folds(outcome, replace(held_out, judged_by="all selected answers"))


def _fold_progress(run: Attempt) -> Callable[[FoldProgress], None]:
    def tell(at: FoldProgress) -> None:
        share = at.epoch.epoch / max(1, at.epoch.epochs)
        done = round(100 * (at.fold - 1 + share) / at.folds)
        run.progress(done, 100, f"fold {at.fold} of {at.folds}, epoch {at.epoch.epoch}")

    return tell
