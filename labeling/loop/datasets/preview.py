"""Preview of a snapshot before it is taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from labeling.errors import EmptySelection
from labeling.loop.datasets import read
from labeling.loop.datasets.arrays import build_arrays, by_annotator
from labeling.loop.datasets.selection import Selection, check_selection
from labeling.loop.datasets.snapshots import split_of
from labeling.models import Library


@dataclass(frozen=True)
class SelectionPreview:
    """The counts of a selection; `problem` says why a model could not learn from it."""

    tracks: int = 0
    answers: int = 0
    split: dict[str, int] = field(default_factory=dict)
    labels: list[dict[str, Any]] = field(default_factory=list)
    annotators: list[dict[str, Any]] = field(default_factory=list)
    present: dict[str, Any] | None = None
    judged_by: str = ""
    problem: str = ""

    @property
    def to_train(self) -> int:
        """Number of training tracks."""
        return self.split.get("train", 0) + self.split.get("validation", 0)


def preview_selection(library: Library, selection: Selection) -> SelectionPreview:
    """Count what a snapshot of this selection would hold now; writes nothing."""
    check_selection(library, selection)
    try:
        frozen = build_arrays(library, selection)
    except EmptySelection as nothing:
        table = read.read_answer_table(library, selection)
        return SelectionPreview(
            answers=len(table.annotations),
            annotators=by_annotator(library, table),
            present=table.present.facts() if table.present else None,
            problem=str(nothing),
        )
    facts = frozen.facts
    return SelectionPreview(
        tracks=len(frozen.track_ids),
        answers=len(frozen.annotation_uids),
        split=split_of(frozen),
        labels=sorted(facts["labels"], key=lambda one: -one["positives"]),
        annotators=facts["annotators"],
        present=facts["present"],
        judged_by=frozen.judged_by,
    )
