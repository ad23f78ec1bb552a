"""Selections: whose answers a snapshot takes, from which period and under which guideline.

Stage: datasets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Self

from labeling.errors import BadInput
from labeling.models import Annotation, Annotator, Library
from labeling.names import name_key
from ml.consistency.consensus import AGGREGATIONS

NEGATIVES = ("closed", "first-use", "open")
OTHERS = ("keep", "fold", "drop")
#: Whose criteria; `labeling.loop.datasets.criteria` defines the last two.
CRITERIA = ("all", "legacy", "current")
#: Kinds of annotator that are trained on by default: all but models.
LEARNT_FROM = ("legacy", "partner", "person", "reference")
#: Sources of an answer. A revision has the source of the annotation that it revises.
SOURCES = tuple(
    str(kind)
    for kind in (
        Annotation.Kind.JUDGEMENT,
        Annotation.Kind.IMPORTED,
        Annotation.Kind.ADJUDICATION,
        Annotation.Kind.PROPAGATED,
    )
)
#: Whose answers are the reference on audit tracks: the selected ones or the current curators'.
JUDGES = ("selected", "current")
#: A label with one of these names collects what no other label describes.
CATCH_ALL = ("others", "other")


@dataclass(frozen=True)
class Selection:
    """The answers that a snapshot takes. An empty value means all.

    `since` and `until` are days, both included, compared with the time of the answer itself:
    an answer without a date is left out by `since` and counts as the oldest for `until`.
    `batches` are uploads of the Imports page. `criteria` limits all this to judgements by the
    current criteria, or to all others.
    `negatives` is the rule for the blanks of imported answers: with `closed` every blank is a
    no, with `first-use` only after the annotator used the label for the first time, with `open`
    never.
    `others`: `keep` leaves out labels with fewer than `min_support` positives. `fold` combines
    those, and all beyond the `top_labels` most frequent of a facet, in a label Others. `drop`
    leaves them out, as well as an existing label of that name.
    If more than `combination_cap` of the training tracks have the same combination of labels,
    it is thinned (0: never), except for tracks with a label rarer than `rare_share`.
    `aggregation` says how the answers of several annotators become one: by facet, label by
    label with one-coin, or by votes.
    """

    facets: tuple[str, ...] = ()
    annotators: tuple[str, ...] = ()
    annotator_kinds: tuple[str, ...] = LEARNT_FROM
    since: str = ""
    until: str = ""
    guidelines: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
    batches: tuple[int, ...] = ()
    criteria: str = "all"
    negatives: str = "first-use"
    others: str = "keep"
    min_support: int = 5
    top_labels: int = 0
    combination_cap: float = 0.0
    rare_share: float = 0.01
    aggregation: str = AGGREGATIONS[0]
    judged_by: str = "selected"

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `canonical()`, even after a trip through JSON."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise BadInput(f"a selection has no option {', '.join(unknown)}")
        tuples = {
            name: tuple(value) for name, value in values.items() if isinstance(value, list)
        }
        return cls(**{**values, **tuples})

    def canonical(self) -> dict[str, Any]:
        """Return the selection as JSON values. Lists are sorted, so order has no effect."""
        return {
            name: sorted(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    @property
    def reads_history(self) -> bool:
        """Return whether answers other than the current ones may be selected."""
        parts = (self.since, self.until, self.guidelines, self.sources, self.batches)
        return any(parts) or self.criteria != "all"

    @property
    def is_own_reference(self) -> bool:
        """Return whether the reference labels are from a selection of the answers only.

        A model is meant to follow the current criteria, so those can evaluate any model.
        """
        is_chosen = (
            any((self.annotators, self.since, self.until, self.guidelines))
            or any((self.sources, self.batches))
            or sorted(self.annotator_kinds) != sorted(LEARNT_FROM)
            or self.criteria == "legacy"
        )
        return is_chosen and self.judged_by == "selected"


def check_selection(library: Library, selection: Selection) -> None:
    """Raise BadInput if the selection names something that the library does not have."""
    _check_words(selection)
    _check_numbers(selection)
    facets = set(library.facets.values_list("name_key", flat=True))
    _refuse(f"no facet {{}} (known: {', '.join(sorted(facets))})", selection.facets, facets)
    names = set(library.annotators.values_list("name_key", flat=True))
    _refuse("no annotator {}", selection.annotators, names)
    published = library.guidelines.filter(published_at__isnull=False)
    numbers = set(published.values_list("number", flat=True))
    for number in selection.guidelines:
        if number not in numbers:
            raise BadInput(f"{library.slug} has no guideline version {number}")
    batches = set(library.imports.values_list("pk", flat=True))
    for number in selection.batches:
        if number not in batches:
            raise BadInput(f"{library.slug} has no import {number}")
    period_of(selection)


def _check_words(selection: Selection) -> None:
    for value, known, what in (
        (selection.negatives, NEGATIVES, "negatives"),
        (selection.others, OTHERS, "others"),
        (selection.criteria, CRITERIA, "criteria"),
        (selection.judged_by, JUDGES, "judged_by"),
        (selection.aggregation, AGGREGATIONS, "aggregation"),
    ):
        if value not in known:
            raise BadInput(f"{what} is {value!r}; it must be one of {', '.join(known)}")
    kinds, sources = set(Annotator.Kind.values), set(SOURCES)
    words = ", ".join(Annotator.Kind.values)
    _refuse(f"no kind of annotator {{}}: {words}", selection.annotator_kinds, kinds)
    _refuse(f"no source {{}}: {', '.join(SOURCES)}", selection.sources, sources)


def _check_numbers(selection: Selection) -> None:
    if selection.min_support < 1:
        raise BadInput(f"min_support is {selection.min_support}; it must be at least 1")
    if selection.top_labels < 0:
        raise BadInput(f"top_labels is {selection.top_labels}; it must be at least 0")
    for what in ("combination_cap", "rare_share"):
        value = getattr(selection, what)
        if not 0 <= value <= 1:
            raise BadInput(f"{what} is {value}; it must lie between 0 and 1")


def _refuse(message: str, names: Iterable[str], known: set[str]) -> None:
    for name in names:
        if name_key(name) not in known:
            raise BadInput(message.format(repr(name)))


def period_of(selection: Selection) -> tuple[datetime | None, datetime | None]:
    """Return the start (included) and the end (excluded) of the selected period."""
    start, end = _day(selection.since), _day(selection.until)
    if start and end and start > end:
        raise BadInput(
            f"since {selection.since} lies after until {selection.until}: exchange the two days"
        )
    if end is None or end.date() == date.max:  # date.max means an open end
        return start, None
    return start, end + timedelta(days=1)


def _day(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise BadInput(f"{text!r} is not a day: write it as 2024-12-31") from None


def describe_selection(selection: Selection) -> str:
    """Return a selection in words."""
    numbers = ", ".join(str(number) for number in selection.guidelines)
    batches = ", ".join(str(number) for number in selection.batches)
    kinds = selection.annotator_kinds
    parts = [
        f"facets {', '.join(selection.facets)}" if selection.facets else "",
        _CRITERIA_WORDS[selection.criteria],
        f"by {', '.join(selection.annotators)}" if selection.annotators else "",
        f"kinds of annotator: {', '.join(kinds)}" if set(kinds) != set(LEARNT_FROM) else "",
        f"from {selection.since}" if selection.since else "",
        f"until {selection.until}" if selection.until else "",
        f"under guideline {numbers}" if numbers else "",
        f"source: {', '.join(selection.sources)}" if selection.sources else "",
        f"of import {batches}" if batches else "",
        f"blanks: {selection.negatives}" if selection.negatives != "first-use" else "",
        *_label_words(selection),
        _AGGREGATION_WORDS[selection.aggregation],
        "measured by the current curator" if selection.judged_by == "current" else "",
    ]
    return "; ".join(part for part in parts if part)


_CRITERIA_WORDS = {
    "all": "",
    "legacy": "legacy: all but the current criteria",
    "current": "the current curator's criteria",
}


_AGGREGATION_WORDS = {
    "facet": "",
    "one-coin": "consensus label by label (one-coin)",
    "majority": "consensus by majority",
    "plurality": "consensus by plurality",
}


def _label_words(selection: Selection) -> list[str]:
    rare = {"fold": "the others as Others", "drop": "the others and Others left out"}
    top = f"the {selection.top_labels} most frequent labels" if selection.top_labels else ""
    return [
        top,
        f"rare labels: {selection.others}" if selection.others != "keep" and not top else "",
        rare[selection.others] if selection.others != "keep" and top else "",
        f"combinations above {selection.combination_cap:.0%} of the tracks thinned"
        if selection.combination_cap
        else "",
        f"labels with at least {selection.min_support} positives",
    ]
