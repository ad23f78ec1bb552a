"""Exports with a row a track: the catalogue as it could come in again, and the consensus."""

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
#: What an import reads under these names is not metadata.
_RESERVED = {"filename", "annotator", "annotated_at", *FIELDS}
Slot = tuple[str, datetime | None]


def cell_of(value: Any) -> str:
    """Return a value as the cell that says it."""
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)


class _Names:
    """Labels by what they stand for, in their order, and the facets they belong to."""

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
        rows = Track.objects.filter(library=library, pk__gt=last).order_by("pk")[:CHUNK]
        tracks = list(rows)
        if not tracks:
            return
        last = tracks[-1].pk
        yield tracks


# --- wide ---------------------------------------------------------------------------------
def wide_rows(library: Library) -> Iterator[list[str]]:
    """Yield the catalogue in the form of an import: what holds now, and all that is known.

    A row is an annotator's look at a track; a track that nobody has judged has a row without
    labels. Only what was said yes to is in it: an unsure or an explicit no has no cell here.
    """
    names = _Names(library)
    widths = _widths(library)
    extra = _extra_columns(library, len(FIELDS) + sum(widths.values()) + 3)
    labels = _label_columns(names, widths)
    yield ["filename", *FIELDS, "annotator", "annotated_at", *labels, *extra]
    for tracks in _chunks(library):
        looks = _looks([track.pk for track in tracks], names)
        for track in tracks:
            start = [track.key, *(getattr(track, name) for name in FIELDS)]
            end = [str(track.extra.get(name, "")) for name in extra]
            for (annotator, at), facets in looks.get(track.pk, {("", None): {}}).items():
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
    """Return facet id -> the most labels that one answer says yes to."""
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
    """Return the names of the metadata columns, those left out that mean something else."""
    found: dict[str, None] = {}
    rows = Track.objects.filter(library=library).exclude(extra={}).order_by("pk")
    for extra in rows.values_list("extra", flat=True).iterator(chunk_size=5_000):
        found |= dict.fromkeys(extra)
    facets = set(library.facets.values_list("name_key", flat=True))
    kept = [
        name
        for name in found
        if name_key(name) not in _RESERVED and not facet_named(name_key(name), facets)
    ]
    return kept[: max(0, COLUMN_LIMIT - n_others)]


def _looks(track_ids: list[int], names: _Names) -> dict[int, dict[Slot, dict[int, set[int]]]]:
    """Return track id -> (annotator, when) -> facet id -> labels said yes to."""
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
    looks: dict[int, dict[Slot, dict[int, set[int]]]] = defaultdict(dict)
    for track_id, annotator, facet_id, answer_id, event_id in rows:
        if answer_id in yes:
            slot = looks[track_id].setdefault((annotator, times[event_id]), {})
            slot[facet_id] = yes[answer_id]
    return looks


def _times(event_ids: set[int]) -> dict[int, datetime | None]:
    """Return when each event's look was given: an edit belongs to the look it edits."""
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
    """Yield, for each track that somebody judged, what most of its annotators say.

    A tie is nobody's yes. Answers of models do not vote.
    """
    names = _Names(library)
    widths: dict[int, int] = {}
    for _, _, facets in _united(library, names):
        for facet_id, labels in facets.items():
            widths[facet_id] = max(len(labels), widths.get(facet_id, 0))
    yield ["filename", "annotators", *_label_columns(names, widths)]
    for key, n_voters, facets in _united(library, names):
        yield [key, str(n_voters), *_label_cells(names, widths, facets)]


def _united(library: Library, names: _Names) -> Iterator[tuple[str, int, dict[int, set[int]]]]:
    """Yield key, number of voters, and facet id -> labels of each track that was judged."""
    columns = [label_id for label_id in names.names if label_id not in names.merged]
    place = {label_id: n for n, label_id in enumerate(columns)}
    offers: dict[int, list[int]] = {}
    for tracks in _chunks(library):
        voices = _voices([track.pk for track in tracks])
        voters = Counter(track_id for track_id, _ in voices)
        judged = [track for track in tracks if track.pk in voters]
        rows = {track.pk: n for n, track in enumerate(judged)}
        indices = np.array([rows[track_id] for track_id, _ in voices], dtype=np.intp)
        said = majority(_matrix(voices, names, place, offers), indices, len(judged))
        for n, track in enumerate(judged):
            facets: dict[int, set[int]] = defaultdict(set)
            for column in np.flatnonzero(said.labels[n] & said.label_mask[n]):
                facets[names.facet_of[columns[column]]].add(columns[column])
            yield track.key, voters[track.pk], facets


def _voices(track_ids: list[int]) -> dict[tuple[int, int], list[tuple[int, int, bool]]]:
    """Return (track, annotator) -> (answer id, label set id, is complete) of each facet."""
    rows = (
        CurrentAnswer.objects.filter(track_id__in=track_ids, answer__isnull=False)
        .exclude(annotator__kind=Annotator.Kind.MODEL)
        .order_by("track_id", "annotator_id")
    )
    voices: dict[tuple[int, int], list[tuple[int, int, bool]]] = defaultdict(list)
    for row in rows.values_list(
        "track_id",
        "annotator_id",
        "answer_id",
        "answer__label_set_id",
        "answer__is_complete",
    ):
        voices[row[:2]].append(row[2:])
    return voices


def _matrix(
    voices: dict[tuple[int, int], list[tuple[int, int, bool]]],
    names: _Names,
    place: dict[int, int],
    offers: dict[int, list[int]],
) -> LabelMatrix:
    """Return what each voice says of each label: yes, no, or nothing."""
    answers = [answer for facets in voices.values() for answer in facets]
    _read_offers({answer[1] for answer in answers} - offers.keys(), names, place, offers)
    said: dict[int, list[tuple[int, int]]] = defaultdict(list)
    judged = Judgement.objects.filter(answer_id__in=[answer[0] for answer in answers])
    for answer_id, label_id, value in judged.order_by("value").values_list(
        "answer_id", "label_id", "value"
    ):
        said[answer_id].append((place[names.resolved(label_id)], value))
    labels = np.zeros((len(voices), len(place)), dtype=bool)
    mask = np.zeros_like(labels)
    for row, facets in enumerate(voices.values()):
        for answer_id, label_set_id, is_complete in facets:
            if is_complete:
                mask[row, offers[label_set_id]] = True
            for column, value in said[answer_id]:  # the strongest yes comes last
                labels[row, column], mask[row, column] = value == YES, value != Judgement.UNSURE
    return LabelMatrix(labels, mask)


def _read_offers(
    missing: set[int], names: _Names, place: dict[int, int], offers: dict[int, list[int]]
) -> None:
    offers.update({label_set_id: [] for label_set_id in missing})
    rows = LabelSetMember.objects.filter(label_set_id__in=missing)
    for label_set_id, label_id in rows.values_list("label_set_id", "label_id"):
        offers[label_set_id].append(place[names.resolved(label_id)])
