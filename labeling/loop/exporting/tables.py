"""Export with one row per annotation: a catalogue that can be imported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.db.models import Count, Q

from labeling.loop.importing.csv.columns import COLUMN_LIMIT, FIELDS, facet_column, facet_named
from labeling.loop.library import taxonomy
from labeling.models import (
    Annotation,
    CurrentAnswer,
    Judgement,
    Label,
    Library,
    Track,
)
from labeling.names import name_key

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


class ExportLabels:
    """Labels with merges resolved, in their order, and the facets they belong to."""

    def __init__(self, library: Library) -> None:
        self.merged = taxonomy.resolutions(library)
        self.facets = {facet.pk: facet for facet in library.facets.all()}
        rows = Label.objects.filter(facet__library=library).order_by("position", "id")
        self.names = {label.pk: label.name for label in rows}
        self.facet_of = {label.pk: label.facet_id for label in rows}
        self.withdrawn = {label.pk for label in rows if label.withdrawn_at is not None}
        self.order = {label_id: place for place, label_id in enumerate(self.names)}

    def resolved(self, label_id: int) -> int:
        """Return the label that a label was merged into, or itself."""
        return self.merged.get(label_id, label_id)

    def sorted(self, label_ids: Iterable[int]) -> list[str]:
        """Return the names of labels, in the order of the taxonomy."""
        return [self.names[one] for one in self.in_order(label_ids)]

    def in_order(self, label_ids: Iterable[int]) -> list[int]:
        """Return labels in the order of the taxonomy."""
        return sorted(label_ids, key=self.order.__getitem__)


def track_chunks(library: Library) -> Iterator[list[Track]]:
    """Yield the tracks of a library, some hundred at a time, in the order of their ids."""
    last = 0
    while True:
        rows = Track.objects.in_use().filter(library=library, pk__gt=last)
        tracks = list(rows.order_by("pk")[:CHUNK])
        if not tracks:
            return
        last = tracks[-1].pk
        yield tracks


def wide_rows(library: Library) -> Iterator[list[str]]:
    """Yield the catalogue in the format of an import: current answers and all metadata.

    A row is one independent annotation of a track. A track that nobody has judged has one row
    without labels. Only labels judged yes are written; unsure and no have no cell here.
    """
    names = ExportLabels(library)
    widths = _widths(library)
    extra = _extra_columns(library, len(FIELDS) + sum(widths.values()) + 3)
    labels = label_columns(names, widths)
    yield ["filename", *FIELDS, "annotator", "annotated_at", *labels, *extra]
    for tracks in track_chunks(library):
        annotations = _annotations([track.pk for track in tracks], names)
        for track in tracks:
            start = [track.key, *(getattr(track, name) for name in FIELDS)]
            end = [str(track.extra.get(name, "")) for name in extra]
            for (annotator, at), facets in annotations.get(track.pk, {("", None): {}}).items():
                cells = label_cells(names, widths, facets)
                yield [*start, annotator, cell_of(at), *cells, *end]


def label_columns(names: ExportLabels, widths: dict[int, int]) -> list[str]:
    """Return the columns of the labels: as many of each facet as its width."""
    keys = {facet.name_key for facet in names.facets.values()}
    return [
        facet_column(names.facets[facet_id].name_key, number + 1, keys)
        for facet_id in names.facets
        for number in range(widths.get(facet_id, 0))
    ]


def label_cells(
    names: ExportLabels, widths: dict[int, int], facets: dict[int, set[int]]
) -> list[str]:
    """Return the names of labels in the columns of their facets."""
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
    track_ids: list[int], names: ExportLabels
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
