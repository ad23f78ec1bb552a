"""Repeats: an annotator's own old tracks, served again blind to measure self-agreement."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from labeling.loop.serving import random_order
from labeling.models import (
    Annotation,
    Annotator,
    CurrentAnswer,
    Presentation,
    QueueItem,
    Round,
)
from labeling.models.queue import Stratum
from labeling.writing import short_write


def lay_out(round_: Round, annotator: Annotator) -> None:
    """Reserve one of the annotator's own old tracks, drawn at random, for a blind repeat.

    A random moment since their first answer is drawn; the first judgement after it is taken
    whose track the annotator has not labelled again since.
    """
    skipped = Presentation.objects.filter(
        item=OuterRef("pk"), annotator=annotator, outcome=Presentation.Outcome.SKIPPED
    )
    waiting = QueueItem.objects.filter(round=round_, reserved_for=annotator, is_open=1)
    if waiting.filter(~Exists(skipped)).exists():
        return
    cutoff = timezone.now() - timedelta(days=annotator.library.repeat_min_days)
    own = _repeatable(annotator, cutoff)
    first = own.order_by("answered_at").values_list("answered_at", flat=True).first()
    if first is None:
        return
    moment = first + random.random() * (cutoff - first)  # noqa: S311 - a sample, no secret
    drawn = (
        own.filter(answered_at__gte=moment).order_by("answered_at").first()
        or own.order_by("answered_at").first()
    )
    if drawn is None:
        return
    with short_write():
        QueueItem.objects.create(
            round=round_,
            track_id=drawn.track_id,
            stratum=Stratum.REPEAT,
            strategy="own-old-track",
            rank=random_order.next_ranks(round_, 1),
            reason="a track to compare with",
            reserved_for=annotator,
        )


def _repeatable(annotator: Annotator, cutoff: datetime) -> QuerySet[Annotation]:
    own = Annotation.objects.filter(annotator=annotator, kind=Annotation.Kind.JUDGEMENT)
    # Coalesce keeps SQLite from reading all later answers to find the track.
    again = own.annotate(at=Coalesce("answered_at", "recorded_at")).filter(
        track=OuterRef("track"), at__gt=OuterRef("answered_at")
    )
    holds = CurrentAnswer.objects.filter(
        annotator=annotator, track=OuterRef("track"), answer__isnull=False
    )
    had = Presentation.objects.filter(
        annotator=annotator, track=OuterRef("track"), stratum=Stratum.REPEAT
    )
    return own.filter(~Exists(again), ~Exists(had), Exists(holds), answered_at__lt=cutoff)
