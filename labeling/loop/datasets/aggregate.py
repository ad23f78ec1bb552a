"""Label aggregation: combine the answers of several annotators, and choose the labels.

Stage: datasets.
"""

from __future__ import annotations

import uuid

import numpy as np
import numpy.typing as npt

from labeling.loop.datasets.read import AnswerTable
from labeling.loop.datasets.selected import Column
from labeling.loop.datasets.selection import CATCH_ALL, Selection
from labeling.loop.library.weighing import facet_limits, ranks_of
from labeling.models import Annotator, Facet, Library
from labeling.names import name_key
from ml.consistency.consensus import Ballots, combined
from ml.consistency.facet_consensus import settled_labels
from ml.types import LabelMatrix

#: With fewer audit tracks judged by persons, the answers of all selected annotators are the
#: reference there (legacy ones too), and `judged_by` says so.
ENOUGH_PERSON_TRACKS = 30


def others_uid(facet: Facet) -> str:
    """Return the uid of the column Others, which collects the rare labels of a facet."""
    return uuid.uuid5(facet.uid, "others").hex


def aggregated(
    table: AnswerTable,
    track_ids: npt.NDArray[np.int64],
    selection: Selection,
    rows: npt.NDArray[np.bool_] | None = None,
) -> LabelMatrix:
    """Return the aggregated labels of each track.

    1. If a person judged a label of a track, imported judgements of it are not used: two equal
       votes would cancel out, and the person's work would be lost.
    2. Several judgements of the same precedence are aggregated; a single one is used as it is.

    By facet, disagreement has a probability, and is judged only where the answers settle it.
    """
    kept = np.flatnonzero(np.ones(len(table.tracks), dtype=bool) if rows is None else rows)
    names, annotators = np.unique(table.annotators[kept], return_inverse=True)
    facets = [column.facet_id for column in table.columns]
    ballots = Ballots(
        answers=table.matrix.rows(kept),
        tracks=np.searchsorted(track_ids, table.tracks[kept]),
        annotators=annotators.reshape(-1),
        ranks=ranks_of(names)[annotators.reshape(-1)],
        facets=facets,
        n_tracks=len(track_ids),
    )
    return combined(ballots, selection.aggregation, facet_limits(facets)).matrix


Columns = npt.NDArray[np.intp]


