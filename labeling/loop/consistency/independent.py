"""Independent annotations, which all consistency figures count, read from the events.

An independent annotation is an event of kind judgement or imported. It counts while it is live,
with the content of its newest live revision, facet by facet, on its own day. The reasons are in
docs/decisions/0009-what-consistency-counts.md.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db.models import Q

from labeling.batching import batches
from labeling.loop.events.replay import Event, live_ids, roots
from labeling.models import Annotation, Answer, Judgement, LabelSetMember, Library
from labeling.models.rollups import UNKNOWN_DAY

#: Rows per query: bounds memory and the length of a statement.
ROWS_A_READ = 1_000
#: Ranges per condition; with more of them, a list is shorter.
_MOST_RANGES = 8
_NONE: frozenset[int] = frozenset()
_Stored = tuple[int, int, bool]
_COUNTED = (
    Annotation.Kind.JUDGEMENT,
    Annotation.Kind.IMPORTED,
    Annotation.Kind.REVISION,
    Annotation.Kind.RETRACTION,
)
#: Before every dated answer: the source gives no date.
_OLDEST = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class IndependentAnnotation:
    """An independent annotation: the event that counts, without its content."""

    id: int
    annotator_id: int
    track_id: int
    answered_at: datetime.datetime | None
    stratum: str

    @property
    def order(self) -> tuple[datetime.datetime, int]:
        return self.answered_at or _OLDEST, self.id

    @property
    def day(self) -> datetime.date:
        return day_of(self.answered_at)


@dataclass(frozen=True, slots=True)
class CountedAnswer:
    """The current content of an independent annotation for one facet."""

    look: IndependentAnnotation
    facet_id: int
    label_set_id: int
    is_complete: bool
    yes: frozenset[int]
    unsure: frozenset[int]
    no: frozenset[int]


def among(field: str, ids: Sequence[int]) -> Q:
    """Select ids, as ranges if they are consecutive, like those of an import.

    A list of a thousand ids takes longer to parse than its rows take to read.
    """
    runs: list[list[int]] = []
    for id_ in sorted(ids):
        if runs and id_ == runs[-1][1] + 1:
            runs[-1][1] = id_
        else:
            runs.append([id_, id_])
    if not ids or len(runs) > _MOST_RANGES:
        return Q(**{f"{field}__in": ids})
    ranges = [Q(**{f"{field}__gte": first, f"{field}__lte": last}) for first, last in runs]
    return reduce(or_, ranges)


def day_of(moment: datetime.datetime | None) -> datetime.date:
    """Return the UTC date of an answer, or the day that means "unknown"."""
    return UNKNOWN_DAY if moment is None else moment.astimezone(datetime.UTC).date()


def independent_answers(
    library: Library, track_ids: Iterable[int], annotator_ids: Sequence[int] | None = None
) -> Iterator[CountedAnswer]:
    """Yield the independent answers to these tracks, oldest annotation of a track first."""
    for chunk in batches(sorted(set(track_ids)), ROWS_A_READ):
        looks, contents = _live_looks(library, chunk, annotator_ids)
        yield from _answers_of(looks, contents)


def _live_looks(
    library: Library, track_ids: Sequence[int], annotator_ids: Sequence[int] | None
) -> tuple[list[IndependentAnnotation], dict[int, list[int]]]:
    """Return the live annotations, and for each the live events of its chain, oldest first."""
    rows = Annotation.objects.filter(
        among("track_id", track_ids), library=library, kind__in=_COUNTED
    ).order_by()
    if annotator_ids is not None:
        rows = rows.filter(annotator_id__in=annotator_ids)
    looks: dict[int, IndependentAnnotation] = {}
    events: list[Event] = []
    for row in rows.values_list(
        "id", "annotator_id", "track_id", "kind", "revises_id", "answered_at", "stratum"
    ).iterator(chunk_size=5_000):
        id_, annotator_id, track_id, kind, revises_id, answered_at, stratum = row
        events.append(Event(id_, track_id, kind, revises_id))
        if kind in Annotation.INDEPENDENT:
            looks[id_] = IndependentAnnotation(
                id_, annotator_id, track_id, answered_at, stratum
            )
    return _chains(looks, events)


def _chains(
    looks: dict[int, IndependentAnnotation], events: list[Event]
) -> tuple[list[IndependentAnnotation], dict[int, list[int]]]:
    live, first = live_ids(events), roots(events)
    contents: dict[int, list[int]] = defaultdict(list)
    for id_ in sorted(live):
        root_id = first[id_].id
        if root_id in looks and root_id in live:
            contents[root_id].append(id_)
    ordered = sorted(
        (looks[id_] for id_ in contents), key=lambda look: (look.track_id, look.order)
    )
    return ordered, contents


def _answers_of(
    looks: list[IndependentAnnotation], contents: dict[int, list[int]]
) -> Iterator[CountedAnswer]:
    """Give each annotation, facet by facet, the answer of its newest live event with one."""
    answers = _answers([id_ for chain in contents.values() for id_ in chain])
    holding: list[tuple[IndependentAnnotation, dict[int, _Stored]]] = []
    for look in looks:
        by_facet: dict[int, _Stored] = {}
        for id_ in contents[look.id]:
            by_facet.update(answers.get(id_, {}))
        holding.append((look, by_facet))
    judged = _judgements([stored[0] for _, facets in holding for stored in facets.values()])
    for look, facets in holding:
        for facet_id, (answer_id, label_set_id, is_complete) in facets.items():
            values = judged.get(answer_id, {})
            yes, unsure, no = _with_value(values, Judgement.YES), _NONE, _NONE
            if len(yes) < len(values):
                unsure = _with_value(values, Judgement.UNSURE)
                no = _with_value(values, Judgement.NO)
            yield CountedAnswer(look, facet_id, label_set_id, is_complete, yes, unsure, no)


def _answers(annotation_ids: Sequence[int]) -> dict[int, dict[int, _Stored]]:
    """Return annotation id -> facet id -> (answer id, label set id, is complete)."""
    found: dict[int, dict[int, _Stored]] = defaultdict(dict)
    for chunk in batches(annotation_ids, ROWS_A_READ):
        rows = Answer.objects.filter(among("annotation_id", chunk)).values_list(
            "annotation_id", "facet_id", "id", "label_set_id", "is_complete"
        )
        for annotation_id, facet_id, answer_id, label_set_id, is_complete in rows:
            found[annotation_id][facet_id] = (answer_id, label_set_id, is_complete)
    return found


def _judgements(answer_ids: Sequence[int]) -> dict[int, dict[int, int]]:
    found: dict[int, dict[int, int]] = defaultdict(dict)
    for chunk in batches(answer_ids, ROWS_A_READ):
        rows = Judgement.objects.filter(among("answer_id", chunk))
        for answer_id, label_id, value in rows.values_list("answer_id", "label_id", "value"):
            found[answer_id][label_id] = value
    return found


def _with_value(values: dict[int, int], wanted: int) -> frozenset[int]:
    return frozenset(label_id for label_id, value in values.items() if value == wanted)


class Offers:
    """The labels on offer in each label set, read once."""

    def __init__(self, library: Library) -> None:
        self.labels_of: dict[int, frozenset[int]] = {}
        members: dict[int, set[int]] = defaultdict(set)
        rows = LabelSetMember.objects.filter(label_set__facet__library=library)
        for label_set_id, label_id in rows.values_list("label_set_id", "label_id"):
            members[label_set_id].add(label_id)
        self.labels_of = {key: frozenset(value) for key, value in members.items()}

    def judged(self, answer: CountedAnswer) -> frozenset[int]:
        """Return the labels that the answer gives or denies ("not asked" is neither)."""
        said = answer.yes | answer.no
        if not answer.is_complete:
            return said
        offered = self.labels_of.get(answer.label_set_id, frozenset())
        return (offered | said) - answer.unsure
