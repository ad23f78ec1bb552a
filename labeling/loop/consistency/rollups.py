"""Roll-ups: counts by day and by pair of annotators, updated from dirty keys.

Every event leaves a DirtyKey. `measure` reads all of them, counts the days and pairs that they
concern again from the events, and commits counts and keys in one short transaction. Two
concurrent measurements read overlapping keys; the second to commit finds its keys gone and
starts again, so that counts read before an event never replace counts read after it.
"""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import models
from django.db.models import F, Q

from labeling.batching import batches
from labeling.bulk_rows import insert_rows
from labeling.loop.consistency.independent import (
    ROWS_A_READ,
    CountedAnswer,
    Offers,
    among,
    day_of,
    independent_answers,
)
from labeling.models import (
    AgreementFigures,
    Annotation,
    Annotator,
    AnswerDay,
    DirtyKey,
    LabelDay,
    Library,
    PairCell,
    Track,
)
from labeling.models.rollups import UNKNOWN_DAY
from labeling.writing import short_write

#: Rows of one insert, so that a statement stays short on SQLite.
WRITE_ROWS = 500
#: A concurrent measurement makes us start again; more often than this is a bug.
_ATTEMPTS = 20

Day = tuple[int, datetime.date]
Pair = tuple[int, int]


class Overtaken(Exception):
    """Another process has counted the same keys."""


@dataclass
class Touched:
    """The days and pairs that the dirty keys concern."""

    key_ids: list[int]
    days: dict[int, set[datetime.date]] = field(default_factory=lambda: defaultdict(set))
    tracks: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))


@dataclass
class Counts:
    """The new counts, by the key of their row."""

    answers: Counter[tuple[int, int, datetime.date, str]] = field(default_factory=Counter)
    yes: Counter[tuple[int, int, datetime.date, str]] = field(default_factory=Counter)
    unsure: Counter[tuple[int, int, datetime.date, str]] = field(default_factory=Counter)
    no: Counter[tuple[int, int, datetime.date, str]] = field(default_factory=Counter)
    pairs: dict[Pair, PairCounts] = field(default_factory=dict)


@dataclass
class PairCounts:
    """Counts of a pair by label: tracks that both judged, both gave, only one gave."""

    judged: Counter[int] = field(default_factory=Counter)
    both: Counter[int] = field(default_factory=Counter)
    only_a: Counter[int] = field(default_factory=Counter)
    only_b: Counter[int] = field(default_factory=Counter)

    def add(self, a: CountedAnswer, b: CountedAnswer, offers: Offers) -> None:
        judged = offers.judged(a) & offers.judged(b)
        self.judged.update(judged)
        self.both.update(a.yes & b.yes & judged)
        self.only_a.update((a.yes & judged) - b.yes)
        self.only_b.update((b.yes & judged) - a.yes)


def measure(library: Library) -> dict[str, int]:
    """Count again what events have made dirty; return how many keys, days and pairs.

    1. Read every dirty key of the library, and from the events what they touch.
    2. Count, without a transaction.
    3. Commit counts and keys together, or start again if another process was faster.
    """
    for _ in range(_ATTEMPTS):
        touched = _touched(library)
        if not touched.key_ids:
            return {"keys": 0, "days": 0, "pairs": 0}
        counts = _count(library, touched)
        try:
            _commit(library, touched, counts)
        except Overtaken:
            continue
        return {
            "keys": len(touched.key_ids),
            "days": sum(len(days) for days in touched.days.values()),
            "pairs": len(counts.pairs),
        }
    raise Overtaken(f"{library.slug}: other processes were measuring all the time: try again")


def rebuild_rollups(library: Library) -> dict[str, int]:
    """Count everything again, ignoring the present roll-ups."""
    _mark_all(library)
    return measure(library)


def _touched(library: Library) -> Touched:
    touched = Touched([])
    keys = DirtyKey.objects.filter(library=library).order_by("id")
    for id_, annotator_id, track_id, day in keys.values_list(
        "id", "annotator_id", "track_id", "day"
    ).iterator(chunk_size=5_000):
        touched.key_ids.append(id_)
        touched.days[annotator_id].add(day)
        touched.tracks[annotator_id].add(track_id)
    for annotator_id, track_ids in touched.tracks.items():
        for row in _looks_on(annotator_id, sorted(track_ids)):
            touched.days[annotator_id].add(day_of(row))
    return touched


