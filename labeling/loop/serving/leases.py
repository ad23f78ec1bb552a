"""How a presentation ends: answered, skipped, released, expired; and how it comes back.

A place of a queue item is held by every presentation of it that is open or answered. What is
left to give is therefore never counted up and down here but settled: the item is locked, the
holders are counted, the rest remains. So a late answer, an undo or a skip in any order can
neither give a place out twice nor lose one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from labeling.errors import BadInput
from labeling.models import Annotator, Library, Presentation, QueueItem
from labeling.writing import short_write

Outcome = Presentation.Outcome
_HOLDING = (Outcome.OPEN, Outcome.ANSWERED)


def queue_behind(annotator: Annotator) -> None:
    """Wait for the annotator's other requests (SQLite has one writer anyhow)."""
    if connection.features.has_select_for_update:
        Annotator.objects.select_for_update().only("pk").get(pk=annotator.pk)


def close_open(presentation: Presentation, now: datetime) -> bool:
    """Close a presentation with an answer if it is open, in the caller's transaction.

    Its place stays taken. Return whether it was open.
    """
    row = Presentation.objects.filter(pk=presentation.pk, outcome=Outcome.OPEN)
    return bool(row.update(outcome=Outcome.ANSWERED, closed_at=now))


def close_late(presentation: Presentation, now: datetime) -> None:
    """Close with an answer what was not open any more; in the caller's transaction.

    1. A late one (expired, released or skipped meanwhile) takes its place again, and what was
       put before the annotator of the same track meanwhile is released: the answer is for it.
    2. Where the annotator answered or skipped the same item again meanwhile, the outcome
       stays as it is; the answer itself is recorded all the same.
    """
    row = Presentation.objects.filter(pk=presentation.pk)
    _release_others(presentation, now)
    try:
        with transaction.atomic():
            row.exclude(outcome=Outcome.ANSWERED).update(
                outcome=Outcome.ANSWERED, closed_at=now
            )
    except IntegrityError:
        return
    _settle(presentation.item_id)


def _release_others(presentation: Presentation, now: datetime) -> None:
    others = Presentation.objects.filter(
        track_id=presentation.track_id,
        annotator_id=presentation.annotator_id,
        outcome=Outcome.OPEN,
    ).exclude(pk=presentation.pk)
    for other in others:
        _close(other, Outcome.RELEASED, now)


def skip(presentation: Presentation, reason: str) -> None:
    """Put a track aside with a reason: it goes to others, and not to this annotator again.

    A skip that comes after the lease ran out is recorded too: it is a non-response.
    """
    _refuse_answered(presentation)
    with short_write():
        queue_behind(presentation.annotator)
        now = timezone.now()
        if _close(presentation, Outcome.SKIPPED, now, reason):
            return
        try:
            with transaction.atomic():
                Presentation.objects.filter(
                    pk=presentation.pk, outcome__in=[Outcome.EXPIRED, Outcome.RELEASED]
                ).update(outcome=Outcome.SKIPPED, closed_at=now, skip_reason=reason[:200])
        except IntegrityError:
            return  # the annotator has dealt with the same item again since


def release(presentation: Presentation) -> None:
    """Give a track back unanswered."""
    _refuse_answered(presentation)
    with short_write():
        _close(presentation, Outcome.RELEASED, timezone.now())


def _refuse_answered(presentation: Presentation) -> None:
    if presentation.outcome == Outcome.ANSWERED:
        raise BadInput("this track is answered already: undo the answer first")


def _close(presentation: Presentation, outcome: str, now: datetime, reason: str = "") -> bool:
    """Close an open presentation and give its place back, once."""
    closed = Presentation.objects.filter(pk=presentation.pk, outcome=Outcome.OPEN).update(
        outcome=outcome, closed_at=now, skip_reason=reason[:200]
    )
    if closed:
        _settle(presentation.item_id)
    return bool(closed)


def _settle(item_id: int | None) -> int:
    """Let remain what is not held; return how many more hold a place than were wanted."""
    if item_id is None:
        return 0
    rows = QueueItem.objects.filter(pk=item_id)
    if connection.features.has_select_for_update:
        rows.select_for_update().only("pk").first()  # who claims waits; then count
    needed = rows.values_list("needed", flat=True)[0]
    held = Presentation.objects.filter(item_id=item_id, outcome__in=_HOLDING).count()
    rows.update(remaining=max(0, needed - held))
    return max(0, held - needed)


def reopen(presentation: Presentation) -> None:
    """Put an answered track before its annotator again (after an undo)."""
    busy = Presentation.objects.filter(
        annotator_id=presentation.annotator_id,
        track_id=presentation.track_id,
        outcome=Outcome.OPEN,
    )
    if busy.exists():
        return
    Presentation.objects.filter(pk=presentation.pk, outcome=Outcome.ANSWERED).update(
        outcome=Outcome.OPEN, closed_at=None, lease_until=_lease_of(presentation)
    )


def _lease_of(presentation: Presentation) -> datetime:
    return timezone.now() + timedelta(minutes=presentation.annotator.library.lease_minutes)


def undo_skip(presentation: Presentation) -> Presentation:
    """Put a skipped track before its annotator again, unless somebody else took it meanwhile.

    Undoing twice is undoing once: what is open stays open.
    """
    row = Presentation.objects.filter(pk=presentation.pk)
    try:
        with short_write():
            queue_behind(presentation.annotator)
            reopened = row.filter(outcome=Outcome.SKIPPED).update(
                outcome=Outcome.OPEN,
                closed_at=None,
                skip_reason="",
                lease_until=_lease_of(presentation),
            )
            if reopened and _settle(presentation.item_id):
                raise BadInput("somebody else has this track now: it cannot be brought back")
    except IntegrityError as error:
        raise BadInput("this track is before you already") from error
    presentation.refresh_from_db()
    if presentation.outcome != Outcome.OPEN:
        raise BadInput(f"this presentation is {presentation.outcome}: there is no skip to undo")
    return presentation


def expire_leases(library: Library | None = None, *, limit: int = 500) -> int:
    """Give back what was leased and left; return how many."""
    now = timezone.now()
    # All libraries', by the index of what is open; one library's would be all it ever showed.
    late = Presentation.objects.filter(outcome=Outcome.OPEN, lease_until__lt=now)
    own = (
        presentation
        for presentation in late.order_by("lease_until")
        if library is None or presentation.library_id == library.pk
    )
    expired = 0
    for presentation in islice(own, limit):
        with short_write():
            expired += _close(presentation, Outcome.EXPIRED, now)
    return expired
