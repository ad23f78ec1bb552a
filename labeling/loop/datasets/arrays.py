"""Arrays of a snapshot, built from the answers of a selection.

Only the training side decides which labels have support, which are the most frequent, and
which combinations are thinned. Audit tracks are added as they are.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from labeling.errors import EmptySelection
from labeling.loop.datasets import aggregate, read
from labeling.loop.datasets.aggregate import aggregated, kept_labels, recast
from labeling.loop.datasets.read import AnswerTable
from labeling.loop.datasets.selected import Column
from labeling.loop.datasets.selection import Selection
from labeling.models import Annotation, Library, Track
from ml.training.selection_rules import thin_combinations
from ml.types import LabelMatrix

TEXT = "S36"


@dataclass(frozen=True)
class SnapshotArrays:
    """Arrays of a snapshot; rows are tracks in the order of their ids.

    Attributes
    ----------
    track_ids : int64 (n,). track_uids : bytes (n,). groups : int64 (n,), codes of split groups.
    is_audit : bool (n,). is_present : bool (n, n_labels), True where any selected answer judged
    the label by the current criteria (`labeling.loop.datasets.criteria`).
    matrix : the aggregated selected answers, (n, n_labels).
    reference : the reference labels on audit tracks; nothing on the others.
    label_uids : bytes (n_labels,). annotation_uids : bytes, sorted.
    judged_by : whose answers the reference labels are, in words.
    facts : for people: answers by annotator; not stored in the file.
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
    facts: dict[str, Any] = field(default_factory=dict)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything as named arrays without objects."""
        return {
            "track_ids": self.track_ids,
            "track_uids": self.track_uids,
            "groups": self.groups,
            "is_audit": self.is_audit,
            "is_present": self.is_present,
            "labels": self.matrix.labels,
            "label_mask": self.matrix.label_mask,
            "reference_labels": self.reference.labels,
            "reference_mask": self.reference.label_mask,
            "label_uids": self.label_uids,
            "annotation_uids": self.annotation_uids,
            "judged_by": np.frombuffer(self.judged_by.encode(), dtype=np.uint8),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `arrays()`; older snapshots did not record whose criteria count."""
        unknown = np.zeros_like(arrays["labels"])
        return cls(
            track_ids=arrays["track_ids"],
            track_uids=arrays["track_uids"],
            groups=arrays["groups"],
            is_audit=arrays["is_audit"],
            matrix=LabelMatrix(arrays["labels"], arrays["label_mask"]),
            reference=LabelMatrix(arrays["reference_labels"], arrays["reference_mask"]),
            label_uids=arrays["label_uids"],
            annotation_uids=arrays["annotation_uids"],
            judged_by=arrays["judged_by"].tobytes().decode(),
            is_present=arrays.get("is_present", unknown),
        )

    def digest(self, selection: Selection) -> str:
        """Return the sha256 of the selection, the criteria then current, and every array."""
        asked = selection.canonical() | {"present": self.facts.get("present")}
        text = json.dumps(asked, sort_keys=True)
        whole = hashlib.sha256(text.encode())
        for name, array in sorted(self.arrays().items()):
            whole.update(f"{name} {array.dtype.str} {array.shape}".encode())
            whole.update(np.ascontiguousarray(array).tobytes())
        return whole.hexdigest()


def build_arrays(library: Library, selection: Selection) -> SnapshotArrays:
    """Return the arrays of the selection, or refuse if there is nothing to learn from.

    1. Aggregate the answers of each side separately: audit answers change nothing else.
    2. Choose the labels and leave tracks out, by the training side.
    3. Keep the tracks on which a chosen label was judged, and the audit tracks.
    """
    table = read.read_answer_table(library, selection)
    judges = _judges(library, table, selection)
    track_ids = np.union1d(table.tracks, judges.tracks)
    uids, groups, is_audit = track_facts(library, track_ids)
    given = aggregated_by_side(table, track_ids, is_audit, selection)
    columns, matrix, parts = kept_labels(library, table.columns, given, selection, ~is_audit)
    if matrix.n_labels == 0 or not matrix.label_mask.any():
        raise EmptySelection(_nothing(table, selection))
    judged_by, whole = aggregate.reference(library, judges, track_ids, is_audit, selection)
    reference = recast(whole, parts)
    rows = np.flatnonzero(
        np.where(
            is_audit,
            _measures(matrix, reference, selection),
            _is_learnt_from(given, matrix, ~is_audit, selection),
        )
    )
    events = np.union1d(table.annotations, judges.annotations)
    return SnapshotArrays(
        track_ids=track_ids[rows],
        track_uids=uids[rows],
        groups=np.unique(groups[rows], return_inverse=True)[1].astype(np.int64),
        is_audit=is_audit[rows],
        matrix=matrix.rows(rows),
        reference=reference.rows(rows),
        label_uids=np.array([column.uid for column in columns], dtype=TEXT),
        annotation_uids=_named(library, events),
        judged_by=judged_by,
        is_present=_by_present(table, track_ids, parts)[rows],
        facts=_facts(library, table, judges, columns, matrix.rows(rows[~is_audit[rows]])),
    )


