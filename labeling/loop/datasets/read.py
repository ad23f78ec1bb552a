"""Read the answers of a selection into a matrix of annotators and tracks by labels.

Stage: datasets. A label on offer is judged yes, judged no, or not judged. Not judged is never a
no: the blanks of a legacy catalogue count by the rule that the selection names.
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
    """Selected answers: one row per annotator and track, one column per active label.

    `annotators` and `tracks` are ids (n_rows,). `annotations` are the ids of the events read
    (n_events,), `event_annotators` and `event_tracks` the ids of their annotators and tracks.
    `criteria` are the current criteria, if the selection asks for them. `is_current`, of the
    shape of the matrix, is True for judgements by the current criteria, and False everywhere
    if there is no current curator.
    """

    columns: tuple[Column, ...]
    annotators: npt.NDArray[np.int64]
    tracks: npt.NDArray[np.int64]
    matrix: LabelMatrix
    annotations: npt.NDArray[np.int64]
    event_annotators: npt.NDArray[np.int64]
    event_tracks: npt.NDArray[np.int64]
    is_current: npt.NDArray[np.bool_]
    criteria: CurrentCriteria | None = None

    def of_tracks(self, track_ids: npt.NDArray[np.int64]) -> AnswerTable:
        """Return the answers about these tracks."""
        rows = np.flatnonzero(np.isin(self.tracks, track_ids))
        events = np.flatnonzero(np.isin(self.event_tracks, track_ids))
        return replace(
            self,
            annotators=self.annotators[rows],
            tracks=self.tracks[rows],
            matrix=self.matrix.rows(rows),
            annotations=self.annotations[events],
            event_annotators=self.event_annotators[events],
            event_tracks=self.event_tracks[events],
            is_current=self.is_current[rows],
        )


def read_answer_table(library: Library, selection: Selection) -> AnswerTable:
    """Return the answers of the selection as of now.

    1. Read the current answers, or the newest ones within a period, guideline or source.
    2. Take the active labels of the facets; merged labels count as their targets.
    3. Write the blanks as no if the rule allows it, then the judgements over them.
    4. If criteria are selected, remove the judgements by other criteria, label by label.
    """
    columns, column_of = _columns(library, selection)
    side = None
    if selection.criteria != "all":
        side = CriteriaSide(
            current_criteria(library), selection.criteria == "current", columns, column_of
        )
    if selection.reads_history:
        answers = _newest_within(library, selection, side)
    else:
        answers = _current(library, selection)
    pairs = sorted({(row.track_id, row.annotator_id) for row in answers})
    row_of = {pair: number for number, pair in enumerate(pairs)}
    shape = (len(pairs), len(columns))
    labels, mask = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    rows = {row.answer_id: row_of[row.track_id, row.annotator_id] for row in answers}
    _write_blanks(mask, answers, rows, column_of, _first_uses(library, selection, column_of))
    _write_judgements(labels, mask, library, rows, column_of)
    if side is not None:
        side.remove_others(labels, mask, answers, rows)
        is_current = mask & (selection.criteria == "current")
    else:
        current = current_side(library, columns, column_of)
        is_current = current.of_mask(mask, answers, rows) if current else np.zeros_like(mask)
    tracks, annotators = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    events = {row.annotation_id: (row.annotator_id, row.track_id) for row in answers}
    ids = sorted(events)
    by, on = np.array([events[pk] for pk in ids], np.int64).reshape(-1, 2).T
    return AnswerTable(
        columns=columns,
        annotators=annotators,
        tracks=tracks,
        matrix=LabelMatrix(labels, mask),
        annotations=np.array(ids, dtype=np.int64),
        event_annotators=by,
        event_tracks=on,
        is_current=is_current,
        criteria=side.criteria if side is not None else None,
    )


def _who(selection: Selection, prefix: str) -> Q:
    """Return the filter on annotators, below `prefix`."""
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
    """Return whether an event comes from a catalogue: imported, or revised by an import.

    For both it is unknown what a blank meant. An edit on the page was made with all labels
    in view.
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


