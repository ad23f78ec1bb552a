"""Answers of a catalogue as events: new, changed and unchanged ones.

A *slot* is one annotator's annotation of one track at one moment. The catalogue's answer to a
facet in a slot is new only if it differs both from the catalogue's last answer and from the
current answer. So importing the same file twice changes nothing, even after the annotator has
edited the answer by hand.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from labeling.batching import batches
from labeling.bulk_rows import insert_rows
from labeling.loop.events.current_answers import project
from labeling.loop.events.replay import Event, live_ids, roots
from labeling.loop.importing.labels import LabelSets
from labeling.models import Annotation, Answer, CurrentAnswer, DirtyKey, Judgement, Library
from labeling.models.rollups import UNKNOWN_DAY

Kind = Annotation.Kind
SlotKey = tuple[int, int, datetime | None]


@dataclass(frozen=True)
class CatalogueAnswer:
    """An answer of a catalogue: who, when, which track, facet id -> label ids."""

    track_id: int
    track_key: str
    annotator_id: int
    answered_at: datetime | None
    facets: dict[int, frozenset[int]]
    digest: str
    extra: dict[str, str] | None = None

    @property
    def slot(self) -> SlotKey:
        return self.track_id, self.annotator_id, self.answered_at


@dataclass
class Slot:
    """The state of a slot: facet id -> positive labels, as last imported and as current."""

    imported: dict[int, frozenset[int]] = field(default_factory=dict)
    current: dict[int, frozenset[int]] = field(default_factory=dict)
    newest_id: int | None = None
    newest_import_id: int | None = None
    n_imports: int = 0

    @property
    def base_id(self) -> int | None:
        """Return the event that a change of the catalogue revises: its own last one.

        If it revised an edit by hand instead, undoing the edit would remove the change too.
        """
        return self.newest_import_id or self.newest_id

    def news(self, said: CatalogueAnswer) -> list[int]:
        """Return the facets with a new answer."""
        return [
            facet_id
            for facet_id, labels in said.facets.items()
            if labels not in (self.imported.get(facet_id), self.current.get(facet_id))
        ]


def slots(
    track_ids: Iterable[int], annotator_ids: Iterable[int], merged: dict[int, int]
) -> dict[SlotKey, Slot]:
    """Read the slots of these tracks and annotators; `merged` resolves labels.

    An answer of the catalogue counts while it is live, and if somebody retracted it. An answer
    that ended because another event was retracted, or because its import was undone, counts as
    never imported.
    """
    events, sources = _events(set(track_ids), list(annotator_ids))
    live, first = live_ids(events), roots(events)
    said = _yes_labels([event.id for event in events], merged)
    taken_back = {
        event.revises_id
        for event in events
        if event.kind == Kind.RETRACTION
        and event.id in live
        and not sources[event.id][1].startswith(Annotation.UNDO_KEY)
    }
    annotator_of = {event_id: source[0] for event_id, source in sources.items()}
    found: dict[SlotKey, Slot] = defaultdict(Slot)
    for event in sorted(events, key=lambda event: event.id):
        if event.kind == Kind.RETRACTION:
            continue
        root = first[event.id]
        slot = found[(event.track_id, annotator_of[event.id], root.answered_at)]
        is_import = sources[event.id][1].startswith(Annotation.IMPORT_KEY)
        slot.n_imports += is_import
        if is_import and (event.id in live or event.id in taken_back):
            slot.imported.update(said.get(event.id, {}))
        if event.id in live:
            slot.current.update(said.get(event.id, {}))
            if is_import:
                slot.newest_import_id = event.id
            if root.kind != Kind.PROPAGATED:
                slot.newest_id = event.id
    return found


def _events(
    track_ids: set[int], annotator_ids: list[int]
) -> tuple[list[Event], dict[int, tuple[int, str]]]:
    """Return the events there and, by id, (annotator, idempotency key)."""
    rows = Annotation.objects.filter(annotator_id__in=annotator_ids).order_by()
    new = track_ids
    while new:  # whether a derived answer is live depends on its source
        linked = rows.filter(track_id__in=new, derived_from__isnull=False)
        new = set(linked.values_list("derived_from__track_id", flat=True)) - track_ids
        track_ids = track_ids | new
    events, sources = [], {}
    for *columns, annotator_id, source in rows.filter(track_id__in=track_ids).values_list(
        *("id", "track_id", "kind", "revises_id", "derived_from_id", "answered_at"),
        *("annotator_id", "idempotency_key"),
    ):
        events.append(Event(*columns))
        sources[columns[0]] = (annotator_id, source)
    return events, sources


def _yes_labels(
    event_ids: list[int], merged: dict[int, int]
) -> dict[int, dict[int, frozenset[int]]]:
    """Return event id -> facet id -> positive labels, resolved."""
    found: dict[int, dict[int, set[int]]] = defaultdict(dict)
    for ids in batches(event_ids, 900):
        rows = Answer.objects.filter(annotation_id__in=ids)
        answers = {
            id_: (event, facet)
            for id_, event, facet in rows.values_list("id", "annotation_id", "facet_id")
        }
        for event, facet in answers.values():
            found[event][facet] = set()
        judged = Judgement.objects.filter(
            answer__annotation_id__in=ids, value=Judgement.YES
        ).order_by()
        for answer_id, label_id in judged.values_list("answer_id", "label_id"):
            event, facet = answers[answer_id]
            found[event][facet].add(merged.get(label_id, label_id))
    return {
        event: {facet: frozenset(labels) for facet, labels in facets.items()}
        for event, facets in found.items()
    }


class Given(NamedTuple):
    """A written answer: its facet and its labels."""

    answer_id: int
    facet_id: int
    said: CatalogueAnswer


_EVENT = (
    "library_id",
    "track_id",
    "annotator_id",
    "kind",
    "revises_id",
    "guideline_id",
    "answered_at",
    "recorded_by_id",
    "batch_id",
    "idempotency_key",
    "request_hash",
    "extra",
)
_DIRTY = ("library_id", "annotator_id", "track_id", "day")


class Origin(NamedTuple):
    """The importing user, and the upload, if any."""

    by_id: int | None = None
    batch_id: int | None = None


NOBODY = Origin()


@dataclass
class ImportedAnswerWriter:
    """Writer of the new answers of a chunk: events, answers, judgements and dirty keys."""

    library: Library
    guideline_id: int
    label_sets: LabelSets
    origin: Origin = NOBODY

    def write(
        self, news: list[tuple[CatalogueAnswer, Slot, list[int]]], new_track_ids: set[int]
    ) -> None:
        """Write events inside the caller's transaction, then update current answers."""
        event_ids = insert_rows(
            Annotation, _EVENT, [self._event(said, slot) for said, slot, _ in news]
        )
        answers = [
            (event_id, facet_id, self.label_sets.of(facet_id))
            for event_id, (_, _, facet_ids) in zip(event_ids, news, strict=True)
            for facet_id in facet_ids
        ]
        answer_ids = insert_rows(Answer, ("annotation_id", "facet_id", "label_set_id"), answers)
        said_of = {event_id: one[0] for event_id, one in zip(event_ids, news, strict=True)}
        given = [
            Given(answer_id, facet_id, said_of[event_id])
            for answer_id, (event_id, facet_id, _) in zip(answer_ids, answers, strict=True)
        ]
        insert_rows(
            Judgement,
            ("answer_id", "label_id", "value"),
            [
                (one.answer_id, label_id, Judgement.YES)
                for one in given
                for label_id in sorted(one.said.facets[one.facet_id])
            ],
        )
        insert_rows(DirtyKey, _DIRTY, [self._dirty_key(said) for said, _, _ in news])
        self._project(given, new_track_ids)

    def _event(self, said: CatalogueAnswer, slot: Slot) -> tuple[Any, ...]:
        return (
            self.library.pk,
            said.track_id,
            said.annotator_id,
            (Kind.IMPORTED if slot.base_id is None else Kind.REVISION).value,
            slot.base_id,
            self.guideline_id,
            said.answered_at,
            self.origin.by_id,
            self.origin.batch_id,
            _source_key(said, slot.n_imports),
            said.digest,
            said.extra,
        )

    def _dirty_key(self, said: CatalogueAnswer) -> tuple[Any, ...]:
        day = said.answered_at.astimezone(UTC).date() if said.answered_at else UNKNOWN_DAY
        return self.library.pk, said.annotator_id, said.track_id, day

    def _project(self, given: list[Given], new_track_ids: set[int]) -> None:
        """Update current answers; if there is only one event, it is the current one."""
        looks: dict[tuple[int, int], set[datetime | None]] = defaultdict(set)
        for one in given:
            looks[_pair(one.said)].add(one.said.answered_at)
        simple = {
            pair for pair, at in looks.items() if len(at) == 1 and pair[1] in new_track_ids
        }
        insert_rows(
            CurrentAnswer,
            ("annotator_id", "track_id", "facet_id", "answer_id"),
            [
                (*_pair(one.said), one.facet_id, one.answer_id)
                for one in given
                if _pair(one.said) in simple
            ],
        )
        touched: dict[int, set[int]] = defaultdict(set)
        for annotator_id, track_id in looks.keys() - simple:
            touched[annotator_id].add(track_id)
        for annotator_id, track_ids in touched.items():
            project(annotator_id, track_ids)


def _pair(said: CatalogueAnswer) -> tuple[int, int]:
    return said.annotator_id, said.track_id


def _source_key(said: CatalogueAnswer, number: int) -> str:
    at = said.answered_at.astimezone(UTC).isoformat() if said.answered_at else ""
    digest = hashlib.sha256(f"{said.track_key}\0{at}".encode()).hexdigest()[:40]
    key = f"{Annotation.IMPORT_KEY}{digest}"
    return f"{key}:{number}" if number else key