def _by_present(
    table: AnswerTable, track_ids: npt.NDArray[np.int64], parts: list[npt.NDArray[np.intp]]
) -> npt.NDArray[np.bool_]:
    """Return which chosen labels of which tracks were judged by the current criteria."""
    judged = np.zeros((len(track_ids), table.by_present.shape[1]), dtype=bool)
    np.logical_or.at(judged, np.searchsorted(track_ids, table.tracks), table.by_present)
    found = [judged[:, part].any(axis=1) for part in parts]
    return np.column_stack(found) if found else judged[:, :0]


def _judges(library: Library, table: AnswerTable, selection: Selection) -> AnswerTable:
    """Return the reference answers: the selected ones, or the current curators' on audit."""
    if selection.judged_by == "selected":
        return table
    asked = Selection(
        facets=selection.facets, negatives=selection.negatives, criteria="current"
    )
    current = read.read_answer_table(library, asked)
    audit = library.tracks.filter(is_audit=True).values_list("pk", flat=True)
    ids = np.fromiter(audit.iterator(chunk_size=5_000), dtype=np.int64)
    return current.of_tracks(ids)


def aggregated_by_side(
    table: AnswerTable,
    track_ids: npt.NDArray[np.int64],
    is_audit: npt.NDArray[np.bool_],
    selection: Selection,
) -> LabelMatrix:
    """Return the aggregated answers, aggregated separately on each side."""
    at_audit = is_audit[np.searchsorted(track_ids, table.tracks)]
    audit = aggregated(table, track_ids, selection, at_audit)
    training = aggregated(table, track_ids, selection, ~at_audit)
    side = is_audit[:, None]
    return LabelMatrix(
        np.where(side, audit.labels, training.labels),
        np.where(side, audit.label_mask, training.label_mask),
    )


def _measures(
    matrix: LabelMatrix, reference: LabelMatrix, selection: Selection
) -> npt.NDArray[np.bool_]:
    """Return which tracks have reference labels."""
    judged = reference if selection.judged_by == "current" else matrix
    return np.asarray(judged.label_mask.any(axis=1))


def _is_learnt_from(
    given: LabelMatrix,
    matrix: LabelMatrix,
    is_training: npt.NDArray[np.bool_],
    selection: Selection,
) -> npt.NDArray[np.bool_]:
    """Return which tracks are trained on.

    Frequent combinations are thinned by the labels as they were given. If labels are dropped,
    a track that had only those labels tells nothing about the others.
    """
    is_kept = matrix.label_mask.any(axis=1) & is_training
    if selection.others == "drop":
        had, has = ((one.labels & one.label_mask).any(axis=1) for one in (given, matrix))
        is_kept &= has | ~had
    rows = np.flatnonzero(given.label_mask.any(axis=1) & is_training)
    stay = thin_combinations(
        given.rows(rows), selection.combination_cap, selection.rare_share, seed=0
    )
    is_thinned = np.zeros(given.n_tracks, dtype=bool)
    is_thinned[np.delete(rows, stay)] = True
    return np.asarray(is_kept & ~is_thinned)


def _named(library: Library, annotation_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bytes_]:
    uids = Annotation.objects.filter(library=library).values_list("id", "uid")
    used = set(annotation_ids.tolist())
    named = sorted(uid.hex for pk, uid in uids.iterator(chunk_size=5_000) if pk in used)
    return np.array(named, dtype=TEXT)


def _facts(
    library: Library,
    table: AnswerTable,
    judges: AnswerTable,
    columns: list[Column],
    learnt: LabelMatrix,
) -> dict[str, Any]:
    """Return the answers by annotator, the labels with their positives, and the criteria."""
    positives = (learnt.labels & learnt.label_mask).sum(axis=0).tolist()
    present = table.present or judges.present
    return {
        "annotators": by_annotator(library, table),
        "labels": [
            {"uid": column.uid, "name": column.name, "positives": n}
            for column, n in zip(columns, positives, strict=True)
        ],
        "present": present.facts() if present is not None else None,
    }


def by_annotator(library: Library, table: AnswerTable) -> list[dict[str, Any]]:
    """Return, per annotator, the answers taken, their tracks and the labels they gave."""
    people = library.annotators.filter(pk__in=np.unique(table.annotators).tolist())
    given = table.matrix.labels & table.matrix.label_mask
    rows = []
    for one in people.order_by("name_key"):
        own = table.annotators == one.pk
        rows.append(
            {
                "annotator": one.name,
                "kind": one.kind,
                "answers": int((table.authors == one.pk).sum()),
                "tracks": int(own.sum()),
                "labels": int(given[own].sum()),
            }
        )
    return rows


def _nothing(table: AnswerTable, selection: Selection) -> str:
    if not len(table.tracks):
        return (
            "no answer matches this selection: choose other annotators, a longer period or "
            "another guideline, or label some tracks first"
        )
    return (
        f"no label has {selection.min_support} positive answers outside of the audit tracks "
        f"in this selection ({len(np.unique(table.tracks))} tracks): label more tracks or ask "
        "for a lower --min-support"
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
