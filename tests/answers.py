"""Answers written row by row, as any history could have left them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

from labeling.loop.events.current_answers import project
from labeling.models import (
    Annotation,
    Answer,
    GuidelineVersion,
    Judgement,
    LabelSet,
    LabelSetMember,
)

_number = itertools.count(1)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def offer(labels) -> LabelSet:
    """Return a label set with exactly these labels."""
    name = ",".join(str(label.pk) for label in sorted(labels, key=lambda label: label.pk))
    facet = labels[0].facet
    found, is_new = LabelSet.objects.get_or_create(
        facet=facet,
        hash=name,
        defaults={"number": LabelSet.objects.filter(facet=facet).count() + 1},
    )
    if is_new:
        LabelSetMember.objects.bulk_create(
            [LabelSetMember(label_set=found, label=label) for label in labels]
        )
    return found


def say(
    annotator,
    track,
    yes=(),
    *,
    offered,
    unsure=(),
    no=(),
    complete=True,
    kind="judgement",
    at=None,
    guideline=0,
    revises=None,
    stratum="",
) -> Annotation:
    """Record an answer to the facet of the labels on offer, and project it."""
    annotation = Annotation.objects.create(
        library=annotator.library,
        track=track,
        annotator=annotator,
        kind=kind,
        revises=revises,
        guideline=GuidelineVersion.objects.get(library=annotator.library, number=guideline),
        answered_at=day(at) if at else None,
        idempotency_key=f"test {next(_number)}",
        request_hash="",
        stratum=stratum,
    )
    if kind != "retraction":
        answer = Answer.objects.create(
            annotation=annotation,
            facet=offered[0].facet,
            label_set=offer(offered),
            is_complete=complete,
        )
        for value, labels in ((1, yes), (0, unsure), (-1, no)):
            for label in labels:
                Judgement.objects.create(answer=answer, label=label, value=value)
    project(annotator.pk, [track.pk])
    return annotation


def retract(annotation) -> Annotation:
    return say(
        annotation.annotator,
        annotation.track,
        offered=(),
        kind="retraction",
        revises=annotation,
        at="2030-01-01",
    )
