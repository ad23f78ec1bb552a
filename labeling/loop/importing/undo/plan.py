"""Plan of an undo for some tracks: the answers to retract and the tracks to withdraw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from labeling.loop.events.replay import Event, live_ids
from labeling.models import Annotation, ImportBatch, ImportedChange, Presentation, Track

Kind = Annotation.Kind
_Outcome = Presentation.Outcome
#: A track served to somebody is work, unless they only let it lie.
_WORK = (_Outcome.OPEN, _Outcome.SKIPPED, _Outcome.ANSWERED)


class ImportedEvent(NamedTuple):
    """The columns of an event that an undo needs."""

    id: int
    track_id: int
    kind: str
    revises_id: int | None
    derived_from_id: int | None
    answered_at: datetime | None
    annotator_id: int
    annotator__name: str
    batch_id: int | None
    idempotency_key: str
    uid: UUID
    guideline_id: int
    stratum: str

    @property
    def is_undo(self) -> bool:
        return self.idempotency_key.startswith(Annotation.UNDO_KEY)


@dataclass
class TracksPlan:
    """Steps of an undo on some tracks.

    Attributes
    ----------
    retract : events to retract, the newest first.
    depended_on : events of the import that stay, because later work depends on them.
    withdraw : ids of the tracks to withdraw.
    restore : tracks whose facts were changed -> the changes, the newest first.
    kept_tracks, kept_answers : (name, why) of what stays.
    """

    retract: list[ImportedEvent] = field(default_factory=list)
    depended_on: list[ImportedEvent] = field(default_factory=list)
    withdraw: list[int] = field(default_factory=list)
    restore: dict[int, list[ImportedChange]] = field(default_factory=dict)
    kept_tracks: list[tuple[str, str]] = field(default_factory=list)
    kept_answers: list[tuple[str, str]] = field(default_factory=list)


def plan_tracks(batch: ImportBatch, tracks: Collection[Track]) -> TracksPlan:
    """Plan the undo of an import for these tracks.

    1. Retract its live answers, except those that a later event revises or copies.
    2. Withdraw the tracks that it created and that nobody and no other import has touched.
    3. Restore the facts that it changed on tracks that were there before.
    """
    plan = TracksPlan()
    events = _events_on([track.pk for track in tracks])
    keys = {track.pk: track.key for track in tracks}
    _plan_answers(plan, batch.pk, events, keys)
    own = [
        track
        for track in tracks
        if track.batch_id == batch.pk and track.state != Track.State.WITHDRAWN
    ]
    reasons = _reasons_to_keep(batch.pk, own, events, plan)
    for track in own:
        if track.pk in reasons:
            plan.kept_tracks.append((track.key, reasons[track.pk]))
        else:
            plan.withdraw.append(track.pk)
    others = [track.pk for track in tracks if track.batch_id != batch.pk]
    for change in batch.changes.filter(track__in=others).order_by("-pk"):
        plan.restore.setdefault(change.track_id, []).append(change)
    return plan


def _events_on(track_ids: list[int]) -> list[ImportedEvent]:
    rows = Annotation.objects.filter(track_id__in=track_ids).order_by("id")
    return [ImportedEvent(*row) for row in rows.values_list(*ImportedEvent._fields)]


def _plan_answers(
    plan: TracksPlan, batch_id: int, events: list[ImportedEvent], keys: dict[int, str]
) -> None:
    live = live_ids(Event(*event[:6]) for event in events)
    own = {event.id for event in events if event.batch_id == batch_id}
    base = {event.id: event.revises_id for event in events if event.kind == Kind.REVISION}
    needed = _copied(own)
    for event in events:
        if event.id in live and event.id not in own and event.kind == Kind.REVISION:
            at: int | None = event.revises_id
            while at is not None:
                needed.add(at)
                at = base.get(at)
    standing = own & live
    for event in reversed(events):
        if event.id not in standing or event.kind == Kind.RETRACTION:
            continue
        if event.id in needed:
            plan.depended_on.append(event)
            name = f"{keys[event.track_id]}, {event.annotator__name}"
            plan.kept_answers.append((name, "it was revised or copied later"))
        else:
            plan.retract.append(event)


def _copied(event_ids: set[int]) -> set[int]:
    """Return those of the events that have a copy on another mix that still stands."""
    copies = Annotation.objects.filter(kind=Kind.PROPAGATED, derived_from__in=event_ids)
    standing = copies.exclude(revised_by__kind=Kind.RETRACTION)
    return {one for one in standing.values_list("derived_from", flat=True) if one is not None}


def _reasons_to_keep(
    batch_id: int, own: list[Track], events: list[ImportedEvent], plan: TracksPlan
) -> dict[int, str]:
    """Return track id -> why it stays, for those of these tracks that somebody touched."""
    ids = {track.pk for track in own}
    undone = {event.revises_id for event in events if event.is_undo}
    reasons: dict[int, str] = {}
    others = ImportedChange.objects.filter(track__in=ids).exclude(batch=batch_id)
    for track_id in others.values_list("track_id", flat=True):
        reasons[track_id] = "a later import changed it"
    served = Presentation.objects.filter(track__in=ids, outcome__in=_WORK)
    for track_id, name in served.values_list("track_id", "annotator__name"):
        reasons[track_id] = f"it was served to {name}"
    by_track: dict[int, set[str]] = defaultdict(set)
    for event in events:
        is_later = event.batch_id != batch_id and not event.is_undo and event.id not in undone
        if is_later and event.track_id in ids:
            by_track[event.track_id].add(event.annotator__name)
    for event in plan.depended_on:
        by_track[event.track_id].add(event.annotator__name)
    for track_id, names in by_track.items():
        reasons[track_id] = f"it has answers of {', '.join(sorted(names))}"
    return reasons
