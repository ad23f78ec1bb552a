"""Serving: which track an annotator gets next, for how long, and why.

Items of a round are claimed by a conditional update (`remaining > 0`) in a short transaction;
the constraints of Presentation forbid the rest, so a track is never given to more annotators
than wanted. Audit, overlap and explore tracks come in random order (`random_key`), in portions
that are added when needed: the first request adds the next portion, the others use it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError
from django.db.models import F, QuerySet
from django.utils import timezone

from labeling.errors import BadInput, QueueEmpty
from labeling.loop.library import libraries
from labeling.loop.serving import claimable, random_order, repeats
from labeling.loop.serving.leases import expire_leases, queue_behind
from labeling.loop.serving.strata import FALLBACK, pattern_of
from labeling.models import (
    Annotator,
    Library,
    Presentation,
    QueueItem,
    Round,
    Track,
)
from labeling.models.queue import Stratum
from labeling.writing import short_write

Outcome = Presentation.Outcome
AfterClaim = Callable[[Presentation, Library], object]
#: Claims that other annotators may win before we try another stratum.
TRIES = 20
MAX_AHEAD = 3
#: Seconds between two checks of a process for leases that ran out.
LOOK_EVERY_S = 2.0


def serve(
    annotator: Annotator, *, ahead: int = 0, after_claim: AfterClaim | None = None
) -> list[Presentation]:
    """Serve an annotator: return their open presentations first, then newly leased ones.

    1. Give back leases that ran out, unless that was checked a moment ago.
    2. Keep the caller's open presentations, with a new lease.
    3. Lease more until there are 1 + `ahead`.
    4. Before answering that nothing is left, give back leases that ran out in any case.

    `after_claim` is called with each new presentation, outside the transaction that took it.
    """
    wanted = 1 + max(0, min(ahead, MAX_AHEAD))
    library = annotator.library
    if _is_time_to_look(library):
        expire_leases(library, limit=20)
    shown = _keep_and_lease(annotator, wanted, after_claim)
    if not shown and expire_leases(library, limit=20):
        shown = _keep_and_lease(annotator, wanted, after_claim)
    if not shown:
        raise QueueEmpty("there are no more tracks for you to label at the moment")
    for presentation in shown:
        presentation.library = presentation.track.library = library  # known: not read again
    return shown


def _keep_and_lease(
    annotator: Annotator, wanted: int, after_claim: AfterClaim | None
) -> list[Presentation]:
    shown = list(open_presentations(annotator))
    if shown:
        until = heartbeat(annotator)
        for presentation in shown:
            presentation.lease_until = until
    while len(shown) < wanted:
        leased = _lease_one(annotator, wanted)
        if leased is None:  # nothing is left, or another window of the annotator was faster
            shown = list(open_presentations(annotator))
            break
        if after_claim is not None:
            after_claim(leased, annotator.library)
        shown.append(leased)
    return shown[:wanted]


def open_presentations(annotator: Annotator) -> QuerySet[Presentation]:
    """Return the annotator's open presentations, the oldest first.

    By time, not by id: to order by id, SQLite would read all of them.
    """
    return (
        Presentation.objects.filter(annotator=annotator, outcome=Outcome.OPEN)
        .select_related("track__audio", "item")
        .order_by("presented_at", "id")
    )


def heartbeat(annotator: Annotator) -> datetime:
    """Renew the leases of the annotator's open presentations; return until when."""
    until = timezone.now() + timedelta(minutes=annotator.library.lease_minutes)
    with short_write():
        Presentation.objects.filter(annotator=annotator, outcome=Outcome.OPEN).update(
            lease_until=until
        )
    return until


def _lease_one(annotator: Annotator, wanted: int) -> Presentation | None:
    """Lease one more track, or return None if nothing is left or another window was faster."""
    round_ = live_round(annotator.library)
    for stratum in _strata(annotator):
        presentation = _lease_from(round_, stratum, annotator, wanted)
        if presentation is not None:
            return presentation
    return None


def _strata(annotator: Annotator) -> Iterator[str]:
    """Yield the stratum whose turn it is, then the other strata that may be served."""
    pattern = pattern_of(annotator.library)
    drawn = pattern[annotator.served % len(pattern)]
    yield drawn
    yield from (stratum for stratum in FALLBACK if stratum != drawn)


def live_round(library: Library) -> Round:
    """Return the live round; the first one, in random order, is created here."""
    live = Round.objects.filter(library=library, state=Round.State.LIVE).first()
    if live is not None:
        live.library = library  # known: not read again
        return live
    try:
        with short_write():
            last = library.rounds.order_by("-number").first()
            return Round.objects.create(
                library=library,
                number=last.number + 1 if last else 1,
                state=Round.State.LIVE,
                strategy="random",
                live_at=timezone.now(),
            )
    except IntegrityError:
        return Round.objects.get(library=library, state=Round.State.LIVE)


