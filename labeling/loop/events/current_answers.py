"""Current answers: kept equal to a replay of the events, and rebuilt on demand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.db.models import Q

from labeling.batching import batches
from labeling.loop.events.replay import Event, holding
from labeling.models import Annotation, Annotator, Answer, CurrentAnswer, Library
from labeling.writing import short_write

CHUNK = 400


class _Row(NamedTuple):
    """The columns of an event that decide the current state."""

    id: int
    track_id: int
    kind: str
    revises_id: int | None
    derived_from_id: int | None
    answered_at: datetime | None


def project(annotator_id: int, track_ids: Iterable[int]) -> None:
    """Update current answers to their events, inside the caller's transaction.

    1. Load the annotator's events there, and on tracks that answers were derived from or to:
       an undo on one track may remove an answer from its alternate mixes.
    2. Replay them.
    3. Write only the rows that differ.
    """
    wanted = set(track_ids)
    for chunk in batches(sorted(wanted), CHUNK):
        tracks, events = _load(annotator_id, set(chunk))
        _write(annotator_id, tracks, holding(events))


def answers_after(event: Annotation) -> list[int]:
    """Return the current answers on the track of an event right after it was recorded."""
    _, events = _load(event.annotator_id, {event.track_id})
    held = holding(one for one in events if one.id <= event.pk)
    return list(held.get(event.track_id, {}).values())


def rebuild_current_answers(library: Library) -> int:
    """Rebuild the current answers of a library from its events; return how many changed."""
    changed = 0
    for annotator in Annotator.objects.filter(library=library):
        track_ids = (
            Annotation.objects.filter(annotator=annotator)
            .order_by("track_id")
            .values_list("track_id", flat=True)
            .distinct()
        )
        for chunk in batches(track_ids.iterator(chunk_size=CHUNK), CHUNK):
            with short_write():
                tracks, events = _load(annotator.pk, set(chunk))
                changed += _write(annotator.pk, tracks, holding(events))
    return changed


def _load(annotator_id: int, track_ids: set[int]) -> tuple[set[int], list[Event]]:
    """Return the events on these tracks, and on those linked to them by derived answers."""
    seen, new, rows = set[int](), set(track_ids), list[_Row]()
    while new:
        seen |= new
        found = Annotation.objects.filter(annotator_id=annotator_id, track_id__in=new)
        added = [_Row(*row) for row in found.order_by().values_list(*_Row._fields)]
        rows += added
        new = _linked(annotator_id, added) - seen
    answers: dict[int, dict[int, int]] = {}
    said = Answer.objects.filter(annotation_id__in=[row.id for row in rows])
    for annotation_id, facet_id, id_ in said.values_list("annotation_id", "facet_id", "id"):
        answers.setdefault(annotation_id, {})[facet_id] = id_
    return seen, [Event(*row, answers=answers.get(row.id, {})) for row in rows]


def _linked(annotator_id: int, rows: list[_Row]) -> set[int]:
    """Return the tracks of the sources of these events, and of their copies."""
    ids = {row.id for row in rows}
    bases = {row.derived_from_id for row in rows if row.derived_from_id is not None} - ids
    links = (
        Q(derived_from_id__in=ids) | Q(pk__in=bases) if bases else Q(derived_from_id__in=ids)
    )
    # The annotator is checked here: as a filter, SQLite would read all of their events.
    found = Annotation.objects.filter(links).order_by().values_list("track_id", "annotator_id")
    return {track_id for track_id, owner_id in found if owner_id == annotator_id}


def _write(annotator_id: int, track_ids: set[int], state: dict[int, dict[int, int]]) -> int:
    rows = {
        (row.track_id, row.facet_id): row
        for row in CurrentAnswer.objects.filter(
            annotator_id=annotator_id, track_id__in=track_ids
        )
    }
    wanted = {
        (track_id, facet_id): answer_id
        for track_id, answers in state.items()
        for facet_id, answer_id in answers.items()
    }
    changed = []
    for key, row in rows.items():
        if row.answer_id != wanted.get(key):
            row.answer_id = wanted.get(key)
            row.version += 1
            changed.append(row)
    new = [
        CurrentAnswer(
            annotator_id=annotator_id, track_id=key[0], facet_id=key[1], answer_id=answer_id
        )
        for key, answer_id in wanted.items()
        if key not in rows
    ]
    CurrentAnswer.objects.bulk_update(changed, ["answer_id", "version"], batch_size=200)
    CurrentAnswer.objects.bulk_create(new, batch_size=200)
    return len(changed) + len(new)
