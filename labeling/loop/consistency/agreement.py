"""Agreement: how far annotators agree with each other and with themselves.

The figures are those of `ml.consistency.agreement` and `ml.consistency.drift`; the counting
rules are in docs/decisions/0009-what-consistency-counts.md. A figure that cannot be computed is
None.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from django.db.models import Count, Max, Min

from labeling.loop.consistency import rollups
from labeling.loop.consistency.answer_matrices import (
    FacetAnswers,
    repeated_answers,
    shared_answers,
)
from labeling.loop.consistency.drift import drift
from labeling.loop.consistency.label_rates import Filters, labels_in
from labeling.loop.consistency.reliability import annotator_reliability, shared_support
from labeling.loop.events.replay import Event, live_ids
from labeling.loop.library.taxonomy import resolutions
from labeling.models import Annotation, Annotator, Facet, Library, PairCell
from ml.consistency.agreement import PairTable, pair_tables, self_agreement, set_figures
from ml.consistency.reliability import Reliability95
from ml.consistency.repeats import repeat_gaps
from ml.types import LabelMatrix

#: The figures of a pair, in the order in which they are shown.
PAIR_FIGURES = ("n", "agreement", "kappa", "alpha", "ac1", "positive_agreement")
SELF_FIGURES = ("n", "agreement", "alpha")
EVERYTHING = Filters()


class RowKey(NamedTuple):
    """The key of a row, by ids; label None is the set of labels of a facet."""

    annotator_ids: tuple[int, ...]
    facet_id: int
    label_id: int | None

    def is_in(self, filters: Filters) -> bool:
        """Say whether the row passes these filters."""
        return (
            all(filters.has_annotator(one) for one in self.annotator_ids)
            and filters.facet_id in (None, self.facet_id)
            and filters.label_id in (None, self.label_id)
        )


def report(library: Library, filters: Filters = EVERYTHING) -> dict[str, Any]:
    """Return all figures of a library as one JSON-able object.

    1. Count what events have made dirty.
    2. Compute annotators, pairs, self-agreement and drift.
    """
    rollups.measure(library)
    shared = shared_answers(library, filters)
    return {
        "annotators": annotator_figures(library, filters, shared),
        "pairs": pair_figures(library, filters, shared),
        "self": self_agreement_rows(library, filters),
        "drift": drift(library, filters),
    }


def annotator_figures(
    library: Library, filters: Filters, shared: list[FacetAnswers]
) -> list[dict[str, Any]]:
    """Return the answers of each annotator: number, period and reliability.

    The most reliable come first, and those about whom nothing can be said come last.
    """
    return [row for _, row in annotator_rows(library, filters, shared)]


def annotator_rows(
    library: Library, filters: Filters, shared: list[FacetAnswers]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of `annotator_figures` with the annotator's id, in the same order."""
    looks = Annotation.objects.filter(library=library, kind__in=Annotation.INDEPENDENT)
    rows = (
        looks.exclude(pk__in=_dead_looks(library))
        .order_by()
        .values("annotator_id")
        .annotate(
            looks=Count("id"),
            tracks=Count("track_id", distinct=True),
            first_at=Min("answered_at"),
            last_at=Max("answered_at"),
        )
    )
    found = {row["annotator_id"]: row for row in rows}
    reliable, support = annotator_reliability(shared), shared_support(shared)
    people = list(Annotator.objects.filter(library=library))
    people.sort(key=lambda one: -reliable[one.pk].value if one.pk in reliable else 0.0)
    for one in people:
        if not filters.has_annotator(one.pk) or one.pk not in found:
            continue
        row = found[one.pk]
        yield (
            one.pk,
            {
                "annotator": one.name,
                "answers": row["looks"],
                "tracks": row["tracks"],
                "first_at": row["first_at"].isoformat() if row["first_at"] else None,
                "last_at": row["last_at"].isoformat() if row["last_at"] else None,
                **_reliability_figures(reliable.get(one.pk)),
                "support": support.get(one.pk, 0),
            },
        )


def _reliability_figures(found: Reliability95 | None) -> dict[str, Any]:
    return {
        "reliability": found.value if found else None,
        "reliability_interval": [found.low, found.high] if found else None,
    }


def _dead_looks(library: Library) -> list[int]:
    """Return the independent events that were retracted; their whole chains are read."""
    chains = Annotation.objects.filter(library=library, revises__isnull=False)
    rows = list(chains.values_list("id", "track_id", "kind", "revises_id", "revises__kind"))
    events = {row[0]: Event(*row[:4]) for row in rows}
    looks = {
        row[3]: Event(row[3], row[1], row[4])
        for row in rows
        if row[4] in Annotation.INDEPENDENT
    }
    live = live_ids([*looks.values(), *events.values()])
    return sorted(set(looks) - live)


def pair_figures(
    library: Library, filters: Filters, shared: list[FacetAnswers]
) -> list[dict[str, Any]]:
    """Return the agreement of each pair: on the set of a facet, then label by label."""
    return [row for _, row, _ in pair_rows(library, filters, shared)]


