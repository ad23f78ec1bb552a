"""Label rates, read from the roll-ups with merged labels resolved."""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, QuerySet

from labeling.loop.consistency.independent import Offers, independent_answers
from labeling.loop.library.taxonomy import resolutions
from labeling.models import AnswerDay, Judgement, Label, LabelDay, LabelSet, Library

#: The key of a count: annotator, label or facet, period, stratum.
Key = tuple[int, int, Any, str]
Bucket = Callable[[int, datetime.date], Any]


@dataclass(frozen=True)
class Filters:
    """Filters of the figures; an empty field means all. Days are inclusive."""

    annotator_ids: frozenset[int] = frozenset()
    facet_id: int | None = None
    label_id: int | None = None
    strata: frozenset[str] | None = None
    since: datetime.date | None = None
    until: datetime.date | None = None

    def of_days(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the rows of a roll-up by annotator, stratum and day."""
        if self.annotator_ids:
            rows = rows.filter(annotator_id__in=self.annotator_ids)
        if self.strata is not None:
            rows = rows.filter(stratum__in=self.strata)
        if self.since is not None:
            rows = rows.filter(day__gte=self.since)
        if self.until is not None:
            rows = rows.filter(day__lte=self.until)
        return rows

    def takes(self, annotator_id: int, day: datetime.date, stratum: str) -> bool:
        """Apply to one answer the filter that `of_days` applies to rows."""
        return (
            (not self.annotator_ids or annotator_id in self.annotator_ids)
            and (self.strata is None or stratum in self.strata)
            and (self.since is None or day >= self.since)
            and (self.until is None or day <= self.until)
        )

    def has_annotator(self, annotator_id: int) -> bool:
        return not self.annotator_ids or annotator_id in self.annotator_ids


@dataclass
class Counted:
    """Answers by facet; yes and judged answers by label."""

    answers: Counter[Key] = field(default_factory=Counter)
    yes: Counter[Key] = field(default_factory=Counter)
    judged: Counter[Key] = field(default_factory=Counter)

    def rate(self, key: Key) -> float | None:
        judged = self.judged[key]
        return self.yes[key] / judged if judged else None


def labels_in(library: Library, filters: Filters) -> dict[int, Label]:
    """Return the labels to report on: those that count as themselves, in page order."""
    in_use = Label.objects.in_use()
    rows = in_use.filter(facet__library=library, merged_into__isnull=True)
    if filters.facet_id is not None:
        rows = rows.filter(facet_id=filters.facet_id)
    if filters.label_id is not None:
        rows = rows.filter(pk=filters.label_id)
    ordered = rows.select_related("facet").order_by("facet__position", "position", "name_key")
    return {label.pk: label for label in ordered}


def read_counts(library: Library, filters: Filters, bucket: Bucket) -> Counted:
    """Sum the roll-ups by annotator, label, bucket of days and stratum.

    1. Sum the complete answers by label set, and the yes and unsure by label.
    2. Subtract tracks counted twice because both of two merged labels were given.
    3. Judged: the answers whose label set had the label, without the unsure ones.

    `bucket` gives the period of an annotator's day; None leaves the day out.
    """
    labels, resolve = labels_in(library, filters), resolutions(library)
    counted, by_set = Counted(), Counter[Key]()
    offers, facet_of = Offers(library), _facet_of(library)
    rows = filters.of_days(AnswerDay.objects.filter(label_set__facet__library=library))
    for annotator_id, set_id, day, stratum, n in rows.values_list(
        "annotator_id", "label_set_id", "day", "stratum", "n"
    ).iterator(chunk_size=5_000):
        if (period := bucket(annotator_id, day)) is not None:
            by_set[(annotator_id, set_id, period, stratum)] += n
    unsure = Counter[Key]()
    for annotator_id, label_id, day, stratum, yes, not_sure in _label_days(library, filters):
        period = bucket(annotator_id, day)
        label_id = resolve.get(label_id, label_id)
        if period is not None and label_id in labels:
            counted.yes[(annotator_id, label_id, period, stratum)] += yes
            unsure[(annotator_id, label_id, period, stratum)] += not_sure
    for (annotator_id, set_id, period, stratum), n in by_set.items():
        if filters.facet_id in (None, facet_of[set_id]):
            counted.answers[(annotator_id, facet_of[set_id], period, stratum)] += n
        offered = {resolve.get(one, one) for one in offers.labels_of.get(set_id, ())}
        for label_id in offered & labels.keys():
            counted.judged[(annotator_id, label_id, period, stratum)] += n
    counted.judged.subtract(unsure)
    return counted


def _facet_of(library: Library) -> dict[int, int]:
    return dict(LabelSet.objects.filter(facet__library=library).values_list("id", "facet_id"))


def _label_days(
    library: Library, filters: Filters
) -> Iterator[tuple[int, int, datetime.date, str, int, int]]:
    rows = filters.of_days(LabelDay.objects.filter(label__facet__library=library))
    yield from rows.values_list(
        "annotator_id", "label_id", "day", "stratum", "yes", "unsure"
    ).iterator(chunk_size=5_000)
    yield from _counted_twice(library, filters)


def _counted_twice(
    library: Library, filters: Filters
) -> Iterator[tuple[int, int, datetime.date, str, int, int]]:
    """Yield negative corrections for answers that have several merged labels."""
    resolve = resolutions(library)
    groups: dict[int, set[int]] = defaultdict(set)
    for label_id, target in resolve.items():
        groups[target] |= {label_id, target}
    for target, members in groups.items():
        several = (
            Judgement.objects.filter(label_id__in=members, value__gte=Judgement.UNSURE)
            .order_by()
            .values("answer_id")
            .annotate(n=Count("id"))
            .filter(n__gt=1)
            .values_list("answer__annotation__track_id", flat=True)
        )
        for answer in independent_answers(library, several):
            yes, unsure = len(answer.yes & members), len(answer.unsure & members)
            look = answer.look
            if not answer.is_complete or yes + unsure < 2:
                continue
            if filters.takes(look.annotator_id, look.day, look.stratum):
                right = (min(yes, 1), 0 if yes else 1)
                yield (
                    look.annotator_id,
                    target,
                    look.day,
                    look.stratum,
                    right[0] - yes,
                    right[1] - unsure,
                )
