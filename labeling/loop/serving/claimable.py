"""Claimable items: which items of a round an annotator may get, best first.

The queries are written so that both engines scan the index of open items and stop after a few
rows, even if SQLite has no statistics: every subquery names two columns of an index.
"""

from __future__ import annotations

from django.db import connection
from django.db.models import CharField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet

from labeling.models import (
    Annotation,
    Annotator,
    CurrentAnswer,
    Presentation,
    QueueItem,
    Round,
)
from labeling.models.queue import Stratum

Outcome = Presentation.Outcome
#: Strategy of the items that ask again about tracks labelled under an older guideline.
ASKED_AGAIN = "new-guideline"


def claimable(round_: Round, stratum: str, annotator: Annotator) -> QuerySet[QueueItem]:
    """Return the claimable items, best first; skip those that others are claiming right now."""
    items = not_had(round_, stratum, annotator)
    if connection.features.has_select_for_update_skip_locked:
        return items.select_for_update(skip_locked=True, of=("self",))
    return items


def not_had(round_: Round, stratum: str, annotator: Annotator) -> QuerySet[QueueItem]:
    """Return the open items of a stratum that this annotator has not had, best first."""
    seen = Presentation.objects.filter(
        item=OuterRef("pk"),
        track=OuterRef("track"),
        annotator=annotator,
        outcome__in=[Outcome.OPEN, Outcome.ANSWERED, Outcome.SKIPPED],
    )
    # Of any item: a new round asks others. A track with new audio is asked about again.
    skipped = Presentation.objects.filter(
        Q(track__audio__probed_at__isnull=True)
        | Q(track__audio__probed_at__lte=F("closed_at")),
        track=OuterRef("track"),
        annotator=annotator,
        outcome=Outcome.SKIPPED,
    )
    before_me = Presentation.objects.filter(
        track=OuterRef("track"), annotator=annotator, outcome=Outcome.OPEN
    )
    items = QueueItem.objects.filter(round=round_, stratum=stratum, is_open=1).filter(
        ~Exists(seen), ~Exists(before_me)
    )
    if stratum == Stratum.REPEAT:
        items = items.filter(reserved_for=annotator)
    else:
        # Two filters, not one "or": PostgreSQL can join one subquery, but not a union of two.
        asked = ExpressionWrapper(OuterRef("strategy"), output_field=CharField())
        judged = CurrentAnswer.objects.alias(asked=asked).filter(
            ~Q(asked=ASKED_AGAIN),
            annotator=annotator,
            track=OuterRef("track"),
            answer__isnull=False,
        )
        # Annotators who labelled it under the older guideline are asked as well, once.
        since = Annotation.objects.alias(asked=asked).filter(
            asked=ASKED_AGAIN,
            annotator=annotator,
            track=OuterRef("track"),
            recorded_at__gte=round_.created_at,
        )
        items = items.filter(
            ~Exists(skipped), ~Exists(judged), ~Exists(since), reserved_for__isnull=True
        )
    return items.order_by("rank")