def _selected(values: tuple[Any, ...]) -> SelectedAnswer:
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
    return [_selected(row) for row in rows.iterator(chunk_size=5_000)]


def _newest_within(
    library: Library, selection: Selection, side: CriteriaSide | None
) -> list[SelectedAnswer]:
    """Return, per annotator, track and facet, the newest live answer of the selection."""
    events = _live_events(library)
    newest: dict[tuple[int, int, int], tuple[Order, SelectedAnswer]] = {}
    for values in _answers(library, selection).iterator(chunk_size=5_000):
        row = _selected(values)
        event = events.get(row.annotation_id)
        if event is None or (selection.sources and event.source not in selection.sources):
            continue
        if side is not None and not side.takes(row):
            continue
        key = (row.annotator_id, row.track_id, row.facet_id)
        if key not in newest or newest[key][0] < event.order:
            newest[key] = (event.order, row)
    return [row for _, row in newest.values()]


def _answers(library: Library, selection: Selection) -> QuerySet[Answer, tuple[Any, ...]]:
    """Return the answers by the filters that the database can apply, as tuples of values."""
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


class LiveEvent(NamedTuple):
    """A live event: its place in the order of `replay`, and the source of its root."""

    order: Order
    source: str


def _live_events(library: Library) -> dict[int, LiveEvent]:
    """Return every live event by its id."""
    rows = library.annotations.order_by("id").values_list(
        "id", "track_id", "kind", "revises_id", "derived_from_id", "answered_at"
    )
    events = [Event(*row) for row in rows.iterator(chunk_size=5_000)]
    live, first = live_ids(events), roots(events)
    return {
        event.id: LiveEvent(
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
    """Return the columns of the matrix, and the column number of every label id."""
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
    """Return, per annotator, when each column was first judged yes (inf: never).

    Returns None if all blanks count as no. A yes without a date counts as the oldest, as in
    the order of answers. A yes that was retracted or revised, or that is on an audit track,
    does not count.
    """
    if selection.negatives == "closed":
        return None
    width = max(column_of.values(), default=-1) + 1
    uses: dict[int, npt.NDArray[np.float64]] = defaultdict(lambda: np.full(width, np.inf))
    if selection.negatives == "open":
        return uses
    given = Judgement.objects.filter(
        value=Judgement.YES,
        answer__annotation__library=library,
        answer__annotation__track__is_audit=False,
    ).values_list(
        "answer_id", "answer__annotation__annotator_id", "label_id",
        "answer__annotation__answered_at",
    )  # fmt: skip
    gone = _superseded_answers(library)
    for answer_id, annotator_id, label_id, at in given.order_by().iterator(chunk_size=5_000):
        if label_id in column_of and answer_id not in gone:
            first, column = uses[annotator_id], column_of[label_id]
            first[column] = min(first[column], _seconds(at))
    return uses


def _superseded_answers(library: Library) -> set[int]:
    """Return the answers that were retracted or replaced by a live revision."""
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
    answers: list[SelectedAnswer],
    rows: dict[int, int],
    column_of: dict[int, int],
    first_uses: FirstUses,
) -> None:
    """Mark the blanks of complete answers as judged no, as far as the rule allows."""
    offered = _offered({row.label_set_id for row in answers}, column_of)
    together: dict[tuple[int, int | None], list[SelectedAnswer]] = defaultdict(list)
    for row in answers:
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
    """Write no, then unsure, then yes, so that one yes is enough among merged labels."""
    cells: dict[int, list[tuple[int, int]]] = defaultdict(list)
    judgements = Judgement.objects.filter(answer__annotation__library=library)
    values = judgements.values_list("answer_id", "label_id", "value")
    for answer_id, label_id, value in values.iterator(chunk_size=5_000):
        if answer_id in rows and label_id in column_of:
            cells[value].append((rows[answer_id], column_of[label_id]))
    for value in (Judgement.NO, Judgement.UNSURE, Judgement.YES):
        if cells[value]:
            row, column = np.array(cells[value]).T
            mask[row, column] = value != Judgement.UNSURE
            labels[row, column] = value == Judgement.YES
