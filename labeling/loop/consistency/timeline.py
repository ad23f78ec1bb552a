"""Timeline: answers and label rates of each annotator, month by month."""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from labeling.loop.consistency.drift import PeriodStart, criteria_changes_of
from labeling.loop.consistency.label_rates import Counted, Filters, labels_in, read_counts
from labeling.models import Annotator, Label, Library
from labeling.models.rollups import UNKNOWN_DAY

Month = tuple[int, int]
_UNDATED: Month = (UNKNOWN_DAY.year, UNKNOWN_DAY.month)


@dataclass
class MonthlyWork:
    """The number of answers of an annotator: by month, by stratum, and without a date."""

    annotator: Annotator
    by_month: list[int]
    by_stratum: list[int]
    undated: int
    marks: list[int]

    @property
    def total(self) -> int:
        return sum(self.by_stratum)


@dataclass(frozen=True)
class Rate:
    """The rate at which an annotator gave a label."""

    yes: int
    judged: int
    by_month: list[float | None] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)

    @property
    def share(self) -> float | None:
        return self.yes / self.judged if self.judged else None

    @property
    def has_course(self) -> bool:
        """Say whether there are dated answers with the label to draw."""
        return any(self.by_month)


@dataclass(frozen=True)
class LabelRates:
    """A label, and the rate of each annotator in the order of `Timeline.work`."""

    label: Label
    rates: list[Rate]


@dataclass(frozen=True)
class Timeline:
    """All that the Consistency page shows over time."""

    months: list[Month]
    strata: list[str]
    work: list[MonthlyWork]
    cuts: list[PeriodStart]
    labels: list[LabelRates]
    #: For the chosen label: rows as `work`, columns as `strata`.
    by_stratum: list[list[Rate]]


def month_of(_: int, day: datetime.date) -> Month:
    return day.year, day.month


def timeline(library: Library, filters: Filters) -> Timeline:
    """Return the answers and the label rates by month and stratum."""
    counted = read_counts(library, filters, month_of)
    months = _months({key[2] for key in counted.answers} - {_UNDATED})
    strata = sorted({key[3] for key in counted.answers})
    cuts = criteria_changes_of(library)
    people = [
        one
        for one in Annotator.objects.filter(library=library)
        if any(key[0] == one.pk for key in counted.answers)
    ]
    labels = list(labels_in(library, filters).values())
    return Timeline(
        months=months,
        strata=strata,
        work=_work(people, counted, months, strata, cuts),
        cuts=[cut for cut in cuts if any(cut.concerns(one.pk) for one in people)],
        labels=_label_rates(labels, people, counted, months, cuts),
        by_stratum=[
            [_of_stratum(counted, one.pk, labels[0].pk, stratum) for stratum in strata]
            for one in people
        ]
        if filters.label_id is not None and labels
        else [],
    )


def _months(found: set[Month]) -> list[Month]:
    """Return all months from the first to the last, empty ones included."""
    if not found:
        return []
    (first, first_month), (last, last_month) = min(found), max(found)
    numbers = range(first * 12 + first_month - 1, last * 12 + last_month)
    return [(number // 12, number % 12 + 1) for number in numbers]


def _marks(
    annotator: Annotator,
    months: Sequence[Month],
    cuts: Sequence[PeriodStart],
    label: Label | None = None,
) -> list[int]:
    """Return the months of the criteria changes that concern this annotator and label."""
    days = [cut.day for cut in cuts if cut.concerns(annotator.pk, label)]
    found = {(day.year, day.month) for day in days}
    return [place for place, month in enumerate(months) if month in found]


def _work(
    people: Sequence[Annotator],
    counted: Counted,
    months: Sequence[Month],
    strata: Sequence[str],
    cuts: Sequence[PeriodStart],
) -> list[MonthlyWork]:
    by_month: dict[int, Counter[Month]] = defaultdict(Counter)
    by_stratum: dict[int, Counter[str]] = defaultdict(Counter)
    for (annotator_id, _, month, stratum), n in counted.answers.items():
        by_month[annotator_id][month] += n
        by_stratum[annotator_id][stratum] += n
    return [
        MonthlyWork(
            annotator=one,
            by_month=[by_month[one.pk][month] for month in months],
            by_stratum=[by_stratum[one.pk][stratum] for stratum in strata],
            undated=by_month[one.pk][_UNDATED],
            marks=_marks(one, months, cuts),
        )
        for one in people
    ]


def _label_rates(
    labels: Sequence[Label],
    people: Sequence[Annotator],
    counted: Counted,
    months: Sequence[Month],
    cuts: Sequence[PeriodStart],
) -> list[LabelRates]:
    yes, judged = _by_month(counted.yes), _by_month(counted.judged)
    rows = []
    for label in labels:
        rates = []
        for one in people:
            key = (one.pk, label.pk)
            monthly = [
                yes[key][month] / judged[key][month] if judged[key][month] else None
                for month in months
            ]
            total = (sum(yes[key].values()), sum(judged[key].values()))
            rates.append(Rate(*total, monthly, _marks(one, months, cuts, label)))
        if any(rate.judged for rate in rates):
            rows.append(LabelRates(label, rates))
    return rows


def _by_month(
    counts: Counter[tuple[int, int, Month, str]],
) -> dict[tuple[int, int], Counter[Month]]:
    summed: dict[tuple[int, int], Counter[Month]] = defaultdict(Counter)
    for (annotator_id, label_id, month, _), n in counts.items():
        summed[(annotator_id, label_id)][month] += n
    return summed


def _of_stratum(counted: Counted, annotator_id: int, label_id: int, stratum: str) -> Rate:
    keys = [
        key
        for key in counted.judged
        if key[0] == annotator_id and key[1] == label_id and key[3] == stratum
    ]
    return Rate(sum(counted.yes[key] for key in keys), sum(counted.judged[key] for key in keys))