def pair_rows(
    library: Library, filters: Filters, shared: list[FacetAnswers]
) -> Iterator[tuple[RowKey, dict[str, Any], PairTable | None]]:
    """Yield the rows of `pair_figures` with their key; a label's row with its 2 x 2 table."""
    names, labels = _names(library), labels_in(library, filters)
    facets = {facet.pk: facet.name for facet in Facet.objects.filter(library=library)}
    tables = label_tables(library, filters, shared)
    for facet in shared:
        for a, b in facet.pairs():
            head = {"a": names[a], "b": names[b], "facet": facets[facet.facet_id]}
            if filters.label_id is None:
                figures = set_figures(*_side_by_side(facet, a, b))
                place = RowKey((a, b), facet.facet_id, None)
                yield place, head | {"label": None} | _only(figures, PAIR_FIGURES), None
            for label_id in facet.label_ids:
                table = tables.get((a, b, label_id))
                if table is not None and table.n:
                    row = head | {"label": labels[label_id].name} | table.figures()
                    yield RowKey((a, b), facet.facet_id, label_id), row, table


def label_tables(
    library: Library, filters: Filters, shared: list[FacetAnswers]
) -> dict[tuple[int, int, int], PairTable]:
    """Return the 2 x 2 table of each pair and label (merged labels: from events)."""
    labels, resolve = labels_in(library, filters), resolutions(library)
    merged = set(resolve.values())
    tables: dict[tuple[int, int, int], PairTable] = {}
    cells = PairCell.objects.filter(label_id__in=labels.keys() - merged)
    for a, b, label_id, *cell in cells.values_list(
        "a_id", "b_id", "label_id", "both", "only_a", "only_b", "neither"
    ):
        if filters.has_annotator(a) and filters.has_annotator(b):
            tables[(a, b, label_id)] = PairTable(*cell)
    for facet in shared:
        columns = {one: n for n, one in enumerate(facet.label_ids) if one in merged}
        for a, b in facet.pairs() if columns else ():
            by_label = pair_tables(*_side_by_side(facet, a, b))
            tables |= {(a, b, label_id): by_label[n] for label_id, n in columns.items()}
    return tables


def _side_by_side(facet: FacetAnswers, a: int, b: int) -> tuple[LabelMatrix, LabelMatrix]:
    """Return the answers of two annotators to the tracks of both, in one order."""
    of_a, of_b = facet.of(a), facet.of(b)
    _, in_a, in_b = np.intersect1d(
        facet.tracks[of_a], facet.tracks[of_b], assume_unique=True, return_indices=True
    )
    return facet.answers.rows(of_a[in_a]), facet.answers.rows(of_b[in_b])


def self_agreement_rows(library: Library, filters: Filters) -> list[dict[str, Any]]:
    """Return the agreement of each annotator with their own earlier answers."""
    return [row for _, row in self_rows(library, filters)]


def self_rows(library: Library, filters: Filters) -> Iterator[tuple[RowKey, dict[str, Any]]]:
    """Yield the rows of `self_agreement_rows` with their key; `gap_days` is the median gap."""
    names, labels = _names(library), labels_in(library, filters)
    facets = {facet.pk: facet.name for facet in Facet.objects.filter(library=library)}
    for facet in repeated_answers(library, filters):
        for annotator_id in np.unique(facet.annotators).tolist():
            mine = _repeated_rows(facet, annotator_id)
            if not len(mine):
                continue
            rows, tracks = facet.answers.rows(mine), facet.tracks[mine].tolist()
            by_label, by_set = self_agreement(rows, tracks, np.arange(len(mine)))
            gaps, gap_of_set = repeat_gaps(rows, tracks, facet.days[mine])
            head = {"annotator": names[annotator_id], "facet": facets[facet.facet_id]}
            if filters.label_id is None and by_set["n"]:
                own = {"label": None, **_only(by_set, SELF_FIGURES), "gap_days": gap_of_set}
                yield RowKey((annotator_id,), facet.facet_id, None), head | own
            for label_id, figures, gap in zip(facet.label_ids, by_label, gaps, strict=True):
                if figures["n"]:
                    own = {"label": labels[label_id].name, **_only(figures, SELF_FIGURES)}
                    key = RowKey((annotator_id,), facet.facet_id, label_id)
                    yield key, head | own | {"gap_days": gap}


def _repeated_rows(facet: FacetAnswers, annotator_id: int) -> npt.NDArray[np.intp]:
    mine = facet.of(annotator_id)
    tracks, counts = np.unique(facet.tracks[mine], return_counts=True)
    return mine[np.isin(facet.tracks[mine], tracks[counts > 1])]


def _names(library: Library) -> dict[int, str]:
    return dict(Annotator.objects.filter(library=library).values_list("id", "name"))


def _only(figures: Mapping[str, Any], wanted: tuple[str, ...]) -> dict[str, Any]:
    return {name: figures[name] for name in wanted}
