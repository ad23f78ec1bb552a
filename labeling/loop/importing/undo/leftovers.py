"""Labels and annotators that an import created: which of them nobody else has used."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from labeling.batching import batches
from labeling.loop.importing.labels import Added
from labeling.models import (
    Annotation,
    Annotator,
    EraCut,
    ImportBatch,
    Judgement,
    Label,
    Presentation,
    Receipt,
    TaxonomyChange,
)

_STEP = 500


@dataclass
class Leftovers:
    """Ids to withdraw, and (name, why) of what stays."""

    withdraw: list[int] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)

    def sort_out(self, rows: Iterable[Label | Annotator], reasons: dict[int, str]) -> None:
        for row in rows:
            if row.pk in reasons:
                self.kept.append((row.name, reasons[row.pk]))
            else:
                self.withdraw.append(row.pk)


def unused_labels(batch: ImportBatch, depended_on: Collection[int]) -> Leftovers:
    """Sort out the labels of an import; `depended_on` are its events that stay."""
    found = Leftovers()
    for ids in batches(Added.by(batch).labels, _STEP):
        labels = list(Label.objects.in_use().filter(pk__in=ids))
        found.sort_out(labels, _label_reasons(batch, labels, depended_on))
    return found


def _label_reasons(
    batch: ImportBatch, labels: list[Label], depended_on: Collection[int]
) -> dict[int, str]:
    ids = [label.pk for label in labels]
    changes = TaxonomyChange.objects.filter(label__in=ids, undone_at__isnull=True)
    changed = set(changes.exclude(kind="create").values_list("label_id", flat=True))
    merged = Label.objects.filter(Q(merged_into__in=ids) | Q(parent__in=ids))
    for pair in merged.values_list("merged_into_id", "parent_id"):
        changed |= {one for one in pair if one is not None}
    changed |= {one.pk for one in labels if one.definition or one.hotkey or one.parent_id}
    reasons = dict.fromkeys(changed, "it was changed on the Taxonomy page")
    return reasons | dict.fromkeys(judged_by_others(batch, ids, depended_on), "it is in use")


def judged_by_others(
    batch: ImportBatch, label_ids: Collection[int], depended_on: Collection[int]
) -> set[int]:
    """Return those of the labels that answers judge which are not taken back."""
    judged = Judgement.objects.filter(label__in=label_ids).order_by()
    others = judged.filter(
        answer__annotation__in=_not_undone(
            Annotation.objects.filter(library=batch.library_id).exclude(batch=batch)
        )
    )
    found = set(others.values_list("label_id", flat=True).distinct())
    for ids in batches(depended_on, _STEP):
        kept = judged.filter(answer__annotation__in=ids)
        found |= set(kept.values_list("label_id", flat=True).distinct())
    return found


def _not_undone(events: QuerySet[Annotation]) -> QuerySet[Annotation]:
    """Leave out events that an undone import brought, and the retractions of the undo."""
    undo = Annotation.objects.filter(
        revises=OuterRef("pk"), idempotency_key__startswith=Annotation.UNDO_KEY
    )
    return events.filter(~Exists(undo)).exclude(idempotency_key__startswith=Annotation.UNDO_KEY)


def unused_annotators(batch: ImportBatch, depended_on_of: Collection[int]) -> Leftovers:
    """Sort out the annotators of an import; `depended_on_of` have answers that stay."""
    found = Leftovers()
    for ids in batches(Added.by(batch).annotators, _STEP):
        annotators = list(Annotator.objects.in_use().filter(pk__in=ids))
        found.sort_out(annotators, _annotator_reasons(batch, annotators, depended_on_of))
    return found


def _annotator_reasons(
    batch: ImportBatch, annotators: list[Annotator], depended_on_of: Collection[int]
) -> dict[int, str]:
    ids = [one.pk for one in annotators]
    of_them = {"annotator__in": ids}
    used: set[int] = {one.pk for one in annotators if one.user_id is not None}
    for rows in (
        EraCut.objects.filter(**of_them),
        Receipt.objects.filter(**of_them),
        Presentation.objects.filter(**of_them),
    ):
        used |= set(rows.values_list("annotator_id", flat=True))
    linked = Annotator.objects.filter(same_as__in=ids).annotate(to=F("same_as"))
    used |= set(linked.values_list("to", flat=True))
    others = _not_undone(Annotation.objects.filter(**of_them).exclude(batch=batch))
    with_answers = set(others.order_by().values_list("annotator_id", flat=True).distinct())
    reasons = dict.fromkeys(used, "it is in use")
    with_answers |= set(ids) & set(depended_on_of)
    return reasons | dict.fromkeys(with_answers, "it has other answers")
