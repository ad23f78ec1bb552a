"""Exports with one row per track: a catalogue that can be imported, and the consensus."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
from django.db.models import Count, Q

from labeling.loop.importing.csv.columns import COLUMN_LIMIT, FIELDS, facet_column, facet_named
from labeling.loop.library import taxonomy
from labeling.models import (
    Annotation,
    Annotator,
    CurrentAnswer,
    Judgement,
    Label,
    LabelSetMember,
    Library,
    Track,
)
from labeling.names import name_key
from ml.consistency.aggregation import majority
from ml.types import LabelMatrix

CHUNK = 500
YES = Judgement.YES
#: Column names that an import does not read as metadata.
_RESERVED = {"filename", "annotator", "annotated_at", *FIELDS}
Slot = tuple[str, datetime | None]


def cell_of(value: Any) -> str:
    """Return the cell text of a value."""
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)


class _Names:
    """Labels with merges resolved, in their order, and the facets they belong to."""

    def __init__(self, library: Library) -> None:
        self.merged = taxonomy.resolutions(library)
        self.facets = {facet.pk: facet for facet in library.facets.all()}
        rows = Label.objects.filter(facet__library=library).order_by("position", "id")
        self.names = {label.pk: label.name for label in rows}
        self.facet_of = {label.pk: label.facet_id for label in rows}
        self.order = {label_id: place for place, label_id in enumerate(self.names)}

    def resolved(self, label_id: int) -> int:
        return self.merged.get(label_id, label_id)

    def sorted(self, label_ids: set[int]) -> list[str]:
        return [self.names[one] for one in sorted(label_ids, key=self.order.__getitem__)]


def _chunks(library: Library) -> Iterator[list[Track]]:
    last = 0
    while True:
        rows = Track.objects.in_use().filter(library=library, pk__gt=last)
        tracks = list(rows.order_by("pk")[:CHUNK])
        if not tracks:
            return
        last = tracks[-1].pk
        yield tracks


# --- wide ---------------------------------------------------------------------------------
def wide_rows(library: Library) -> Iterator[list[str]]:
    """Yield the catalogue in the format of an import: current answers and all metadata.

    A row is one independent annotation of a track. A track that nobody has judged has one row
    without labels. Only labels judged yes are written; unsure and no have no cell here.
    """
    names = _Names(library)
    widths = _widths(library)
    extra = _extra_columns(library, len(FIELDS) + sum(widths.values()) + 3)
    labels = _label_columns(names, widths)
    yield ["filename", *FIELDS, "annotator", "annotated_at", *labels, *extra]
    for tracks in _chunks(library):
        annotations = _annotations([track.pk for track in tracks], names)
        for track in tracks:
            start = [track.key, *(getattr(track, name) for name in FIELDS)]
            end = [str(track.extra.get(name, "")) for name in extra]
            for (annotator, at), facets in annotations.get(track.pk, {("", None): {}}).items():
                cells = _label_cells(names, widths, facets)
                yield [*start, annotator, cell_of(at), *cells, *end]


def _label_columns(names: _Names, widths: dict[int, int]) -> list[str]:
    keys = {facet.name_key for facet in names.facets.values()}
    return [
        facet_column(names.facets[facet_id].name_key, number + 1, keys)
        for facet_id in names.facets
        for number in range(widths.get(facet_id, 0))
    ]


def _label_cells(
    names: _Names, widths: dict[int, int], facets: dict[int, set[int]]
) -> list[str]:
    cells: list[str] = []
    for facet_id in names.facets:
        labels = names.sorted(facets.get(facet_id, set()))
        cells += labels + [""] * (widths.get(facet_id, 0) - len(labels))
    return cells


def _widths(library: Library) -> dict[int, int]:
    """Return facet id -> the largest number of labels that one answer judges yes."""
    rows = (
        CurrentAnswer.objects.filter(track__library=library, answer__isnull=False)
        .annotate(n=Count("answer__judgements", filter=Q(answer__judgements__value=YES)))
        .order_by()
        .values_list("facet_id", "n")
    )
    widths: dict[int, int] = {}
    for facet_id, n in rows.iterator(chunk_size=5_000):
        widths[facet_id] = max(n, widths.get(facet_id, 0))
    return widths


def _extra_columns(library: Library, n_others: int) -> list[str]:
    """Return the metadata columns, without those that an import would read as something else.

    The file keeps within the column limit of an import.
    """
    found: dict[str, None] = {}
    in_use = Track.objects.in_use().filter(library=library)
    rows = in_use.exclude(extra={}).order_by("pk")
    for extra in rows.values_list("extra", flat=True).iterator(chunk_size=5_000):
        found |= dict.fromkeys(extra)
    facets = set(library.facets.values_list("name_key", flat=True))
    kept = [
        name
        for name in found
        if name_key(name) not in _RESERVED and not facet_named(name_key(name), facets)
    ]
    return kept[: max(0, COLUMN_LIMIT - n_others)]


def _annotations(
    track_ids: list[int], names: _Names
) -> dict[int, dict[Slot, dict[int, set[int]]]]:
    """Return track id -> (annotator, time) -> facet id -> labels judged yes."""
    rows = list(
        CurrentAnswer.objects.filter(track_id__in=track_ids, answer__isnull=False)
        .order_by("track_id", "annotator_id", "facet_id")
        .values_list(
            "track_id", "annotator__name", "facet_id", "answer_id", "answer__annotation_id"
        )
    )
    times = _times({row[4] for row in rows})
    yes: dict[int, set[int]] = defaultdict(set)
    judged = Judgement.objects.filter(answer_id__in=[row[3] for row in rows], value=YES)
    for answer_id, label_id in judged.values_list("answer_id", "label_id"):
        yes[answer_id].add(names.resolved(label_id))
    found: dict[int, dict[Slot, dict[int, set[int]]]] = defaultdict(dict)
    for track_id, annotator, facet_id, answer_id, event_id in rows:
        if answer_id in yes:
            slot = found[track_id].setdefault((annotator, times[event_id]), {})
            slot[facet_id] = yes[answer_id]
    return found


def _times(event_ids: set[int]) -> dict[int, datetime | None]:
    """Return the time of each event; a revision has the time of the event it revises."""
    known: dict[int, tuple[str, int | None, datetime | None]] = {}
    wanted = set(event_ids)
    while wanted:
        rows = Annotation.objects.filter(pk__in=wanted)
        for row in rows.values_list("id", "kind", "revises_id", "answered_at"):
            known[row[0]] = row[1:]
        wanted = {
            base
            for kind, base, _ in known.values()
            if kind == Annotation.Kind.REVISION and base is not None and base not in known
        }
    return {id_: _root_time(id_, known) for id_ in event_ids}


def _root_time(
    id_: int, known: dict[int, tuple[str, int | None, datetime | None]]
) -> datetime | None:
    kind, base, at = known[id_]
    while kind == Annotation.Kind.REVISION and base is not None:
        kind, base, at = known[base]
    return at


# --- consensus ----------------------------------------------------------------------------
def consensus_rows(library: Library) -> Iterator[list[str]]:
    """Yield, for each judged track, the labels that most of its annotators gave.

    A tie counts as no. Answers of models do not vote.
    """
    names = _Names(library)
    widths: dict[int, int] = {}
    for _, _, facets in _aggregated(library, names):
        for facet_id, labels in facets.items():
            widths[facet_id] = max(len(labels), widths.get(facet_id, 0))
    yield ["filename", "annotators", *_label_columns(names, widths)]
    for key, n_voters, facets in _aggregated(library, names):
        yield [key, str(n_voters), *_label_cells(names, widths, facets)]


def _aggregated(
    library: Library, names: _Names
) -> Iterator[tuple[str, int, dict[int, set[int]]]]:
    """Yield key, number of voters, and facet id -> labels of each judged track."""
    columns = [label_id for label_id in names.names if label_id not in names.merged]
    place = {label_id: n for n, label_id in enumerate(columns)}
    offers: dict[int, list[int]] = {}
    for tracks in _chunks(library):
        answers = _answers([track.pk for track in tracks])
        voters = Counter(track_id for track_id, _ in answers)
        judged = [track for track in tracks if track.pk in voters]
        rows = {track.pk: n for n, track in enumerate(judged)}
        indices = np.array([rows[track_id] for track_id, _ in answers], dtype=np.intp)
        votes = majority(_matrix(answers, names, place, offers), indices, len(judged))
        for n, track in enumerate(judged):
            facets: dict[int, set[int]] = defaultdict(set)
            for column in np.flatnonzero(votes.labels[n] & votes.label_mask[n]):
                facets[names.facet_of[columns[column]]].add(columns[column])
            yield track.key, voters[track.pk], facets


def _answers(track_ids: list[int]) -> dict[tuple[int, int], list[tuple[int, int, bool]]]:
    """Return (track, annotator) -> (answer id, label set id, is complete) of each facet."""
    rows = (
        CurrentAnswer.objects.filter(track_id__in=track_ids, answer__isnull=False)
        .exclude(annotator__kind=Annotator.Kind.MODEL)
        .order_by("track_id", "annotator_id")
    )
    found: dict[tuple[int, int], list[tuple[int, int, bool]]] = defaultdict(list)
    for row in rows.values_list(
        "track_id",
        "annotator_id",
        "answer_id",
        "answer__label_set_id",
        "answer__is_complete",
    ):
        found[row[:2]].append(row[2:])
    return found


def _matrix(
    by_annotator: dict[tuple[int, int], list[tuple[int, int, bool]]],
    names: _Names,
    place: dict[int, int],
    offers: dict[int, list[int]],
) -> LabelMatrix:
    """Return the labels of each track and annotator: yes, no, or not judged."""
    answers = [answer for facets in by_annotator.values() for answer in facets]
    _read_offers({answer[1] for answer in answers} - offers.keys(), names, place, offers)
    judgements: dict[int, list[tuple[int, int]]] = defaultdict(list)
    judged = Judgement.objects.filter(answer_id__in=[answer[0] for answer in answers])
    for answer_id, label_id, value in judged.order_by("value").values_list(
        "answer_id", "label_id", "value"
    ):
        judgements[answer_id].append((place[names.resolved(label_id)], value))
    labels = np.zeros((len(by_annotator), len(place)), dtype=bool)
    mask = np.zeros_like(labels)
    for row, facets in enumerate(by_annotator.values()):
        for answer_id, label_set_id, is_complete in facets:
            if is_complete:
                mask[row, offers[label_set_id]] = True
            for column, value in judgements[answer_id]:  # yes comes after unsure and no
                labels[row, column], mask[row, column] = value == YES, value != Judgement.UNSURE
    return LabelMatrix(labels, mask)


def _read_offers(
    missing: set[int], names: _Names, place: dict[int, int], offers: dict[int, list[int]]
) -> None:
    offers.update({label_set_id: [] for label_set_id in missing})
    rows = LabelSetMember.objects.filter(label_set_id__in=missing)
    for label_set_id, label_id in rows.values_list("label_set_id", "label_id"):
        offers[label_set_id].append(place[names.resolved(label_id)])
