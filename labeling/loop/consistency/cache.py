"""Stored agreement figures, with a hash of their inputs.

Comparing label sets reads every answer that two people gave, which takes seconds in a large
library: a worker does it after counting, and pages show the stored figures with their time.
Stored figures are current while nothing was counted since, and while names, merges and criteria
changes are the same.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.utils import timezone

from labeling.loop.consistency import agreement, rollups
from labeling.loop.consistency.agreement import EVERYTHING, RowKey
from labeling.loop.consistency.answer_matrices import shared_answers
from labeling.loop.consistency.drift import criteria_changes_of, drift
from labeling.loop.consistency.label_rates import Filters, labels_in
from labeling.loop.consistency.reliability import RELIABILITY_METHOD
from labeling.loop.library.taxonomy import resolutions
from labeling.models import AgreementFigures, Annotator, DirtyKey, Facet, Library
from labeling.writing import short_write

#: Counted up when the rows of the figures change, so that older ones are computed again.
_ROWS_VERSION = 2


@dataclass(frozen=True)
class Kept:
    """The stored figures of a library, and whether they are current."""

    computed_at: datetime.datetime | None
    is_current: bool
    figures: dict[str, Any]

    def people(self, filters: Filters) -> list[dict[str, Any]]:
        """Return the rows of annotators."""
        rows = self.figures.get("people", [])
        return [row for annotator_id, row in rows if filters.has_annotator(annotator_id)]

    def pairs(self, filters: Filters) -> list[dict[str, Any]]:
        """Return the rows of pairs; those of a label have `both`, the joint yeses."""
        return list(_in(self.figures.get("pairs", []), filters))

    def with_self(self, filters: Filters) -> list[dict[str, Any]]:
        """Return the rows of self-agreement."""
        return list(_in(self.figures.get("self", []), filters))

    def drift(self, library: Library, filters: Filters) -> list[dict[str, Any]]:
        """Return the rows of drift; their correction depends on the filters."""
        if filters == EVERYTHING and "drift" in self.figures:
            return list(self.figures["drift"])
        return drift(library, filters)


def _in(rows: list[Any], filters: Filters) -> Iterator[dict[str, Any]]:
    for (annotator_ids, facet_id, label_id), row in rows:
        if RowKey(tuple(annotator_ids), facet_id, label_id).is_in(filters):
            yield row


def kept_figures(library: Library) -> Kept:
    """Return the stored figures; without answers, none, and they are current."""
    row = AgreementFigures.objects.filter(library=library).first()
    is_waiting = DirtyKey.objects.filter(library=library).exists()
    if row is None:
        return Kept(None, not is_waiting, {})
    inputs = (row.figures_of, row.made_of)
    is_same = _is_of_now(row.figures) and inputs == (row.counted, inputs_hash(library))
    return Kept(row.computed_at, is_same and not is_waiting, row.figures)


def inputs_hash(library: Library) -> str:
    """Return a hash of the inputs besides the answers: names, merges, limits, methods."""
    parts = (
        RELIABILITY_METHOD,
        sorted(resolutions(library).items()),
        [(one.pk, one.name, one.facet_id) for one in labels_in(library, EVERYTHING).values()],
        list(
            Facet.objects.filter(library=library).values_list(
                "id", "name", "min_labels", "max_labels"
            )
        ),
        list(Annotator.objects.in_use().filter(library=library).values_list("id", "name")),
        [vars(cut) for cut in criteria_changes_of(library)],
    )
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def refresh(library: Library) -> dict[str, int]:
    """Count new answers, then compute and store the figures.

    1. Count what events have made dirty.
    2. Record the count that the figures belong to; a later count makes them outdated.
    3. Compute without a transaction; store, unless figures of a later count exist.
    """
    counted = rollups.measure(library)
    row, _ = AgreementFigures.objects.get_or_create(library=library)
    parts = inputs_hash(library)
    inputs = (row.figures_of, row.made_of)
    if inputs != (row.counted, parts) or not _is_of_now(row.figures):
        figures = _figures(library)
        newer = Q(figures_of__isnull=True) | Q(figures_of__lte=row.counted)
        with short_write():
            AgreementFigures.objects.filter(newer, pk=row.pk).update(
                figures=figures,
                figures_of=row.counted,
                made_of=parts,
                computed_at=timezone.now(),
            )
    return counted


def _is_of_now(figures: dict[str, Any]) -> bool:
    """Return whether the rows have the keys of this version of the product."""
    return figures.get("rows_version") == _ROWS_VERSION


def _figures(library: Library) -> dict[str, Any]:
    shared = shared_answers(library, EVERYTHING)
    return {
        "rows_version": _ROWS_VERSION,
        "people": list(agreement.annotator_rows(library, EVERYTHING, shared)),
        "pairs": [
            (place, row | {"both": table.both} if table else row)
            for place, row, table in agreement.pair_rows(library, EVERYTHING, shared)
        ],
        "self": list(agreement.self_rows(library, EVERYTHING)),
        "drift": drift(library, EVERYTHING),
    }