def _looks_on(annotator_id: int, track_ids: list[int]) -> Iterator[datetime.datetime | None]:
    for chunk in batches(track_ids, ROWS_A_READ):
        yield from (
            Annotation.objects.filter(
                among("track_id", chunk),
                annotator_id=annotator_id,
                kind__in=Annotation.INDEPENDENT,
            )
            .order_by()
            .values_list("answered_at", flat=True)
            .distinct()
        )


def _count(library: Library, touched: Touched) -> Counts:
    counts, offers = Counts(), Offers(library)
    for annotator_id, days in touched.days.items():
        track_ids = _tracks_of_days(annotator_id, days)
        for answer in independent_answers(library, track_ids, [annotator_id]):
            if answer.look.day in days and answer.is_complete:
                _count_answer(counts, answer)
    wanted = _pairs_touched(library, touched)
    counts.pairs = {pair: PairCounts() for pair in wanted}
    for pair, a, b in overlapping(library, wanted):
        counts.pairs[pair].add(a, b, offers)
    return counts


def _count_answer(counts: Counts, answer: CountedAnswer) -> None:
    look = answer.look
    counts.answers[(look.annotator_id, answer.label_set_id, look.day, look.stratum)] += 1
    for counter, label_ids in (
        (counts.yes, answer.yes),
        (counts.unsure, answer.unsure),
        (counts.no, answer.no),
    ):
        for label_id in label_ids:
            counter[(look.annotator_id, label_id, look.day, look.stratum)] += 1


def _tracks_of_days(annotator_id: int, days: set[datetime.date]) -> set[int]:
    """Return the tracks that the annotator labelled on these days."""
    looks = Annotation.objects.filter(
        annotator_id=annotator_id, kind__in=Annotation.INDEPENDENT
    ).order_by()
    found: set[int] = set()
    for first, last in _spans(days - {UNKNOWN_DAY}):
        rows = looks.filter(answered_at__gte=_midnight(first), answered_at__lt=_after(last))
        for track_id, moment in rows.values_list("track_id", "answered_at").iterator():
            if day_of(moment) in days:
                found.add(track_id)
    if UNKNOWN_DAY in days:
        found.update(looks.filter(answered_at=None).values_list("track_id", flat=True))
    return found


def _spans(days: Iterable[datetime.date]) -> Iterator[tuple[datetime.date, datetime.date]]:
    """Join days at most a month apart, so that two years of work are a few queries."""
    first = last = None
    for day in sorted(days):
        if first is None or last is None or (day - last).days > 31:
            if first is not None and last is not None:
                yield first, last
            first = day
        last = day
    if first is not None and last is not None:
        yield first, last


def _midnight(day: datetime.date) -> datetime.datetime:
    return datetime.datetime.combine(day, datetime.time.min, datetime.UTC)


def _after(day: datetime.date) -> datetime.datetime:
    return _midnight(day) + datetime.timedelta(days=1)


def _pairs_touched(library: Library, touched: Touched) -> set[Pair]:
    """Return the pairs with an annotator and another one who also judged a dirty track."""
    found: set[Pair] = set()
    for annotator_id, track_ids in touched.tracks.items():
        others: set[int] = set()
        for chunk in batches(sorted(track_ids), ROWS_A_READ):
            others.update(
                Annotation.objects.filter(
                    among("track_id", chunk), library=library, kind__in=Annotation.INDEPENDENT
                )
                .exclude(annotator_id=annotator_id)
                .order_by()
                .values_list("annotator_id", flat=True)
                .distinct()
            )
        found.update((min(annotator_id, one), max(annotator_id, one)) for one in others)
    return found


def overlapping(
    library: Library, pairs: Collection[Pair]
) -> Iterator[tuple[Pair, CountedAnswer, CountedAnswer]]:
    """Yield, for each pair, the newest answers of both to each track and facet they share."""
    annotator_ids = sorted({one for pair in pairs for one in pair})
    track_ids = {one: _tracks_of(one) for one in annotator_ids}
    shared = set().union(*(track_ids[a] & track_ids[b] for a, b in pairs)) if pairs else set()
    newest: dict[tuple[int, int], dict[int, CountedAnswer]] = defaultdict(dict)
    ordered = sorted(shared)
    for chunk in batches(ordered, ROWS_A_READ):
        newest.clear()
        for answer in independent_answers(library, chunk, annotator_ids):
            newest[(answer.look.track_id, answer.facet_id)][answer.look.annotator_id] = answer
        for by_annotator in newest.values():
            for pair in pairs:
                if pair[0] in by_annotator and pair[1] in by_annotator:
                    yield pair, by_annotator[pair[0]], by_annotator[pair[1]]


