"""Selected answers, and the part of them that follows the current criteria.

Stage: datasets.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from labeling.errors import BadInput
from labeling.loop.datasets.criteria import CurrentCriteria, current_criteria
from labeling.models import Library


class SelectedAnswer(NamedTuple):
    """An answer that the selection takes."""

    answer_id: int
    annotation_id: int
    annotator_id: int
    track_id: int
    label_set_id: int
    is_complete: bool
    is_imported: bool
    answered_s: float
    facet_id: int
    guideline: int


class Column(NamedTuple):
    """A label of the matrix."""

    label_id: int | None
    uid: str
    name: str
    facet_id: int


class CriteriaSide:
    """One side of the current criteria: the judgements by them, or all others."""

    def __init__(
        self,
        criteria: CurrentCriteria,
        is_current: bool,
        columns: tuple[Column, ...],
        column_of: dict[int, int],
    ) -> None:
        self.criteria, self._is_current = criteria, is_current
        self._facets = [column.facet_id for column in columns]
        self._columns_of_label = column_of
        self._since: dict[int, npt.NDArray[np.float64]] = {}
        self._places = {
            facet: np.flatnonzero([one == facet for one in self._facets])
            for facet in set(self._facets)
        }

    def takes(self, row: SelectedAnswer) -> bool:
        """Return whether any judgement of an answer can be on this side."""
        return bool(self._is_kept(row).any())

    def remove_others(
        self,
        labels: npt.NDArray[np.bool_],
        mask: npt.NDArray[np.bool_],
        answers: list[SelectedAnswer],
        rows: dict[int, int],
    ) -> None:
        """Remove the judgements of the other side from `labels` and `mask`, in place."""
        for one in answers:
            kept = self._is_kept(one)
            if not kept.all():
                gone = self._places[one.facet_id][~kept]
                labels[rows[one.answer_id], gone] = mask[rows[one.answer_id], gone] = False

    def of_mask(
        self, mask: npt.NDArray[np.bool_], answers: list[SelectedAnswer], rows: dict[int, int]
    ) -> npt.NDArray[np.bool_]:
        """Return the cells of `mask` that are on this side."""
        left = mask.copy()
        self.remove_others(np.zeros_like(mask), left, answers, rows)
        return left

    def _is_kept(self, row: SelectedAnswer) -> npt.NDArray[np.bool_]:
        """Return, per column of the answer's facet, whether it is on this side."""
        places = self._places.get(row.facet_id, np.empty(0, dtype=np.intp))
        if row.annotator_id not in self._since:
            self._since[row.annotator_id] = self.criteria.since(
                row.annotator_id, self._facets, self._columns_of_label
            )
        is_current = row.answered_s >= self._since[row.annotator_id][places]
        if self.criteria.guideline not in (None, row.guideline):
            is_current = np.zeros(len(places), dtype=bool)
        return is_current if self._is_current else ~is_current


def current_side(
    library: Library, columns: tuple[Column, ...], column_of: dict[int, int]
) -> CriteriaSide | None:
    """Return the side of the current criteria, or None if there is no current curator."""
    try:
        return CriteriaSide(current_criteria(library), True, columns, column_of)
    except BadInput:
        return None
