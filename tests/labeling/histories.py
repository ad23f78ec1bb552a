"""Write events row by row: what is counted of them needs no code that records them."""

from __future__ import annotations

import datetime
import itertools

from labeling.loop.library import libraries
from labeling.models import (
    Annotation,
    Answer,
    DirtyKey,
    Facet,
    Judgement,
    LabelSet,
    LabelSetMember,
)
from labeling.models.rollups import UNKNOWN_DAY

_number = itertools.count(1)


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


def offer(labels) -> LabelSet:
    """Store these labels as a label set."""
    number = next(_number)
    row = LabelSet.objects.create(facet=labels[0].facet, number=number, hash=f"set{number}")
    LabelSetMember.objects.bulk_create(
        [LabelSetMember(label_set=row, label=label) for label in labels]
    )
    return row


def say(
    annotator,
    track,
    yes=(),
    *,
    offered,
    when="2024-01-10",
    kind="judgement",
    stratum="audit",
    unsure=(),
    no=(),
    revises=None,
    complete=True,
    derived_from=None,
    guideline=None,
) -> Annotation:
    """Record one event with one answer, and make it dirty."""
    library = annotator.library
    annotation = Annotation.objects.create(
        library=library,
        track=track,
        annotator=annotator,
        kind=kind,
        revises=revises,
        derived_from=derived_from,
        guideline=guideline or libraries.unknown_guideline(library),
        stratum="" if kind == "imported" else stratum,
        answered_at=at(when) if when else None,
        idempotency_key=f"key{next(_number)}",
        request_hash="",
    )
    if offered is not None:
        answer = Answer.objects.create(
            annotation=annotation,
            facet=Facet.objects.get(pk=offered.facet_id),
            label_set=offered,
            is_complete=complete,
        )
        for labels, value in ((yes, 1), (unsure, 0), (no, -1)):
            for label in labels:
                Judgement.objects.create(answer=answer, label=label, value=value)
    root = annotation
    while root.revises is not None:
        root = root.revises
    DirtyKey.objects.create(
        library=library,
        annotator=annotator,
        track=track,
        day=root.answered_at.date() if root.answered_at else UNKNOWN_DAY,
    )
    return annotation


def retract(annotation, when="2024-02-01") -> Annotation:
    return say(
        annotation.annotator,
        annotation.track,
        offered=None,
        kind="retraction",
        revises=annotation,
        when=when,
    )
