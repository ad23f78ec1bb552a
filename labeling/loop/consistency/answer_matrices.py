"""Answer matrices, to compare annotators with each other and with themselves."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, groupby

import numpy as np
import numpy.typing as npt
from django.db.models import Count

from labeling.loop.consistency.independent import CountedAnswer, Offers, independent_answers
from labeling.loop.consistency.label_rates import Filters, labels_in
from labeling.loop.library.taxonomy import resolutions
from labeling.models import Annotation, Library
from ml.types import LabelMatrix

Bools = npt.NDArray[np.bool_]
_DAY_S = 86_400.0


@dataclass(frozen=True)
class FacetAnswers:
    """The answers to one facet, one per row; rows of a track are in order of answering.

    `days` is the time of each answer in days, NaN where the source gives no date.
    """

    facet_id: int
    label_ids: list[int]
    annotators: npt.NDArray[np.int_]
    tracks: npt.NDArray[np.int_]
    days: npt.NDArray[np.float64]
    answers: LabelMatrix

    def of(self, annotator_id: int) -> npt.NDArray[np.intp]:
        """Return the rows of one annotator."""
        return np.flatnonzero(self.annotators == annotator_id)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield the pairs of annotators who judged a track in common, the smaller id first."""
        tracks = {one: self.tracks[self.of(one)] for one in np.unique(self.annotators).tolist()}
        for a, b in combinations(sorted(tracks), 2):
            if np.isin(tracks[a], tracks[b]).any():
                yield a, b


def shared_answers(library: Library, filters: Filters) -> list[FacetAnswers]:
    """Return the newest answer of each annotator to the tracks that two or more judged."""
    looks = Annotation.objects.filter(library=library, kind__in=Annotation.INDEPENDENT)
    tracks = (
        looks.order_by()
        .values("track_id")
        .annotate(n=Count("annotator_id", distinct=True))
        .filter(n__gt=1)
        .values_list("track_id", flat=True)
    )
    return _matrices(library, filters, _newest(independent_answers(library, tracks)))


def repeated_answers(library: Library, filters: Filters) -> list[FacetAnswers]:
    """Return all answers to the tracks that someone judged more than once."""
    looks = Annotation.objects.filter(library=library, kind__in=Annotation.INDEPENDENT)
    tracks = (
        looks.order_by()
        .values("annotator_id", "track_id")
        .annotate(n=Count("id"))
        .filter(n__gt=1)
        .values_list("track_id", flat=True)
    )
    return _matrices(library, filters, independent_answers(library, tracks))


def _newest(answers: Iterable[CountedAnswer]) -> Iterator[CountedAnswer]:
    for _, of_track in groupby(answers, key=lambda answer: answer.look.track_id):
        last = {(one.look.annotator_id, one.facet_id): one for one in of_track}
        yield from last.values()


class _Columns:
    """The columns of a facet and the values of an answer in them, merged labels resolved."""

    def __init__(self, label_ids: list[int], resolve: dict[int, int], offers: Offers) -> None:
        self.label_ids = label_ids
        self.offers = offers
        place = {label_id: column for column, label_id in enumerate(label_ids)}
        self.column = place | {
            label_id: place[target] for label_id, target in resolve.items() if target in place
        }
        self.offered: dict[int, Bools] = {}

    def row(self, answer: CountedAnswer) -> tuple[Bools, Bools]:
        """Return (labels, judged) of an answer; a yes to one of two merged labels is a yes."""
        labels = judged = self._flags(answer.yes)
        if answer.no:
            judged = judged | self._flags(answer.no)
        if answer.is_complete:
            judged = judged | self._offered(answer.label_set_id)
        if answer.unsure:
            judged = judged & (labels | ~self._flags(answer.unsure))
        return labels, judged

    def _offered(self, label_set_id: int) -> Bools:
        if label_set_id not in self.offered:
            label_ids = self.offers.labels_of.get(label_set_id, frozenset())
            self.offered[label_set_id] = self._flags(label_ids)
        return self.offered[label_set_id]

    def _flags(self, label_ids: Iterable[int]) -> Bools:
        flags = np.zeros(len(self.label_ids), dtype=bool)
        flags[[self.column[one] for one in label_ids if one in self.column]] = True
        return flags


def _matrices(
    library: Library, filters: Filters, answers: Iterable[CountedAnswer]
) -> list[FacetAnswers]:
    resolve, offers = resolutions(library), Offers(library)
    columns: dict[int, list[int]] = defaultdict(list)
    for label in labels_in(library, filters).values():
        columns[label.facet_id].append(label.pk)
    readers = {
        facet_id: _Columns(label_ids, resolve, offers)
        for facet_id, label_ids in columns.items()
    }
    said: dict[int, tuple[list[int], list[int], list[float], list[Bools], list[Bools]]] = {
        facet_id: ([], [], [], [], []) for facet_id in readers
    }
    for answer in answers:
        if answer.facet_id not in said or not filters.has_annotator(answer.look.annotator_id):
            continue
        annotators, tracks, days, labels, judged = said[answer.facet_id]
        yes, seen = readers[answer.facet_id].row(answer)
        annotators.append(answer.look.annotator_id)
        tracks.append(answer.look.track_id)
        days.append(_days(answer.look.answered_at))
        labels.append(yes)
        judged.append(seen)
    return [
        FacetAnswers(
            facet_id,
            readers[facet_id].label_ids,
            np.array(annotators, dtype=np.int_),
            np.array(tracks, dtype=np.int_),
            np.array(days, dtype=np.float64),
            LabelMatrix(
                np.array(labels, dtype=bool).reshape(-1, len(readers[facet_id].label_ids)),
                np.array(judged, dtype=bool).reshape(-1, len(readers[facet_id].label_ids)),
            ),
        )
        for facet_id, (annotators, tracks, days, labels, judged) in said.items()
        if annotators
    ]


def _days(moment: datetime.datetime | None) -> float:
    return float("nan") if moment is None else moment.timestamp() / _DAY_S
