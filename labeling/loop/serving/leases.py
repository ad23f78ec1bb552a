"""Leases: how a presentation ends (answered, skipped, released, expired) and comes back.

Every open or answered presentation of a queue item holds one of its places. The number of free
places is never counted up and down, but computed: the item is locked, the holders are counted,
the rest is free. So a late answer, an undo or a skip in any order can neither give a place out
twice nor lose one.
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
    """Close a presentation by a late answer, in the caller's transaction.

    1. It takes its place again if it expired, was released or was skipped. If the same track
       was served to the annotator again since, that presentation is released.
    2. If the annotator has answered or skipped the same item again since, the outcome stays as
       it is; the answer itself is recorded.
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
    """Skip a track with a reason: others are served it, this annotator is not.

    A skip after the lease ran out is recorded too, because it is a non-response.
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
    """Release a track without an answer."""
    _refuse_answered(presentation)
    with short_write():
        _close(presentation, Outcome.RELEASED, timezone.now())


def _refuse_answered(presentation: Presentation) -> None:
    if presentation.outcome == Outcome.ANSWERED:
        raise BadInput("this track is already answered: undo the answer first")


def _close(presentation: Presentation, outcome: str, now: datetime, reason: str = "") -> bool:
    """Close an open presentation and give its place back, once."""
    closed = Presentation.objects.filter(pk=presentation.pk, outcome=Outcome.OPEN).update(
        outcome=outcome, closed_at=now, skip_reason=reason[:200]
    )
    if closed:
        _settle(presentation.item_id)
    return bool(closed)


def _settle(item_id: int | None) -> int:
    """Compute the free places; return how many more are held than were wanted."""
    if item_id is None:
        return 0
    rows = QueueItem.objects.filter(pk=item_id)
    if connection.features.has_select_for_update:
        rows.select_for_update().only("pk").first()  # claims wait for the lock; then count
    needed = rows.values_list("needed", flat=True)[0]
    held = Presentation.objects.filter(item_id=item_id, outcome__in=_HOLDING).count()
    rows.update(remaining=max(0, needed - held))
    return max(0, held - needed)


def reopen(presentation: Presentation) -> None:
    """Put an answered track on its annotator's desk again (after an undo)."""
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
    """Put a skipped track on its annotator's desk again, unless somebody else has it now.

    Undoing twice is undoing once: an open presentation stays open.
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
        raise BadInput("this track is already on your desk") from error
    presentation.refresh_from_db()
    if presentation.outcome != Outcome.OPEN:
        raise BadInput(f"this presentation is {presentation.outcome}: there is no skip to undo")
    return presentation


def expire_leases(library: Library | None = None, *, limit: int = 500) -> int:
    """Give back leases that ran out; return how many."""
    now = timezone.now()
    # Of all libraries, by the index of open presentations: an index by library would be larger.
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
