"""Export of the consensus: one row per judged track, with probabilities."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labeling.loop.exporting.tables import (
    YES,
    ExportLabels,
    label_cells,
    label_columns,
    track_chunks,
)
from labeling.loop.importing.csv.columns import facet_named
from labeling.loop.library.weighing import facet_limits, ranks_of
from labeling.models import Annotator, CurrentAnswer, Judgement, LabelSetMember, Library
from labeling.names import name_key
from ml.consistency.consensus import Ballots, Combined, combined
from ml.types import LabelMatrix


@dataclass(frozen=True)
class _Read:
    """The answers of a library: the keys of judged tracks, how many annotators, all answers."""

    keys: list[str]
    n_annotators: list[int]
    ballots: Ballots


def consensus_rows(library: Library, aggregation: str) -> Iterator[list[str]]:
    """Yield, for each judged track, the labels that its annotators agree on.

    1. Read all answers but those of models; where a person judged a label, imported answers for
       it are not used.
    2. Combine them as a snapshot does.
    3. Write the labels, and behind them the probability of each and the number of annotators
       who judged it.
    """
    names = ExportLabels(library)
    left_out = names.merged.keys() | names.withdrawn
    columns = [label_id for label_id in names.names if label_id not in left_out]
    read = _all_answers(library, names, columns)
    facets = [names.facet_of[label_id] for label_id in columns]
    whole = combined(read.ballots, aggregation, facet_limits(facets))
    given = _given(whole, np.array(facets), is_guess=aggregation == "facet")
    widths = {
        facet_id: int(given[:, [one == facet_id for one in facets]].sum(axis=1).max(initial=0))
        for facet_id in dict.fromkeys(facets)
    }
    header = label_columns(names, widths)
    keys = {facet.name_key for facet in names.facets.values()}
    behind = [
        _not_a_facet(f"{column}_{what}", keys)
        for column in header
        for what in ("probability", "n")
    ]
    yield ["filename", "annotators", *header, *behind]
    for n, key in enumerate(read.keys):
        by_facet: dict[int, set[int]] = defaultdict(set)
        for column in np.flatnonzero(given[n]).tolist():
            by_facet[facets[column]].add(columns[column])
        yield [
            key,
            str(read.n_annotators[n]),
            *label_cells(names, widths, by_facet),
            *_figures(names, widths, by_facet, _by_label(whole, n, columns)),
        ]


def _not_a_facet(name: str, facets: set[str]) -> str:
    """Return a column name that an import does not read as a facet."""
    while facet_named(name_key(name), facets):
        name += "_"
    return name


def _given(
    whole: Combined, facets: npt.NDArray[np.int_], *, is_guess: bool
) -> npt.NDArray[np.bool_]:
    """Return the labels to write: those that are settled; by facet, the most probable ones.

    A facet in which no label is more probable than not, although one applies, has its most
    probable label, unless two are equally probable.
    """
    if not is_guess:
        return whole.matrix.labels & whole.matrix.label_mask
    given = whole.probabilities > 0.5
    for facet in np.unique(facets):
        columns = np.flatnonzero(facets == facet)
        own = whole.probabilities[:, columns]
        best = own == own.max(axis=1, keepdims=True)
        is_open = ~given[:, columns].any(axis=1) & (own.sum(axis=1) > 0.5)
        is_open &= best.sum(axis=1) == 1
        given[:, columns] |= best & is_open[:, None]
    return given


def _by_label(whole: Combined, n: int, columns: list[int]) -> dict[int, tuple[float, int]]:
    """Return probability and number of annotators of each label of a track."""
    values = zip(whole.probabilities[n].tolist(), whole.n_answers[n].tolist(), strict=True)
    return dict(zip(columns, values, strict=True))


def _figures(
    names: ExportLabels,
    widths: dict[int, int],
    by_facet: dict[int, set[int]],
    values: dict[int, tuple[float, int]],
) -> list[str]:
    cells: list[str] = []
    for facet_id in names.facets:
        labels = names.in_order(by_facet.get(facet_id, set()))
        for label_id in labels:
            probability, n = values[label_id]
            cells += [f"{probability:.4g}", str(n)]
        cells += [""] * (2 * (widths.get(facet_id, 0) - len(labels)))
    return cells


def _all_answers(library: Library, names: ExportLabels, columns: list[int]) -> _Read:
    place = {label_id: n for n, label_id in enumerate(columns)}
    offers: dict[int, list[int]] = {}
    keys: list[str] = []
    counts: list[int] = []
    pairs: list[tuple[int, int]] = []
    blocks = [LabelMatrix(*np.zeros((2, 0, len(columns)), dtype=bool))]
    for tracks in track_chunks(library):
        answers = _answers([track.pk for track in tracks])
        voters = Counter(track_id for track_id, _ in answers)
        judged = [track for track in tracks if track.pk in voters]
        rows = {track.pk: len(keys) + n for n, track in enumerate(judged)}
        keys += [track.key for track in judged]
        counts += [voters[track.pk] for track in judged]
        pairs += [(rows[track_id], annotator_id) for track_id, annotator_id in answers]
        blocks.append(_matrix(answers, names, place, offers))
    where, who = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    people, annotators = np.unique(who, return_inverse=True)
    ballots = Ballots(
        answers=LabelMatrix(
            np.concatenate([one.labels for one in blocks]),
            np.concatenate([one.label_mask for one in blocks]),
        ),
        tracks=where,
        annotators=annotators.reshape(-1),
        ranks=ranks_of(people)[annotators.reshape(-1)],
        facets=[names.facet_of[label_id] for label_id in columns],
        n_tracks=len(keys),
    )
    return _Read(keys, counts, ballots)


def _answers(track_ids: list[int]) -> dict[tuple[int, int], list[tuple[int, int, bool]]]:
    """Return (track, annotator) -> (answer id, label set id, is complete) of each facet."""
    rows = (
        CurrentAnswer.objects.filter(track_id__in=track_ids, answer__isnull=False)
        .exclude(annotator__kind=Annotator.Kind.MODEL)
        .order_by("track_id", "annotator_id")
    )
    found: dict[tuple[int, int], list[tuple[int, int, bool]]] = defaultdict(list)
    for row in rows.values_list(
        "track_id",
        "annotator_id",
        "answer_id",
        "answer__label_set_id",
        "answer__is_complete",
    ):
        found[row[:2]].append(row[2:])
    return found


def _matrix(
    by_annotator: dict[tuple[int, int], list[tuple[int, int, bool]]],
    names: ExportLabels,
    place: dict[int, int],
    offers: dict[int, list[int]],
) -> LabelMatrix:
    """Return the labels of each track and annotator: yes, no, or not judged."""
    answers = [answer for facets in by_annotator.values() for answer in facets]
    _read_offers({answer[1] for answer in answers} - offers.keys(), names, place, offers)
    judgements: dict[int, list[tuple[int, int]]] = defaultdict(list)
    judged = Judgement.objects.filter(answer_id__in=[answer[0] for answer in answers])
    for answer_id, label_id, value in judged.order_by("value").values_list(
        "answer_id", "label_id", "value"
    ):
        column = place.get(names.resolved(label_id))
        if column is not None:
            judgements[answer_id].append((column, value))
    labels = np.zeros((len(by_annotator), len(place)), dtype=bool)
    mask = np.zeros_like(labels)
    for row, facets in enumerate(by_annotator.values()):
        for answer_id, label_set_id, is_complete in facets:
            if is_complete:
                mask[row, offers[label_set_id]] = True
            for column, value in judgements[answer_id]:  # yes comes after unsure and no
                labels[row, column], mask[row, column] = value == YES, value != Judgement.UNSURE
    return LabelMatrix(labels, mask)


def _read_offers(
    missing: set[int], names: ExportLabels, place: dict[int, int], offers: dict[int, list[int]]
) -> None:
    offers.update({label_set_id: [] for label_set_id in missing})
    rows = LabelSetMember.objects.filter(label_set_id__in=missing)
    for label_set_id, label_id in rows.values_list("label_set_id", "label_id"):
        column = place.get(names.resolved(label_id))
        if column is not None:
            offers[label_set_id].append(column)