def _tracks_of(annotator_id: int) -> set[int]:
    rows = Annotation.objects.filter(
        annotator_id=annotator_id, kind__in=Annotation.INDEPENDENT
    ).order_by()
    return set(rows.values_list("track_id", flat=True).distinct())


def _commit(library: Library, touched: Touched, counts: Counts) -> None:
    """Replace the touched rows, if their keys are still there.

    From this commit on, figures computed from the former counts are outdated.
    """
    with short_write():
        taken = 0
        for chunk in batches(touched.key_ids, WRITE_ROWS):
            taken += DirtyKey.objects.filter(pk__in=chunk).delete()[0]
        if taken != len(touched.key_ids):
            raise Overtaken
        for annotator_id, days in touched.days.items():
            for some in batches(_sorted(days), WRITE_ROWS):
                wanted = Q(annotator_id=annotator_id, day__in=some)
                AnswerDay.objects.filter(wanted).delete()
                LabelDay.objects.filter(wanted).delete()
        for a, b in counts.pairs:
            PairCell.objects.filter(a_id=a, b_id=b).delete()
        insert_rows(AnswerDay, _ANSWER_DAY, _answer_rows(counts))
        insert_rows(LabelDay, _LABEL_DAY, _label_rows(counts))
        insert_rows(PairCell, _PAIR_CELL, _pair_rows(counts))
        AgreementFigures.objects.get_or_create(library=library)
        AgreementFigures.objects.filter(library=library).update(counted=F("counted") + 1)


def _sorted(days: Iterable[datetime.date]) -> Any:
    return sorted(days)


def _insert(model: type[models.Model], rows: list[Any]) -> None:
    model._default_manager.bulk_create(rows, batch_size=WRITE_ROWS)


_ANSWER_DAY = ("annotator_id", "label_set_id", "day", "stratum", "n")
_LABEL_DAY = ("annotator_id", "label_id", "day", "stratum", "yes", "unsure", "no")
_PAIR_CELL = ("a_id", "b_id", "label_id", "both", "only_a", "only_b", "neither")


def _answer_rows(counts: Counts) -> list[tuple[Any, ...]]:
    return [(*key, n) for key, n in sorted(counts.answers.items())]


def _label_rows(counts: Counts) -> list[tuple[Any, ...]]:
    keys = set(counts.yes) | set(counts.unsure) | set(counts.no)
    return [(*key, counts.yes[key], counts.unsure[key], counts.no[key]) for key in sorted(keys)]


def _pair_rows(counts: Counts) -> list[tuple[int, ...]]:
    rows: list[tuple[int, ...]] = []
    for (a, b), cell in sorted(counts.pairs.items()):
        for label_id, judged in sorted(cell.judged.items()):
            both, only_a, only_b = (
                cell.both[label_id],
                cell.only_a[label_id],
                cell.only_b[label_id],
            )
            neither = judged - both - only_a - only_b
            rows.append((a, b, label_id, both, only_a, only_b, neither))
    return rows


def _mark_all(library: Library) -> None:
    """Mark every annotation dirty, and every day with a row, even if it has no event left."""
    looks = Annotation.objects.filter(
        library=library, kind__in=Annotation.INDEPENDENT
    ).order_by()
    keys: list[DirtyKey] = []
    for annotator_id, track_id in (
        looks.values_list("annotator_id", "track_id").distinct().iterator(chunk_size=5_000)
    ):
        keys.append(
            DirtyKey(
                library=library,
                annotator_id=annotator_id,
                track_id=track_id,
                day=UNKNOWN_DAY,
            )
        )
        if len(keys) == WRITE_ROWS:
            _insert(DirtyKey, keys)
            keys = []
    _insert(DirtyKey, keys + _keys_of_rows(library))


def _keys_of_rows(library: Library) -> list[DirtyKey]:
    track = Track.objects.filter(library=library).first()
    if track is None:
        return []
    annotators = Annotator.objects.filter(library=library)
    days: set[Day] = set()
    for model in (AnswerDay, LabelDay):
        rows = model._default_manager.filter(annotator__in=annotators).order_by()
        days.update(rows.values_list("annotator_id", "day").distinct())
    return [
        DirtyKey(library=library, annotator_id=annotator_id, track=track, day=day)
        for annotator_id, day in sorted(days)
    ]
