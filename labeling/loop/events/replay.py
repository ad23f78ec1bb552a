"""Replay: the current answers, computed from the events alone.

An event is **live** unless a live retraction targets it; a revision is live only while the
event that it revises is live, a propagated event only while its source is live. Per facet, the
newest live event that answers it is current. "Newest" means: an own annotation before a
propagated one; then the answer time of the first event of the chain (so that correcting an old
answer does not make it newer than a later one; an unknown time is the oldest); then the order
of recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

_OLDEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Event:
    """One annotation, as far as the state needs it; `answers` is facet id -> answer id."""

    id: int
    track_id: int
    kind: str
    revises_id: int | None = None
    derived_from_id: int | None = None
    answered_at: datetime | None = None
    answers: Mapping[int, int] = field(default_factory=dict)


def live_ids(events: Iterable[Event]) -> set[int]:
    """Return the ids of the events that are live; needs all events these refer to.

    1. From the newest to the oldest, find what is retracted: a retraction is newer than what
       it retracts, and may itself be retracted (redo).
    2. From the oldest to the newest, drop events that depend on one that is not live.
    """
    ordered = sorted(events, key=lambda event: event.id)
    retracted: set[int] = set()
    for event in reversed(ordered):
        if event.kind == "retraction" and event.id not in retracted and event.revises_id:
            retracted.add(event.revises_id)
    live: set[int] = set()
    for event in ordered:
        base = _base(event)
        if event.id not in retracted and (base is None or base in live):
            live.add(event.id)
    return live


def _base(event: Event) -> int | None:
    """Return the event that this one depends on, if any."""
    if event.kind == "revision":
        return event.revises_id
    if event.kind == "propagated":
        return event.derived_from_id
    return None


def roots(events: Iterable[Event]) -> dict[int, Event]:
    """Return, for each event, the first event of its chain of revisions."""
    first: dict[int, Event] = {}
    for event in sorted(events, key=lambda event: event.id):
        is_edit = event.kind == "revision" and event.revises_id in first
        first[event.id] = first[event.revises_id] if is_edit else event  # type: ignore[index]
    return first


def holding(events: Iterable[Event]) -> dict[int, dict[int, int]]:
    """Return track id -> facet id -> answer id, for the events of one annotator."""
    events = list(events)
    live, first = live_ids(events), roots(events)
    best: dict[tuple[int, int], tuple[tuple[bool, datetime, int], int]] = {}
    for event in events:
        if event.id not in live:
            continue
        root = first[event.id]
        order = (root.kind != "propagated", root.answered_at or _OLDEST, event.id)
        for facet_id, answer_id in event.answers.items():
            key = (event.track_id, facet_id)
            if key not in best or best[key][0] < order:
                best[key] = (order, answer_id)
    state: dict[int, dict[int, int]] = {}
    for (track_id, facet_id), (_, answer_id) in best.items():
        state.setdefault(track_id, {})[facet_id] = answer_id
    return state
