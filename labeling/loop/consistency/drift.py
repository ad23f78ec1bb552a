"""Drift: whether an annotator's use of a label changed between two periods.

Only tracks that nobody chose for their content can show that: audit and overlap tracks.
Acquired tracks change while people do not. If nothing was served, dated imported answers are
compared instead; how those tracks were chosen is not known, and the page says so.
"""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from labeling.loop.consistency.label_rates import Counted, Filters, labels_in, read_counts
from labeling.models import Annotator, AnswerDay, EraCut, Label, Library
from labeling.models.queue import Stratum
from labeling.models.rollups import UNKNOWN_DAY
from ml.consistency.drift import (
    Correction,
    corrected_changes,
    drift_verdict,
    label_rate_change,
    smallest_visible_change,
    tracks_needed,
)

#: Served in random order without suggestions, so they measure people.
DRIFT_STRATA = (Stratum.AUDIT, Stratum.OVERLAP)
IMPORTED = ""
IMPORTED_NAME = "imported"
#: The change a period should be long enough to show, as a factor of the label's rate.
WANTED_FACTOR = 2.0


@dataclass(frozen=True)
class Period:
    """Days from `first` to `last`, both included."""

    first: datetime.date
    last: datetime.date

    def __str__(self) -> str:
        return f"{self.first.isoformat()}/{self.last.isoformat()}"


@dataclass(frozen=True)
class PeriodStart:
    """A day from which criteria may be different, and why."""

    day: datetime.date
    reason: str
    annotator_id: int | None = None
    facet_id: int | None = None
    label_id: int | None = None

    def concerns(self, annotator_id: int, label: Label | None = None) -> bool:
        """Say whether this change concerns the annotator and the label."""
        if self.annotator_id not in (None, annotator_id):
            return False
        if label is None:
            return True
        return self.facet_id in (None, label.facet_id) and self.label_id in (None, label.pk)


@dataclass(frozen=True)
class _Test:
    annotator_id: int
    label: Label
    stratum: str
    before: Period
    after: Period
    yes: tuple[int, int]
    n: tuple[int, int]

    @property
    def counts(self) -> tuple[int, int, int, int]:
        return self.yes[0], self.n[0], self.yes[1], self.n[1]

    @property
    def p(self) -> float | None:
        return label_rate_change(*self.counts)


def criteria_changes_of(library: Library) -> list[PeriodStart]:
    """Return the known criteria changes, oldest first."""
    published = library.guidelines.filter(number__gt=0, published_at__isnull=False)
    cuts = [
        PeriodStart(one.published_at.date(), f"guideline {one.number}")
        for one in published
        if one.published_at is not None
    ]
    for era in EraCut.objects.filter(annotator__library=library).select_related("annotator"):
        reason = f"{era.annotator}: {era.reason or 'criteria ' + era.kind + ' changed'}"
        cuts.append(
            PeriodStart(era.at.date(), reason, era.annotator_id, era.facet_id, era.label_id)
        )
    return sorted(cuts, key=lambda cut: (cut.day, cut.reason))


def drift(library: Library, filters: Filters) -> list[dict[str, Any]]:
    """Compare consecutive periods of each annotator, label by label, FDR-controlled.

    1. Choose the unbiased stratum of each annotator.
    2. Divide their work at guideline and criteria changes; without any, by year or in halves.
    3. Test each label between neighbouring periods; correct over all tests of the report that
       can give a verdict.
    """
    days = _answer_days(library, filters)
    cuts = criteria_changes_of(library)
    tests: list[_Test] = []
    annotators = Annotator.objects.filter(library=library)
    for annotator in annotators:
        if not filters.has_annotator(annotator.pk):
            continue
        strata = _believable(days.get(annotator.pk, {}))
        if strata:
            per_day = _sum_days(days[annotator.pk], strata)
            for own, labels in _by_cuts(library, filters, annotator.pk, cuts):
                chosen = periods(per_day, own)
                tests += _tests(library, filters, annotator.pk, strata, chosen, labels)
    found = corrected_changes([test.counts for test in tests])
    names = {annotator.pk: annotator.name for annotator in annotators}
    return [_row(test, found, n, names) for n, test in enumerate(tests)]


def _answer_days(
    library: Library, filters: Filters
) -> dict[int, dict[str, Counter[datetime.date]]]:
    """Return annotator id -> stratum -> day -> complete answers, dated ones only."""
    found: dict[int, dict[str, Counter[datetime.date]]] = defaultdict(
        lambda: defaultdict(Counter)
    )
    rows = filters.of_days(AnswerDay.objects.filter(label_set__facet__library=library))
    if filters.facet_id is not None:
        rows = rows.filter(label_set__facet_id=filters.facet_id)
    rows = rows.exclude(day=UNKNOWN_DAY)
    for annotator_id, stratum, day, n in rows.values_list(
        "annotator_id", "stratum", "day", "n"
    ):
        found[annotator_id][stratum][day] += n
    return found


def _believable(by_stratum: dict[str, Counter[datetime.date]]) -> tuple[str, ...]:
    measuring = tuple(str(one) for one in DRIFT_STRATA if one in by_stratum)
    if measuring:
        return measuring
    return (IMPORTED,) if IMPORTED in by_stratum else ()


