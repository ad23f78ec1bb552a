"""Arrays of a snapshot: the labels that a model is trained on, and the reference labels.

Stage: datasets. The choice of labels and of thinned combinations depends on the training side
only. Audit tracks are added without a choice.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Self, TypedDict

import numpy as np
import numpy.typing as npt

from labeling.errors import EmptySelection
from labeling.loop.datasets import aggregate, read
from labeling.loop.datasets.aggregate import aggregated, kept_labels, recast
from labeling.loop.datasets.criteria import CriteriaFacts
from labeling.loop.datasets.read import AnswerTable
from labeling.loop.datasets.selected import Column
from labeling.loop.datasets.selection import Selection
from labeling.models import Annotation, Library, Track
from ml.training.selection_rules import thin_combinations
from ml.types import LabelMatrix

TEXT = "S36"


class AnnotatorCounts(TypedDict):
    """An annotator of a snapshot: their answers taken, tracks and labels given."""

    annotator: str
    kind: str
    answers: int
    tracks: int
    labels: int


class LabelCount(TypedDict):
    """A label of a snapshot with its positive training tracks."""

    uid: str
    name: str
    positives: int


class SnapshotFacts(TypedDict, total=False):
    """Facts about a snapshot for people, as its row stores them; its file has none."""

    annotators: list[AnnotatorCounts]
    labels: list[LabelCount]
    present: CriteriaFacts | None


@dataclass(frozen=True)
class SnapshotArrays:
    """Arrays of a snapshot; rows are tracks in the order of their ids.

    Attributes
    ----------
    track_ids : int64 (n,). track_uids : bytes (n,). groups : int64 (n,), codes of split groups.
    is_audit : bool (n,). is_present : bool (n, n_labels), True if a selected answer judged the
    label by the current criteria (`labeling.loop.datasets.criteria`).
    matrix : the aggregated labels of the selected answers, (n, n_labels), with probabilities
    (`soft`) if answers were combined by facet and disagree.
    reference : the reference labels of the audit tracks, (n, n_labels); empty on the others.
    label_uids : bytes (n_labels,). annotation_uids : bytes, sorted.
    judged_by : whose answers the reference labels are, in words.
    facts : counts for people; not stored in the file.
    """

    track_ids: npt.NDArray[np.int64]
    track_uids: npt.NDArray[np.bytes_]
    groups: npt.NDArray[np.int64]
    is_audit: npt.NDArray[np.bool_]
    matrix: LabelMatrix
    reference: LabelMatrix
    label_uids: npt.NDArray[np.bytes_]
    annotation_uids: npt.NDArray[np.bytes_]
    judged_by: str
    is_present: npt.NDArray[np.bool_]
    facts: SnapshotFacts = field(default_factory=SnapshotFacts)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all fields but `facts` as named arrays without objects.

        Without probabilities there are no `soft_labels`, as before there were any.
        """
        return {
            "track_ids": self.track_ids,
            "track_uids": self.track_uids,
            "groups": self.groups,
            "is_audit": self.is_audit,
            "is_present": self.is_present,
            "labels": self.matrix.labels,
            "label_mask": self.matrix.label_mask,
            **self._soft_labels(),
            "reference_labels": self.reference.labels,
            "reference_mask": self.reference.label_mask,
            "label_uids": self.label_uids,
            "annotation_uids": self.annotation_uids,
            "judged_by": np.frombuffer(self.judged_by.encode(), dtype=np.uint8),
        }

    def _soft_labels(self) -> dict[str, npt.NDArray[Any]]:
        return {} if self.matrix.soft is None else {"soft_labels": self.matrix.soft}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `arrays()`; older files do not contain `is_present`, so it is False."""
        unknown = np.zeros_like(arrays["labels"])
        return cls(
            track_ids=arrays["track_ids"],
            track_uids=arrays["track_uids"],
            groups=arrays["groups"],
            is_audit=arrays["is_audit"],
            matrix=LabelMatrix(
                arrays["labels"], arrays["label_mask"], arrays.get("soft_labels")
            ),
            reference=LabelMatrix(arrays["reference_labels"], arrays["reference_mask"]),
            label_uids=arrays["label_uids"],
            annotation_uids=arrays["annotation_uids"],
            judged_by=arrays["judged_by"].tobytes().decode(),
            is_present=arrays.get("is_present", unknown),
        )

    def digest(self, selection: Selection) -> str:
        """Return the sha256 of the selection, the current criteria and every array."""
        asked = selection.canonical() | {"present": self.facts.get("present")}
        text = json.dumps(asked, sort_keys=True)
        whole = hashlib.sha256(text.encode())
        for name, array in sorted(self.arrays().items()):
            whole.update(f"{name} {array.dtype.str} {array.shape}".encode())
            whole.update(np.ascontiguousarray(array).tobytes())
        return whole.hexdigest()


def build_arrays(library: Library, selection: Selection) -> SnapshotArrays:
    """Return the arrays of the selection; raise EmptySelection if nothing can be learnt.

    1. Aggregate the answers of each side separately, so that audit tracks have no influence on
       the training side.
    2. Choose the labels and thin the tracks, by the training side.
    3. Keep the tracks on which a chosen label was judged, or that have reference labels.
    """
    table = read.read_answer_table(library, selection)
    judging = _reference_table(library, table, selection)
    track_ids = np.union1d(table.tracks, judging.tracks)
    uids, groups, is_audit = track_facts(library, track_ids)
    given = aggregated_by_side(table, track_ids, is_audit, selection)
    columns, matrix, parts = kept_labels(library, table.columns, given, selection, ~is_audit)
    if matrix.n_labels == 0 or not matrix.label_mask.any():
        raise EmptySelection(_why_empty(table, selection))
    judged_by, whole = aggregate.reference(library, judging, track_ids, is_audit, selection)
    found = recast(whole, parts)
    reference = LabelMatrix(found.labels, found.label_mask)
    rows = np.flatnonzero(
        np.where(
            is_audit,
            _is_judged(matrix, reference, selection),
            _is_trained_on(given, matrix, ~is_audit, selection),
        )
    )
    events = np.union1d(table.annotations, judging.annotations)
    return SnapshotArrays(
        track_ids=track_ids[rows],
        track_uids=uids[rows],
        groups=np.unique(groups[rows], return_inverse=True)[1].astype(np.int64),
        is_audit=is_audit[rows],
        matrix=matrix.rows(rows),
        reference=reference.rows(rows),
        label_uids=np.array([column.uid for column in columns], dtype=TEXT),
        annotation_uids=_annotation_uids(library, events),
        judged_by=judged_by,
        is_present=_by_current_criteria(table, track_ids, parts)[rows],
        facts=_facts(library, table, judging, columns, matrix.rows(rows[~is_audit[rows]])),
    )


def _by_current_criteria(
    table: AnswerTable, track_ids: npt.NDArray[np.int64], parts: list[npt.NDArray[np.intp]]
) -> npt.NDArray[np.bool_]:
    """Return, per track and chosen label, whether it was judged by the current criteria.

    One of the columns that form the label is enough.
    """
    judged = np.zeros((len(track_ids), table.is_current.shape[1]), dtype=bool)
    np.logical_or.at(judged, np.searchsorted(track_ids, table.tracks), table.is_current)
    found = [judged[:, part].any(axis=1) for part in parts]
    return np.column_stack(found) if found else judged[:, :0]


def _reference_table(library: Library, table: AnswerTable, selection: Selection) -> AnswerTable:
    """Return the answers for the reference labels.

    These are the selected ones, or the answers of the current curators on audit tracks.
    """
    if selection.judged_by == "selected":
        return table
    of_curators = Selection(
        facets=selection.facets, negatives=selection.negatives, criteria="current"
    )
    current = read.read_answer_table(library, of_curators)
    audit = library.tracks.filter(is_audit=True).values_list("pk", flat=True)
    ids = np.fromiter(audit.iterator(chunk_size=5_000), dtype=np.int64)
    return current.of_tracks(ids)


def aggregated_by_side(
    table: AnswerTable,
    track_ids: npt.NDArray[np.int64],
    is_audit: npt.NDArray[np.bool_],
    selection: Selection,
) -> LabelMatrix:
    """Return the aggregated labels; the answers of each side are aggregated separately."""
    at_audit = is_audit[np.searchsorted(track_ids, table.tracks)]
    audit = aggregated(table, track_ids, selection, at_audit)
    training = aggregated(table, track_ids, selection, ~at_audit)
    side = is_audit[:, None]
    return LabelMatrix(
        np.where(side, audit.labels, training.labels),
        np.where(side, audit.label_mask, training.label_mask),
        _soft_of(side, audit, training),
    )


def _soft_of(
    side: npt.NDArray[np.bool_], audit: LabelMatrix, training: LabelMatrix
) -> npt.NDArray[np.float32] | None:
    """Return the probabilities of both sides; None if no track has one between 0 and 1."""
    if audit.soft is None and training.soft is None:
        return None
    unknown = np.float32(np.nan)
    known = (np.where(one.answered, one.targets, unknown) for one in (audit, training))
    return np.where(side, *known)


def _is_judged(
    matrix: LabelMatrix, reference: LabelMatrix, selection: Selection
) -> npt.NDArray[np.bool_]:
    """Return, per track, whether the annotators of the reference judged a chosen label."""
    judged = reference if selection.judged_by == "current" else matrix
    return np.asarray(judged.label_mask.any(axis=1))


def _is_trained_on(
    given: LabelMatrix,
    matrix: LabelMatrix,
    is_training: npt.NDArray[np.bool_],
    selection: Selection,
) -> npt.NDArray[np.bool_]:
    """Return, per track, whether a model is trained on it.

    Frequent combinations are thinned by the labels before any of them are combined or dropped.
    If labels are dropped, a track that had only those tells nothing about the other labels.
    """
    is_kept = matrix.answered.any(axis=1) & is_training
    if selection.others == "drop":
        had, has = ((one.labels & one.label_mask).any(axis=1) for one in (given, matrix))
        is_kept &= has | ~had
    rows = np.flatnonzero(given.answered.any(axis=1) & is_training)
    stay = thin_combinations(
        given.rows(rows), selection.combination_cap, selection.rare_share, seed=0
    )
    is_thinned = np.zeros(given.n_tracks, dtype=bool)
    is_thinned[np.delete(rows, stay)] = True
    return np.asarray(is_kept & ~is_thinned)


def _annotation_uids(
    library: Library, annotation_ids: npt.NDArray[np.int64]
) -> npt.NDArray[np.bytes_]:
    rows = Annotation.objects.filter(library=library).values_list("id", "uid")
    used = set(annotation_ids.tolist())
    uids = sorted(uid.hex for pk, uid in rows.iterator(chunk_size=5_000) if pk in used)
    return np.array(uids, dtype=TEXT)


def _facts(
    library: Library,
    table: AnswerTable,
    judging: AnswerTable,
    columns: list[Column],
    trained_on: LabelMatrix,
) -> SnapshotFacts:
    """Return the counts per annotator and label, and the current criteria if they are used."""
    positives = (trained_on.labels & trained_on.label_mask).sum(axis=0).tolist()
    criteria = table.criteria or judging.criteria
    return {
        "annotators": by_annotator(library, table),
        "labels": [
            {"uid": column.uid, "name": column.name, "positives": n}
            for column, n in zip(columns, positives, strict=True)
        ],
        "present": criteria.facts() if criteria is not None else None,
    }


def by_annotator(library: Library, table: AnswerTable) -> list[AnnotatorCounts]:
    """Count the answers taken of each annotator, their tracks and the labels given."""
    people = library.annotators.filter(pk__in=np.unique(table.annotators).tolist())
    given = table.matrix.labels & table.matrix.label_mask
    rows: list[AnnotatorCounts] = []
    for one in people.order_by("name_key"):
        own = table.annotators == one.pk
        rows.append(
            {
                "annotator": one.name,
                "kind": one.kind,
                "answers": int((table.event_annotators == one.pk).sum()),
                "tracks": int(own.sum()),
                "labels": int(given[own].sum()),
            }
        )
    return rows


def _why_empty(table: AnswerTable, selection: Selection) -> str:
    if not len(table.tracks):
        return (
            "no answer matches this selection: choose other annotators, a longer period or "
            "another guideline, or label some tracks first"
        )
    return (
        f"no label has {selection.min_support} positive answers on the training side of this "
        f"selection ({len(np.unique(table.tracks))} tracks in all): label more tracks or use a "
        "lower --min-support"
    )


def track_facts(
    library: Library, track_ids: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.bytes_], npt.NDArray[np.str_], npt.NDArray[np.bool_]]:
    """Return uid, split group and audit side of the tracks, in the order of their ids."""
    wanted = set(track_ids.tolist())
    rows = Track.objects.filter(library=library).order_by("id")
    facts = [
        (uid.hex, group or f"track:{pk}", is_audit)
        for pk, uid, group, is_audit in rows.values_list(
            "id", "uid", "split_group", "is_audit"
        ).iterator(chunk_size=5_000)
        if pk in wanted
    ]
    uids, groups, audit = zip(*facts, strict=True) if facts else ((), (), ())
    return (
        np.array(uids, dtype=TEXT),
        np.array(groups, dtype=str),
        np.array(audit, dtype=bool),
    )
