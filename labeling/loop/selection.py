"""What a snapshot can be asked to hold: whose answers, from when, under which guideline."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Self

from labeling.loop.errors import BadInput
from labeling.models import Annotator, Library
from labeling.names import name_key

NEGATIVES = ("closed", "first-use", "open")
OTHERS = ("keep", "fold", "drop")
#: Kinds of annotator that are learnt from unless the selection says otherwise: no models.
SOURCES = ("legacy", "partner", "person", "reference")
#: A label of one of these names gathers what has no name of its own.
CATCH_ALL = ("others", "other")


@dataclass(frozen=True)
class Selection:
    """What a snapshot is asked to hold. Empty means all.

    `since` and `until` are days, both included, compared with the time of the answer itself:
    an answer without a date is left out by `since` and counts as the oldest for `until`.
    `negatives` says how the blanks of imported answers count: `closed` every blank is a no,
    `first-use` from the first time on that this annotator used the label, `open` never.
    `others`: labels with fewer than `min_support` positives are left out; `fold` unites them
    per facet in a label Others, `drop` leaves an existing label of that name out as well.
    """

    facets: tuple[str, ...] = ()
    annotators: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    guideline: int | None = None
    sources: tuple[str, ...] = SOURCES
    negatives: str = "first-use"
    others: str = "keep"
    min_support: int = 5
    aggregation: str = "one-coin"

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `canonical()`, also after a trip through JSON."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise BadInput(f"a selection has no {', '.join(unknown)}")
        tuples = {
            name: tuple(values[name])
            for name in ("facets", "annotators", "sources")
            if name in values
        }
        return cls(**dict(values, **tuples))

    def canonical(self) -> dict[str, Any]:
        """Return the selection as JSON-able values, the order of names without meaning."""
        values = asdict(self)
        for name in ("facets", "annotators", "sources"):
            values[name] = sorted(values[name])
        return values

    @property
    def looks_back(self) -> bool:
        """Say whether an answer other than the current one may be the one that is meant."""
        return bool(self.since or self.until or self.guideline is not None)


def check(library: Library, selection: Selection) -> None:
    """Refuse what names something that is not there."""
    _check_words(selection)
    facets = set(library.facets.values_list("name_key", flat=True))
    _refuse(f"no facet {{}} (known: {', '.join(sorted(facets))})", selection.facets, facets)
    names = set(library.annotators.values_list("name_key", flat=True))
    _refuse("no annotator {}", selection.annotators, names)
    number = selection.guideline
    if number is not None and not library.guidelines.filter(number=number).exists():
        raise BadInput(f"{library.slug} has no guideline version {number}")
    period(selection)


def _check_words(selection: Selection) -> None:
    for value, known, what in (
        (selection.negatives, NEGATIVES, "negatives"),
        (selection.others, OTHERS, "others"),
        (selection.aggregation, ("one-coin", "majority"), "aggregation"),
    ):
        if value not in known:
            raise BadInput(f"{what} is {value!r}; it must be one of {', '.join(known)}")
    for source in selection.sources:
        if source not in Annotator.Kind.values:
            raise BadInput(
                f"no kind of annotator {source!r}: {', '.join(Annotator.Kind.values)}"
            )
    if selection.min_support < 1:
        raise BadInput(f"min_support is {selection.min_support}; it must be at least 1")


def _refuse(message: str, names: Iterable[str], known: set[str]) -> None:
    for name in names:
        if name_key(name) not in known:
            raise BadInput(message.format(repr(name)))


def period(selection: Selection) -> tuple[datetime | None, datetime | None]:
    """Return from when (included) and until when (excluded) answers are taken."""
    start, end = _day(selection.since), _day(selection.until)
    if start and end and start > end:
        raise BadInput(f"since {selection.since} lies after until {selection.until}")
    return start, end + timedelta(days=1) if end else None


def _day(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise BadInput(f"{text!r} is not a day; write it as 2024-12-31") from None


def describe(selection: Selection) -> str:
    """Say in a line what a selection asks for."""
    defaults = Selection().canonical()
    changed = {k: v for k, v in selection.canonical().items() if v != defaults[k]}
    return json.dumps(changed, ensure_ascii=False) if changed else "everything"
