"""The answers of a selection, as a matrix.

Every answer gives yes, no or nothing for each label that was on offer. "Nothing" is never a
no: empty cells of a legacy catalogue count by the rule of the selection.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet

from labeling.loop.datasets.criteria import CurrentCriteria, current_criteria
from labeling.loop.datasets.selected import Column, CriteriaSide, SelectedAnswer, current_side
from labeling.loop.datasets.selection import Selection, period_of
from labeling.loop.events.replay import Event, live_ids, roots
from labeling.loop.library.taxonomy import resolutions
from labeling.models import (
    Annotation,
    Answer,
    CurrentAnswer,
    Facet,
    Judgement,
    Label,
    LabelSetMember,
    Library,
)
from labeling.names import name_key
from ml.types import LabelMatrix


@dataclass(frozen=True)
class AnswerTable:
    """One row per annotator and track, one column per active label.

    `annotators` and `tracks` are ids (n_rows,), `annotations` the ids of the events read,
    `authors` and `events_of` those of their annotators and tracks (n_events,). `present` says
    whose criteria are current, if the selection asks for that. `by_present`, of the shape of
    the matrix, says what was judged by them; it is empty if nobody's are current.
    """

    columns: tuple[Column, ...]
    annotators: npt.NDArray[np.int64]
    tracks: npt.NDArray[np.int64]
    matrix: LabelMatrix
    annotations: npt.NDArray[np.int64]
    authors: npt.NDArray[np.int64]
    events_of: npt.NDArray[np.int64]
    by_present: npt.NDArray[np.bool_]
    present: CurrentCriteria | None = None

    def of_tracks(self, track_ids: npt.NDArray[np.int64]) -> AnswerTable:
        """Return the rows of these tracks."""
        rows = np.flatnonzero(np.isin(self.tracks, track_ids))
        events = np.flatnonzero(np.isin(self.events_of, track_ids))
        return replace(
            self,
            annotators=self.annotators[rows],
            tracks=self.tracks[rows],
            matrix=self.matrix.rows(rows),
            annotations=self.annotations[events],
            authors=self.authors[events],
            events_of=self.events_of[events],
            by_present=self.by_present[rows],
        )


def read_answer_table(library: Library, selection: Selection) -> AnswerTable:
    """Return the answers of the selection as of now.

    1. The answers: the current ones, or the newest within a period or guideline.
    2. The labels: active ones of the facets; merged labels count as their target.
    3. Blanks become negatives if the rule allows it; then the judgements are written over.
    4. If criteria are selected, judgements by others are removed label by label.
    """
    columns, column_of = _columns(library, selection)
    side = None
    if selection.criteria != "all":
        side = CriteriaSide(
            current_criteria(library), selection.criteria == "current", columns, column_of
        )
    if selection.looks_back:
        held = _within(library, selection, side)
    else:
        held = _current(library, selection)
    pairs = sorted({(row.track_id, row.annotator_id) for row in held})
    row_of = {pair: number for number, pair in enumerate(pairs)}
    shape = (len(pairs), len(columns))
    labels, mask = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    rows = {row.answer_id: row_of[row.track_id, row.annotator_id] for row in held}
    _write_blanks(mask, held, rows, column_of, _first_uses(library, selection, column_of))
    _write_judgements(labels, mask, library, rows, column_of)
    if side is not None:
        side.take_out(labels, mask, held, rows)
        by_present = mask & (selection.criteria == "current")
    else:
        current = current_side(library, columns, column_of)
        by_present = current.of_mask(mask, held, rows) if current else np.zeros_like(mask)
    tracks, annotators = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    events = {row.annotation_id: (row.annotator_id, row.track_id) for row in held}
    ids = sorted(events)
    authors, events_of = np.array([events[pk] for pk in ids], np.int64).reshape(-1, 2).T
    return AnswerTable(
        columns,
        annotators,
        tracks,
        LabelMatrix(labels, mask),
        np.array(ids, dtype=np.int64),
        authors,
        events_of,
        by_present,
        side.present if side is not None else None,
    )


def _who(selection: Selection, prefix: str) -> Q:
    """Return the filter on annotators and facets, below `prefix`."""
    wanted = Q(**{f"{prefix}annotator__kind__in": selection.annotator_kinds})
    if selection.annotators:
        keys = [name_key(name) for name in selection.annotators]
        wanted &= Q(**{f"{prefix}annotator__name_key__in": keys})
    return wanted


def _facets(library: Library, selection: Selection) -> QuerySet[Facet]:
    facets = library.facets.all()
    if selection.facets:
        facets = facets.filter(name_key__in=[name_key(name) for name in selection.facets])
    return facets


def _of_catalogue(prefix: str) -> ExpressionWrapper:
    """Say whether an event comes from a catalogue: imported, or a changed row of an import.

    For both it is unknown what a blank meant; a person who edits on the page saw all labels.
    """
    kind = f"{prefix}kind"
    changed = Q(
        **{
            kind: Annotation.Kind.REVISION,
            f"{prefix}idempotency_key__startswith": Annotation.IMPORT_KEY,
        }
    )
    imported = Q(**{kind: Annotation.Kind.IMPORTED})
    return ExpressionWrapper(imported | changed, output_field=BooleanField())


def _held(values: tuple[Any, ...]) -> SelectedAnswer:
    *ids, is_complete, is_imported, answered_at, facet, guideline = values
    answer, annotation, annotator, track, label_set = ids
    return SelectedAnswer(
        answer_id=answer,
        annotation_id=annotation,
        annotator_id=annotator,
        track_id=track,
        label_set_id=label_set,
        is_complete=is_complete,
        is_imported=is_imported,
        answered_s=_seconds(answered_at),
        facet_id=facet,
        guideline=guideline,
    )


def _current(library: Library, selection: Selection) -> list[SelectedAnswer]:
    rows = CurrentAnswer.objects.filter(
        _who(selection, ""),
        track__library=library,
        facet__in=_facets(library, selection),
        answer__isnull=False,
    ).values_list(
        "answer_id",
        "answer__annotation_id",
        "annotator_id",
        "track_id",
        "answer__label_set_id",
        "answer__is_complete",
        _of_catalogue("answer__annotation__"),
        "answer__annotation__answered_at",
        "facet_id",
        "answer__annotation__guideline__number",
    )
    return [_held(row) for row in rows.iterator(chunk_size=5_000)]


def _within(
    library: Library, selection: Selection, side: CriteriaSide | None
) -> list[SelectedAnswer]:
    """Return, per annotator, track and facet, the newest live answer inside the filter."""
    events = _live_events(library)
    newest: dict[tuple[int, int, int], tuple[Order, SelectedAnswer]] = {}
    for values in _asked(library, selection).iterator(chunk_size=5_000):
        row = _held(values)
        event = events.get(row.annotation_id)
        if event is None or (selection.sources and event.source not in selection.sources):
            continue
        if side is not None and not side.takes(row):
            continue
        key = (row.annotator_id, row.track_id, row.facet_id)
        if key not in newest or newest[key][0] < event.order:
            newest[key] = (event.order, row)
    return [row for _, row in newest.values()]


def _asked(library: Library, selection: Selection) -> QuerySet[Answer, tuple[Any, ...]]:
    """Return the values of the answers that the database can filter."""
    start, end = period_of(selection)
    rows = Answer.objects.filter(
        _who(selection, "annotation__"),
        annotation__library=library,
        facet__in=_facets(library, selection),
    )
    if start:
        rows = rows.filter(annotation__answered_at__gte=start)
    if end:
        rows = rows.filter(
            Q(annotation__answered_at__lt=end) | Q(annotation__answered_at__isnull=True)
        )
    if selection.guidelines:
        rows = rows.filter(annotation__guideline__number__in=selection.guidelines)
    if selection.batches:
        rows = rows.filter(annotation__batch__in=selection.batches)
    return rows.values_list(
        "id",
        "annotation_id",
        "annotation__annotator_id",
        "annotation__track_id",
        "label_set_id",
        "is_complete",
        _of_catalogue("annotation__"),
        "annotation__answered_at",
        "facet_id",
        "annotation__guideline__number",
    )


Order = tuple[bool, float, int]


class Live(NamedTuple):
    """A live event: its place in the order of `replay`, and the source of its root."""

    order: Order
    source: str


def _live_events(library: Library) -> dict[int, Live]:
    """Return every live event by its id."""
    rows = library.annotations.order_by("id").values_list(
        "id", "track_id", "kind", "revises_id", "derived_from_id", "answered_at"
    )
    events = [Event(*row) for row in rows.iterator(chunk_size=5_000)]
    live, first = live_ids(events), roots(events)
    return {
        event.id: Live(
            (
                first[event.id].kind != Annotation.Kind.PROPAGATED,
                _seconds(first[event.id].answered_at),
                event.id,
            ),
            first[event.id].kind,
        )
        for event in events
        if event.id in live
    }


def _seconds(moment: datetime | None) -> float:
    return moment.timestamp() if moment else -math.inf


def _columns(
    library: Library, selection: Selection
) -> tuple[tuple[Column, ...], dict[int, int]]:
    """Return the labels of the matrix and, for every label id, the column it counts in."""
    labels = {
        label.pk: label for label in Label.objects.filter(facet__in=_facets(library, selection))
    }
    active = [
        label for label in labels.values() if label.is_active and not label.merged_into_id
    ]
    active.sort(key=lambda label: (label.facet_id, label.position, label.name_key))
    columns = tuple(
        Column(label.pk, label.uid.hex, label.name, label.facet_id) for label in active
    )
    place = {label.pk: number for number, label in enumerate(active)}
    column_of: dict[int, int] = {}
    resolve = resolutions(library)
    for label_id in labels:
        target = resolve.get(label_id, label_id)
        if target in place:
            column_of[label_id] = place[target]
    return columns, column_of


FirstUses = dict[int, npt.NDArray[np.float64]] | None


def _first_uses(library: Library, selection: Selection, column_of: dict[int, int]) -> FirstUses:
    """Return, per annotator, when each column was first ticked (inf: never), or None: closed.

    A tick without a date counts as the oldest, as in the order of answers; one that was
    retracted or revised, or is on an audit track, does not count.
    """
    if selection.negatives == "closed":
        return None
    width = max(column_of.values(), default=-1) + 1
    uses: dict[int, npt.NDArray[np.float64]] = defaultdict(lambda: np.full(width, np.inf))
    if selection.negatives == "open":
        return uses
    ticks = Judgement.objects.filter(
        value=Judgement.YES,
        answer__annotation__library=library,
        answer__annotation__track__is_audit=False,
    ).values_list(
        "answer_id", "answer__annotation__annotator_id", "label_id",
        "answer__annotation__answered_at",
    )  # fmt: skip
    gone = _answers_gone(library)
    for answer_id, annotator_id, label_id, at in ticks.order_by().iterator(chunk_size=5_000):
        if label_id in column_of and answer_id not in gone:
            first, column = uses[annotator_id], column_of[label_id]
            first[column] = min(first[column], _seconds(at))
    return uses


def _answers_gone(library: Library) -> set[int]:
    """Return the answers that are no longer current: retracted, or revised since."""
    undoing = (Annotation.Kind.RETRACTION, Annotation.Kind.REVISION)
    if not library.annotations.filter(kind__in=undoing).exists():
        return set()
    live = _live_events(library)
    answers = Answer.objects.filter(annotation__library=library)
    revising = answers.filter(annotation__kind=Annotation.Kind.REVISION)
    edits = revising.values_list("annotation_id", "annotation__revises_id", "facet_id")
    replaced = {(revised, facet) for event, revised, facet in edits if event in live}
    rows = answers.values_list("id", "annotation_id", "facet_id").iterator(chunk_size=5_000)
    return {pk for pk, event, facet in rows if event not in live or (event, facet) in replaced}


def _write_blanks(
    mask: npt.NDArray[np.bool_],
    held: list[SelectedAnswer],
    rows: dict[int, int],
    column_of: dict[int, int],
    first_uses: FirstUses,
) -> None:
    offered = _offered({row.label_set_id for row in held}, column_of)
    together: dict[tuple[int, int | None], list[SelectedAnswer]] = defaultdict(list)
    for row in held:
        if row.is_complete:
            rule = row.annotator_id if row.is_imported and first_uses is not None else None
            together[row.label_set_id, rule].append(row)
    for (label_set_id, annotator_id), members in together.items():
        columns = offered[label_set_id]
        places = np.array([rows[row.answer_id] for row in members])
        judged = np.ones((len(members), len(columns)), dtype=bool)
        if annotator_id is not None and first_uses is not None:
            times = np.array([row.answered_s for row in members])
            judged = times[:, None] >= first_uses[annotator_id][columns]
        mask[np.ix_(places, columns)] |= judged


def _offered(
    label_sets: set[int], column_of: dict[int, int]
) -> dict[int, npt.NDArray[np.intp]]:
    members: dict[int, set[int]] = {number: set() for number in label_sets}
    rows = LabelSetMember.objects.values_list("label_set_id", "label_id")
    for label_set_id, label_id in rows.iterator(chunk_size=5_000):
        if label_set_id in members and label_id in column_of:
            members[label_set_id].add(column_of[label_id])
    return {number: np.array(sorted(those), dtype=np.intp) for number, those in members.items()}


def _write_judgements(
    labels: npt.NDArray[np.bool_],
    mask: npt.NDArray[np.bool_],
    library: Library,
    rows: dict[int, int],
    column_of: dict[int, int],
) -> None:
    """Write no, then unsure, then yes: for merged labels, one tick is enough."""
    said: dict[int, list[tuple[int, int]]] = defaultdict(list)
    judgements = Judgement.objects.filter(answer__annotation__library=library)
    values = judgements.values_list("answer_id", "label_id", "value")
    for answer_id, label_id, value in values.iterator(chunk_size=5_000):
        if answer_id in rows and label_id in column_of:
            said[value].append((rows[answer_id], column_of[label_id]))
    for value in (Judgement.NO, Judgement.UNSURE, Judgement.YES):
        if said[value]:
            row, column = np.array(said[value]).T
            mask[row, column] = value != Judgement.UNSURE
            labels[row, column] = value == Judgement.YES