def _lease_from(
    round_: Round, stratum: str, annotator: Annotator, wanted: int
) -> Presentation | None:
    if stratum == Stratum.REPEAT:
        repeats.lay_out(round_, annotator)
    for _ in range(TRIES):
        presentation, was_there = _claim(round_, stratum, annotator, wanted)
        if presentation is not None:
            return presentation
        if not was_there and not random_order.extend(round_, stratum):
            # At the end of the order, try again: another request may just have added a portion.
            return _claim(round_, stratum, annotator, wanted)[0]
    return None


def _claim(
    round_: Round, stratum: str, annotator: Annotator, wanted: int
) -> tuple[Presentation | None, bool]:
    """Try to claim the best item; return (presentation or None, whether there was an item)."""
    try:
        with short_write():
            queue_behind(annotator)
            if open_presentations(annotator).count() >= wanted:
                return None, False  # the annotator's other window has taken one
            item = (
                claimable.claimable(round_, stratum, annotator)
                .select_related("track__audio")
                .first()
            )
            if item is None:
                return None, False
            if not _may_be_served(item, annotator.library):
                _withdraw(item)
                return None, True
            taken = QueueItem.objects.filter(pk=item.pk, remaining__gt=0).update(
                remaining=F("remaining") - 1
            )
            return (_open(item, annotator), True) if taken else (None, True)
    except IntegrityError:
        return None, True


def _may_be_served(item: QueueItem, library: Library) -> bool:
    """Say whether a queued track may still be served in its stratum.

    An import may have moved it to the audit side since, or its file may be unreadable or of a
    kind that browsers cannot play.
    """
    track = item.track
    if track.state == Track.State.WITHDRAWN:
        return False
    if item.stratum in (Stratum.ACQUIRE, Stratum.EXPLORE) and track.is_audit:
        return False
    is_heard = track.state == Track.State.READY and not (track.audio and track.audio.unplayable)
    return is_heard or not random_order.library_has_audio(library)


def _withdraw(item: QueueItem) -> None:
    """Remove an item from the round; its presentations stay."""
    if Presentation.objects.filter(item=item).exists():
        QueueItem.objects.filter(pk=item.pk).update(needed=0, remaining=0)
    else:
        QueueItem.objects.filter(pk=item.pk).delete()


def _open(item: QueueItem, annotator: Annotator) -> Presentation:
    now = timezone.now()
    Annotator.objects.filter(pk=annotator.pk).update(served=F("served") + 1)
    annotator.served += 1
    return Presentation.objects.create(
        library_id=annotator.library_id,
        track=item.track,
        annotator=annotator,
        item=item,
        stratum=item.stratum,
        strategy=item.strategy,
        probability=item.probability,
        reason=item.reason,
        model_version_id=item.model_version_id,
        guideline=libraries.guideline_in_force(annotator.library),
        presented_at=now,
        lease_until=now + timedelta(minutes=annotator.library.lease_minutes),
    )


# --- closing -------------------------------------------------------------------------------


def find_presentation(annotator: Annotator, token: str) -> Presentation:
    """Return the annotator's presentation of this token."""
    rows = Presentation.objects.filter(annotator=annotator, token=token)
    found = rows.select_related("track").first()
    if found is None:
        raise BadInput("no presentation of yours has this token: ask for the next track")
    return found


_looked_at: dict[int, float] = {}
_looking = threading.Lock()


def _is_time_to_look(library: Library) -> bool:
    """Say whether it is time to check the library for leases that ran out."""
    now = time.monotonic()
    with _looking:
        if now - _looked_at.get(library.pk, -LOOK_EVERY_S) < LOOK_EVERY_S:
            return False
        _looked_at[library.pk] = now
        return True


def preview_queue(
    library: Library, *, annotator: Annotator | None = None, count: int
) -> list[QueueItem]:
    """Return what would be served next, without leasing; add portions as needed."""
    round_ = live_round(library)
    served = annotator.served if annotator else 0
    pattern = pattern_of(library)
    looked_at: dict[str, Sequence[QueueItem]] = {}
    items: list[QueueItem] = []
    for turn in range(served, served + count):
        drawn = pattern[turn % len(pattern)]
        for stratum in (drawn, *FALLBACK):
            if stratum not in looked_at:
                looked_at[stratum] = _look(round_, stratum, annotator, count)
            rest = [item for item in looked_at[stratum] if item not in items]
            if rest:
                items.append(rest[0])
                break
    return items


def _look(
    round_: Round, stratum: str, annotator: Annotator | None, count: int
) -> Sequence[QueueItem]:
    """Return the best open items of a stratum; add portions as needed."""
    items = _open_items(round_, stratum, annotator, count)
    while len(items) < count and random_order.extend(round_, stratum):
        items = _open_items(round_, stratum, annotator, count)
    return items


def _open_items(
    round_: Round, stratum: str, annotator: Annotator | None, count: int
) -> list[QueueItem]:
    if annotator is None:
        items = QueueItem.objects.filter(
            round=round_, stratum=stratum, is_open=1, reserved_for__isnull=True
        ).order_by("rank")
    else:
        items = claimable.not_had(round_, stratum, annotator)
    return list(items.select_related("track")[:count])
