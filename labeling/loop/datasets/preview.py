"""Preview of a snapshot: count what a selection takes, without storing it.

Stage: datasets.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from labeling.errors import EmptySelection
from labeling.loop.datasets import read
from labeling.loop.datasets.arrays import (
    AnnotatorCounts,
    LabelCount,
    build_arrays,
    by_annotator,
)
from labeling.loop.datasets.criteria import CriteriaFacts
from labeling.loop.datasets.selection import Selection, check_selection
from labeling.loop.datasets.snapshots import split_of
from labeling.models import Library


@dataclass(frozen=True)
class SelectionPreview:
    """The counts of a selection; `problem` says why a model could not learn from it."""

    tracks: int = 0
    answers: int = 0
    split: dict[str, int] = field(default_factory=dict)
    labels: list[LabelCount] = field(default_factory=list)
    annotators: list[AnnotatorCounts] = field(default_factory=list)
    present: CriteriaFacts | None = None
    judged_by: str = ""
    problem: str = ""

    @property
    def to_train(self) -> int:
        """Number of tracks that a training would use, the validation set included."""
        return self.split.get("train", 0) + self.split.get("validation", 0)


def preview_selection(library: Library, selection: Selection) -> SelectionPreview:
    """Count what a snapshot of this selection would contain now; store nothing."""
    check_selection(library, selection)
    try:
        arrays = build_arrays(library, selection)
    except EmptySelection as error:
        table = read.read_answer_table(library, selection)
        return SelectionPreview(
            answers=len(table.annotations),
            annotators=by_annotator(library, table),
            present=table.criteria.facts() if table.criteria else None,
            problem=str(error),
        )
    facts = arrays.facts
    return SelectionPreview(
        tracks=len(arrays.track_ids),
        answers=len(arrays.annotation_uids),
        split=split_of(arrays),
        labels=sorted(facts["labels"], key=lambda one: -one["positives"]),
        annotators=facts["annotators"],
        present=facts["present"],
        judged_by=arrays.judged_by,
    )