def support_of(
    matrix: LabelMatrix, is_training: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Return the number of training-side tracks that have each label."""
    given = matrix.labels & matrix.label_mask & is_training[:, None]
    return given.sum(axis=0, dtype=np.int64)


def kept_labels(
    library: Library,
    columns: tuple[Column, ...],
    matrix: LabelMatrix,
    selection: Selection,
    is_training: npt.NDArray[np.bool_],
) -> tuple[list[Column], LabelMatrix, list[Columns]]:
    """Return the labels with enough positives, their matrix and the columns that form each.

    Only tracks of the training side count, both for support and for the most frequent labels.
    """
    support = support_of(matrix, is_training)
    is_catch_all = np.array([name_key(column.name) in CATCH_ALL for column in columns], bool)
    is_kept = support >= selection.min_support
    if selection.others != "keep":
        is_kept &= ~is_catch_all
        is_kept &= _is_top(columns, np.where(is_kept, support, -1), selection.top_labels)
    parts = [
        (column, np.array([number])) for number, column in enumerate(columns) if is_kept[number]
    ]
    if selection.others == "fold":
        parts += _folded(library, columns, is_kept, is_catch_all)
    folded = recast(matrix, [part for _, part in parts])
    has_enough = support_of(folded, is_training) >= selection.min_support
    kept = [part for part, fits in zip(parts, has_enough, strict=True) if fits]
    weights = [part for _, part in kept]
    return [column for column, _ in kept], recast(matrix, weights), weights


def _is_top(
    columns: tuple[Column, ...], support: npt.NDArray[np.int64], top: int
) -> npt.NDArray[np.bool_]:
    """Return which labels are among the `top` most frequent of their facet; 0 means all."""
    is_top = np.full(len(columns), top == 0)
    for facet in {column.facet_id for column in columns} if top else ():
        own = np.flatnonzero([column.facet_id == facet for column in columns])
        is_top[own[np.argsort(-support[own], kind="stable")[:top]]] = True
    return is_top


def _folded(
    library: Library,
    columns: tuple[Column, ...],
    is_kept: npt.NDArray[np.bool_],
    is_catch_all: npt.NDArray[np.bool_],
) -> list[tuple[Column, Columns]]:
    """Return, per facet, one label Others that combines the rare labels and an existing Others.

    A combined label is not a label of the library and has its own uid, so that it is never
    shown as one.
    """
    folded = []
    for facet in Facet.objects.filter(library=library):
        rare = [
            number
            for number, column in enumerate(columns)
            if column.facet_id == facet.pk and not is_kept[number]
        ]
        made = Column(None, others_uid(facet), "Others", facet.pk)
        is_own = len(rare) == 1 and is_catch_all[rare[0]]
        if rare:
            folded.append((columns[rare[0]] if is_own else made, np.array(rare)))
    return folded


def recast(matrix: LabelMatrix, parts: list[Columns]) -> LabelMatrix:
    """Combine columns: yes if one of them is yes, and no only if all of them are no.

    The probability of several labels is the sum of theirs, at most 1: exact if a track has one
    label. What it settles counts as judged.
    """
    if matrix.soft is not None:
        return settled_labels(_recast_soft(matrix.soft, parts))
    shape = (matrix.n_tracks, len(parts))
    labels, mask = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for number, part in enumerate(parts):
        yes = (matrix.labels[:, part] & matrix.label_mask[:, part]).any(axis=1)
        labels[:, number] = yes
        mask[:, number] = yes | matrix.label_mask[:, part].all(axis=1)
    return LabelMatrix(labels, mask)


def _recast_soft(
    soft: npt.NDArray[np.float32], parts: list[Columns]
) -> npt.NDArray[np.float64]:
    """Return the probabilities of combined columns; NaN if one is unknown and none is yes."""
    whole = np.full((len(soft), len(parts)), np.nan)
    for number, part in enumerate(parts):
        own = soft[:, part].astype(np.float64)
        is_yes = (own == 1).any(axis=1)
        whole[:, number] = np.where(is_yes, 1.0, np.minimum(own.sum(axis=1), 1.0))
    return whole


def reference(
    library: Library,
    table: AnswerTable,
    track_ids: npt.NDArray[np.int64],
    is_audit: npt.NDArray[np.bool_],
    selection: Selection,
) -> tuple[str, LabelMatrix]:
    """Return whose answers are the reference on the audit tracks, and the reference labels."""
    people = {one.pk: one for one in Annotator.objects.filter(library=library)}
    # Ranks apply here as on the training side: a reference annotator overrides persons.
    kinds = (Annotator.Kind.PERSON, Annotator.Kind.REFERENCE)
    persons = [pk for pk, one in people.items() if one.kind in kinds]
    at_audit = is_audit[np.searchsorted(track_ids, table.tracks)]
    by_person = at_audit & np.isin(table.annotators, persons)
    n_persons = len(np.unique(table.tracks[by_person]))
    is_current = selection.judged_by == "current"
    is_enough = n_persons >= ENOUGH_PERSON_TRACKS
    rows = by_person if is_enough and not is_current else at_audit
    names = sorted(people[pk].name for pk in np.unique(table.annotators[rows]).tolist())
    found = aggregated(table, track_ids, selection, rows)
    return _judged_by(names, is_enough, is_current), found


def _judged_by(names: list[str], is_persons: bool, is_current: bool) -> str:
    """Return the names in words; the text is part of a snapshot's hash and must not change."""
    if not names:
        return "nobody: no audit track was judged yet"
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    if is_current:
        return f"the current curator: {shown}"
    if is_persons:
        return f"persons: {shown}"
    return (
        f"all selected: {shown} (fewer than {ENOUGH_PERSON_TRACKS} audit tracks were judged "
        "by persons)"
    )
