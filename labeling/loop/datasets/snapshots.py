"""Dataset snapshots: store the training set that a selection gives now, and read it back.

Stage: datasets. A snapshot is a file of arrays, and a row with the selection and the counts.
The same selection of the same answers is the same snapshot. It contains audit tracks for
evaluation, never for training.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from labeling.errors import BadInput, EmptySelection
from labeling.loop.datasets import read
from labeling.loop.datasets.aggregate import support_of
from labeling.loop.datasets.arrays import (
    AnnotatorCounts,
    SnapshotArrays,
    aggregated_by_side,
    build_arrays,
    track_facts,
)
from labeling.loop.datasets.criteria import CriteriaFacts
from labeling.loop.datasets.selection import Selection, check_selection
from labeling.models import Library, Snapshot
from ml.errors import ParameterError
from ml.files import atomic_write
from ml.metrics.splits import grouped_folds
from ml.types import TrainingConfig


class SnapshotResult(TypedDict):
    """The result of taking a snapshot, as the command and the job return it."""

    selection: dict[str, Any]
    annotators: list[AnnotatorCounts]
    present: CriteriaFacts | None
    snapshot: int
    hash: str
    tracks: int
    labels: int
    split: dict[str, int]


def take_snapshot(
    library: Library, selection: Selection | None = None, *, by_id: int | None = None
) -> Snapshot:
    """Store the answers of the selection as they are now.

    1. Read the answers and aggregate those of several annotators, label by label.
    2. Keep the labels with enough positives on the training side, so that audit answers do not
       decide what is learnt, and the tracks on which one of these labels was judged.
    3. Write the arrays to a file, and the row after it, so that no row lacks its file.
    """
    selection = selection or Selection()
    check_selection(library, selection)
    taken_at = timezone.now()
    arrays = build_arrays(library, selection)
    digest = arrays.digest(selection)
    same = library.snapshots.filter(hash=digest).first()
    if same is not None:
        return _taken_again(same, arrays, taken_at)
    file, sha256 = _written(arrays, f"{library.slug}/{digest}.npz")
    values = {
        "selection": selection.canonical(),
        "file": file,
        "sha256": sha256,
        "tracks": len(arrays.track_ids),
        "annotations": len(arrays.annotation_uids),
        "label_uids": _texts(arrays.label_uids),
        "split": split_of(arrays),
        "facts": arrays.facts,
        "taken_at": taken_at,
        "by_id": by_id,
    }
    return _store(library, digest, values)


def _written(arrays: SnapshotArrays, file: str) -> tuple[str, str]:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays.arrays())
    return file, atomic_write(Path(settings.SNAPSHOT_ROOT) / file, buffer.getvalue())


def _taken_again(same: Snapshot, arrays: SnapshotArrays, taken_at: datetime) -> Snapshot:
    """Store when an existing snapshot was taken again; write its file again if that is lost.

    The time is written first. Pruning keeps snapshots that were taken recently, so a file that
    exists when the row is read after that stays. A new file gets a new name, because the old
    one may be on its way out.
    """
    rows = Snapshot.objects.filter(pk=same.pk)
    # The new time is right: the snapshot lacks no answer that was recorded before it.
    rows.update(taken_at=taken_at)
    same.refresh_from_db()
    if not _is_whole(same):
        name = f"{same.library.slug}/{same.hash}-{uuid.uuid4().hex[:8]}.npz"
        same.file, same.sha256 = _written(arrays, name)
        rows.update(file=same.file, sha256=same.sha256)
    return same


def _is_whole(snapshot: Snapshot) -> bool:
    try:
        _content(snapshot)
    except BadInput:
        return False
    return True


def _store(library: Library, digest: str, values: dict[str, Any]) -> Snapshot:
    """Insert the row under the next number; if another process takes it, try the one after."""
    for _ in range(20):
        same = library.snapshots.filter(hash=digest).first()
        if same is not None:
            return same
        number = (library.snapshots.aggregate(n=Max("number"))["n"] or 0) + 1
        try:
            with transaction.atomic():
                return Snapshot.objects.create(
                    library=library, number=number, hash=digest, **values
                )
        except IntegrityError:
            continue
    raise BadInput("too many snapshots were taken at the same moment: try again")


def split_of(arrays: SnapshotArrays) -> dict[str, int]:
    """Count the tracks to train on, of the validation set, and of the audit side."""
    training = np.flatnonzero(~arrays.is_audit)
    validation = 0
    n_groups = len(np.unique(arrays.groups[training]))
    parts = min(n_groups, max(2, round(1 / TrainingConfig().validation_share)))
    if parts >= 2:
        try:
            folds = grouped_folds(
                arrays.matrix.rows(training), arrays.groups[training], parts, 0
            )
            validation = int((folds == 0).sum())
        except ParameterError:
            validation = 0
    audit = int(arrays.is_audit.sum())
    return {
        "train": len(training) - validation,
        "validation": validation,
        "audit": audit,
        "audit_judged": int(arrays.reference.label_mask.any(axis=1).sum()),
    }


def load(snapshot: Snapshot) -> SnapshotArrays:
    """Read the arrays of a snapshot, after its checksum was verified."""
    with np.load(io.BytesIO(_content(snapshot)), allow_pickle=False) as archive:
        return SnapshotArrays.from_arrays({name: archive[name] for name in archive.files})


def _content(snapshot: Snapshot) -> bytes:
    if not snapshot.file:
        raise BadInput(
            f"the file of {snapshot} was removed to save space: take a new snapshot with the "
            "same selection"
        )
    try:
        content = (Path(settings.SNAPSHOT_ROOT) / snapshot.file).read_bytes()
    except OSError:
        raise BadInput(f"the file of {snapshot} is missing: take the snapshot again") from None
    if hashlib.sha256(content).hexdigest() != snapshot.sha256:
        raise BadInput(
            f"the file of {snapshot} does not match its checksum: take the snapshot again"
        )
    return content


def lowest_support(library: Library, selection: Selection, at_least: int = 2) -> Selection:
    """Return the selection with a support that leaves two labels: its own, or `at_least`.

    Raises BadInput if no facet has two labels with `at_least` positives, because a model that
    knows only one label is of no use.
    """
    check_selection(library, selection)
    table = read.read_answer_table(library, selection)
    track_ids = np.unique(table.tracks)
    is_audit = track_facts(library, track_ids)[2]
    given = aggregated_by_side(table, track_ids, is_audit, selection)
    support = support_of(given, ~is_audit)
    for wanted in sorted({selection.min_support, at_least}, reverse=True):
        facets = [
            column.facet_id
            for column, n in zip(table.columns, support, strict=True)
            if n >= wanted
        ]
        if any(facets.count(facet) >= 2 for facet in set(facets)):
            return replace(selection, min_support=wanted)
    best = int(support.max(initial=0))
    raise BadInput(
        f"a training needs a facet with two labels that {at_least} training-side tracks have "
        f"each, but {library.slug} has {int((support >= at_least).sum())} such labels "
        f"(most positives of a label: {best}): label more tracks first"
    )


def supported_labels(library: Library) -> set[str]:
    """Return the uids of the labels that a training on all answers would learn now."""
    selection = Selection()
    try:
        return set(label_uids(build_arrays(library, lowest_support(library, selection))))
    except BadInput:  # no facet has two such labels, but a single label may have support
        pass
    try:
        return set(label_uids(build_arrays(library, selection)))
    except EmptySelection:
        return set()


def result_of(snapshot: Snapshot) -> SnapshotResult:
    """Return the values that `take_snapshot --json` prints."""
    return {
        "selection": snapshot.selection,
        "annotators": snapshot.facts.get("annotators", []),
        "present": snapshot.facts.get("present"),
        "snapshot": snapshot.number,
        "hash": snapshot.hash,
        "tracks": snapshot.tracks,
        "labels": len(snapshot.label_uids),
        "split": snapshot.split,
    }


def _texts(values: npt.NDArray[np.bytes_]) -> list[str]:
    return [value.decode() for value in values.tolist()]


def label_uids(arrays: SnapshotArrays) -> list[str]:
    """Return the uids of the columns as text."""
    return _texts(arrays.label_uids)
