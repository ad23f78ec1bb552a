"""Trust in a model: the labels on which audit tracks show it to be better than the baseline.

Stage: model registry. Only these labels are suggested, and only they are named in the reason
why a track is served. A model that is not better as a whole suggests nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from labeling.errors import BadInput
from labeling.loop.registry import evaluation_records
from labeling.models import Evaluation, ModelVersion
from ml.evaluation.resampling import record_headline, record_label_skills

NOT_EVALUATED = "The model has not been evaluated on audit tracks yet, so it suggests nothing."
_NAMED = 3


@dataclass(frozen=True)
class Trust:
    """Judgement of the audit tracks about a model.

    `labels` are the uids (hex) on which it is better than the baseline, of `n_labels`; empty if
    the whole model is not better. `skill` and `interval` are those of the whole model, None if
    it was not evaluated.
    """

    labels: frozenset[str]
    n_labels: int
    skill: float | None = None
    interval: tuple[float, float] | None = None

    @property
    def is_better(self) -> bool:
        """True if the whole interval of the skill is above 0."""
        return self.interval is not None and self.interval[0] > 0


def trust_in(version: ModelVersion) -> Trust:
    """Return the labels that a model may suggest, from its metrics or its evaluation record."""
    shown = version.metrics.get("headline")
    rows = version.metrics.get("labels") or []
    if shown is None or any("is_better" not in row for row in rows):
        shown, rows = _from_record(version)
    skill, span = shown.get("skill"), (shown.get("intervals") or {}).get("skill")
    found = Trust(
        frozenset(row["label_uid"] for row in rows if row["is_better"]),
        len(version.label_uids),
        skill,
        None if span is None else (span[0], span[1]),
    )
    if found.is_better:
        return found
    return Trust(frozenset(), found.n_labels, found.skill, found.interval)


def _from_record(version: ModelVersion) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Compute the figures of a model that an earlier version of the product evaluated."""
    evaluation = Evaluation.objects.filter(run=version.run_id).first()
    if evaluation is None:
        return {}, []
    return _computed(evaluation.pk, evaluation.sha256)


@lru_cache(maxsize=8)
def _computed(pk: int, sha256: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        record = evaluation_records.record_of(Evaluation.objects.get(pk=pk, sha256=sha256))
    except BadInput:
        return {}, []
    rows = [
        {"label_uid": label.uid, **found}
        for label, found in zip(record.labels, record_label_skills(record), strict=True)
    ]
    return {**record_headline(record)}, rows


def why_few_suggestions(version: ModelVersion, names: dict[str, str]) -> str:
    """Say which labels the champion does not suggest, and why; empty if it suggests all.

    `names` are the labels (by uid) that could be suggested.
    """
    found = trust_in(version)
    if found.skill is None:
        return NOT_EVALUATED
    if not found.is_better:
        span = ""
        if found.interval is not None:
            span = f", 95 % CI {found.interval[0]:+.2f} to {found.interval[1]:+.2f}"
        return (
            "The model is not known to be better than guessing on the audit tracks yet (skill "
            f"{found.skill:+.2f}{span}), so it suggests nothing. Label more tracks."
        )
    missing = sorted(
        name
        for uid, name in names.items()
        if uid in version.label_uids and uid not in found.labels
    )
    if not missing:
        return ""
    named = ", ".join(missing[:_NAMED])
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return (
        f"The model is not known to be better than guessing on {named}{more} yet, so it does "
        f"not suggest {'this label' if len(missing) == 1 else 'these labels'}. More labelled "
        "audit tracks can show that it is."
    )