def _sum_days(
    by_stratum: dict[str, Counter[datetime.date]], strata: Sequence[str]
) -> Counter[datetime.date]:
    per_day: Counter[datetime.date] = Counter()
    for stratum in strata:
        per_day.update(by_stratum[stratum])
    return per_day


def periods(per_day: Counter[datetime.date], cuts: Sequence[datetime.date]) -> list[Period]:
    """Divide the days of work: at the changes, else by year, else in halves of answers."""
    first, last = min(per_day), max(per_day)
    starts = sorted({cut for cut in cuts if first < cut <= last})
    if not starts:
        starts = [datetime.date(year, 1, 1) for year in range(first.year + 1, last.year + 1)]
    if not starts:
        starts = _halfway(per_day)
    edges = [first, *starts, last + datetime.timedelta(days=1)]
    return [Period(a, b - datetime.timedelta(days=1)) for a, b in pairwise(edges)]


def _halfway(per_day: Counter[datetime.date]) -> list[datetime.date]:
    half, seen = sum(per_day.values()) / 2, 0
    for day in sorted(per_day):
        if seen >= half:
            return [day]
        seen += per_day[day]
    return []


def _by_cuts(
    library: Library, filters: Filters, annotator_id: int, cuts: Sequence[PeriodStart]
) -> Iterator[tuple[list[datetime.date], list[Label]]]:
    """Yield the days of criteria changes of an annotator, and the labels that they concern."""
    found: dict[tuple[datetime.date, ...], list[Label]] = defaultdict(list)
    for label in labels_in(library, filters).values():
        own = {cut.day for cut in cuts if cut.concerns(annotator_id, label)}
        found[tuple(sorted(own))].append(label)
    for days, labels in found.items():
        yield list(days), labels


def _tests(
    library: Library,
    filters: Filters,
    annotator_id: int,
    strata: Sequence[str],
    chosen: Sequence[Period],
    labels: Sequence[Label],
) -> Iterator[_Test]:
    def period_of(_: int, day: datetime.date) -> int | None:
        inside = (n for n, one in enumerate(chosen) if one.first <= day <= one.last)
        return next(inside, None)

    mine = replace(filters, annotator_ids=frozenset([annotator_id]), strata=frozenset(strata))
    counted = read_counts(library, mine, period_of)
    name = "+".join(strata) if IMPORTED not in strata else IMPORTED_NAME
    for label in labels:
        for n in range(len(chosen) - 1):
            yes, judged = _cells(counted, annotator_id, label.pk, (n, n + 1), strata)
            if any(yes):
                yield _Test(annotator_id, label, name, chosen[n], chosen[n + 1], yes, judged)


def _cells(
    counted: Counted,
    annotator_id: int,
    label_id: int,
    pair: tuple[int, int],
    strata: Sequence[str],
) -> tuple[tuple[int, int], tuple[int, int]]:
    yes, judged = [], []
    for n in pair:
        keys = [(annotator_id, label_id, n, stratum) for stratum in strata]
        yes.append(sum(counted.yes[key] for key in keys))
        judged.append(sum(counted.judged[key] for key in keys))
    return (yes[0], yes[1]), (judged[0], judged[1])


def _row(test: _Test, found: Correction, place: int, names: dict[int, str]) -> dict[str, Any]:
    rates = [yes / n if n else None for yes, n in zip(test.yes, test.n, strict=True)]
    q, is_tested = float(found.q[place]), bool(found.is_tested[place])
    return {
        "annotator": names[test.annotator_id],
        "label": test.label.name,
        "period_before": str(test.before),
        "period_after": str(test.after),
        "rate_before": rates[0],
        "rate_after": rates[1],
        "n_before": test.n[0],
        "n_after": test.n[1],
        "p": test.p,
        "q": None if test.p is None else q,
        "is_tested": is_tested,
        "stratum": test.stratum,
        "verdict": _verdict(test, q if is_tested else None, found.n_tests),
    }


def _verdict(test: _Test, q: float | None, n_tests: int) -> str:
    said = drift_verdict(test.n[0], test.n[1], q)
    if said == "changed":
        return f"changed: {_factor(test)}"
    return f"{said}: {_not_seen(test, n_tests)}"


def _factor(test: _Test) -> str:
    before, after = (yes / n for yes, n in zip(test.yes, test.n, strict=True))
    return f"x{after / before:.2g}" if before else "new"


def _not_seen(test: _Test, n_tests: int) -> str:
    """Return the smallest visible change, and how many more tracks would show a doubling."""
    rate = sum(test.yes) / sum(test.n) if sum(test.n) else 0.0
    if not 0 < rate < 1:
        return "every answer says the same"
    level = 0.05 / max(1, n_tests)
    visible = smallest_visible_change(rate, test.n[0], test.n[1], significance=level)
    smallest = f"x{visible.rise:.1f}" if visible.rise else "none"
    needed = tracks_needed(rate, WANTED_FACTOR, test.n[0], significance=level)
    if needed is None:
        more = f"x{WANTED_FACTOR:g} needs a longer earlier period"
    elif needed > test.n[1]:
        more = f"{needed - test.n[1]} more tracks would show x{WANTED_FACTOR:g}"
    else:
        more = f"x{WANTED_FACTOR:g} would have been seen"
    return f"smallest change visible {smallest}, {more}"
