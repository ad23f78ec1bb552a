"""Metrics of models for people: with the baseline's, and a dash where unknown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from django.urls import reverse

from labeling.models import Label, Library, ModelVersion, TrainingRun
from labeling.templatetags.formats import whole
from labeling.views.learning.headline_rows import out_of_fold_note, shown_headline
from labeling.views.learning.shown import Shown, short

MOST_ROWS = 50

Figures = dict[str, Any]


@dataclass(frozen=True)
class ModelRow:
    """A model version with its metrics."""

    version: ModelVersion
    is_champion: bool
    skill: Shown
    macro_ap: Shown
    lwlrap: Shown
    f1: Shown
    n: Shown
    judged_by: str
    message: str
    out_of_fold: str = ""
    measured_on: str = ""
    compare: str = ""


@dataclass(frozen=True)
class LabelRow:
    """A label of a model with its metrics on audit tracks."""

    name: str
    support: int
    ap: Shown
    precision: str
    recall: str
    f1: str
    threshold: str


def why_unknown(metrics: Figures) -> str:
    """Say why metrics are missing."""
    return metrics.get("message") or (
        "on the audit tracks labelled so far, each label is given to all tracks or to none"
    )


def model_row(version: ModelVersion) -> ModelRow:
    """Return a version as a row."""
    metrics = version.metrics
    n = metrics.get("n") or 0
    shown = shown_headline(metrics.get("headline"), "" if n else why_unknown(metrics))
    return ModelRow(
        version=version,
        is_champion=version.state == ModelVersion.State.CHAMPION,
        skill=shown["skill"],
        macro_ap=shown["macro_ap_10"],
        lwlrap=shown["lwlrap"],
        f1=shown["micro_f1"],
        n=Shown(
            whole(n), f"{metrics.get('labels_scored') or 0} labels", "labelled audit tracks"
        ),
        judged_by=metrics.get("judged_by") or "",
        message=metrics.get("message") or "",
        out_of_fold=out_of_fold_note(metrics),
    )


def model_rows(library: Library, before: int | None = None) -> list[ModelRow]:
    """Return versions, newest first, each with whether its metrics are comparable.

    At most `MOST_ROWS`: those with a number below `before`, where that is given.
    """
    # Epochs and the facts of a snapshot are long, and no row shows them.
    versions = library.models.select_related(
        "run__snapshot", "run__feature_set", "run__evaluation"
    ).defer("run__epochs", "run__metrics", "run__baseline", "run__snapshot__facts")
    present = versions.filter(state=ModelVersion.State.CHAMPION).first()
    if before is not None:
        versions = versions.filter(number__lt=before)
    return [_beside_present(model_row(version), present) for version in versions[:MOST_ROWS]]


def _beside_present(row: ModelRow, present: ModelVersion | None) -> ModelRow:
    """Say whether a model was evaluated on the same labels as the champion."""
    if present is None or row.is_champion:
        return row
    mine, its = (answers_hash_of(one) for one in (row.version, present))
    if not mine or not its:
        return replace(row, measured_on="labels not recorded")
    query = f"?model={present.number}&model={row.version.number}"
    address = reverse("compare_models", args=[row.version.library.slug]) + query
    words = "the same labels as" if mine == its else "other labels than"
    row = replace(row, measured_on=f"{words} model {present.number}")
    has_records = row.version.run.evaluation.folder and present.run.evaluation.folder
    return replace(row, compare=address) if has_records else row


def answers_hash_of(version: ModelVersion) -> str:
    """Return the hash of the answers that a model was evaluated on; empty if unknown."""
    evaluation = getattr(version.run, "evaluation", None)
    return evaluation.answers_hash if evaluation is not None else ""


def model_label_rows(version: ModelVersion) -> list[LabelRow]:
    """Return the labels of a version, best supported first, unscored last."""
    names = {
        label.uid.hex: f"{label.name}"
        for label in Label.objects.filter(facet__library=version.library)
    }
    found = [
        _label_row(row, names.get(row.get("label_uid", ""), "Others"), version.metrics)
        for row in version.metrics.get("labels", [])
    ]
    return sorted(found, key=lambda row: (row.ap.is_unknown, -row.support, row.name))


def _label_row(row: Figures, name: str, metrics: Figures) -> LabelRow:
    ap, prevalence = row.get("ap"), row.get("prevalence")
    hint = "" if ap is not None else _why_no_ap(row, metrics)
    note = f"baseline {short(prevalence)}" if ap is not None else ""
    return LabelRow(
        name=name,
        support=row.get("support") or 0,
        ap=Shown(short(ap), note, hint),
        precision=short(row.get("precision")),
        recall=short(row.get("recall")),
        f1=short(row.get("f1")),
        threshold=short(row.get("threshold")),
    )


def _why_no_ap(row: Figures, metrics: Figures) -> str:
    if not metrics.get("n"):
        return why_unknown(metrics)
    if not row.get("support"):
        return "no audit track has this label yet"
    return "every labelled audit track has this label, so it cannot be scored"


def learning_curve_of(run: TrainingRun) -> list[dict[str, Any]]:
    """Return the epochs by stage, as series for small charts."""
    stages: dict[str, list[dict[str, Any]]] = {}
    for epoch in run.epochs:
        stages.setdefault(epoch.get("stage") or "training", []).append(epoch)
    return [_series(stage, epochs) for stage, epochs in stages.items()]


def _series(stage: str, epochs: list[dict[str, Any]]) -> dict[str, Any]:
    def of(name: str) -> list[float | None]:
        return [epoch.get(name) for epoch in epochs]

    return {
        "stage": stage,
        "epochs": len(epochs),
        "loss": of("loss"),
        "validation_loss": of("validation_loss"),
        "validation_macro_ap": of("validation_macro_ap"),
        "last": {
            name: short(_last(of(name)), 3)
            for name in ("loss", "validation_loss", "validation_macro_ap")
        },
    }


def _last(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return known[-1] if known else None


def troubles(library: Library, most: int = 10) -> list[TrainingRun]:
    """Return the latest runs that gave no model."""
    states = (TrainingRun.State.FAILED, TrainingRun.State.CANCELLED)
    return list(library.runs.filter(state__in=states).order_by("-id")[:most])
