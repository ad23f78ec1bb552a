"""The Consistency page: agreement, self-agreement, drift and label rates."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_POST

from labeling import jobs
from labeling.errors import BadInput
from labeling.loop.consistency import cache, criteria_changes
from labeling.loop.consistency.cache import Kept
from labeling.loop.consistency.drift import IMPORTED_NAME
from labeling.loop.consistency.label_rates import Filters
from labeling.loop.consistency.timeline import Timeline, timeline
from labeling.models import (
    Annotation,
    Annotator,
    AnswerDay,
    DirtyKey,
    EraCut,
    Facet,
    Label,
    Library,
)
from labeling.models.jobs import JobKind
from labeling.models.queue import Stratum
from labeling.permissions import Role, library_page
from labeling.templatetags.formats import month, utc_day
from labeling.views.fields import text_in, whole_number
from ml.consistency.agreement import MINIMUM_JOINT_POSITIVES

#: In a library of more looks the counting is left to a worker, not to whoever opens the page.
COUNT_HERE = 2_000
#: An id that no annotator has.
NOBODY = 0
STRATUM_NAMES = {**{one.value: one.label for one in Stratum}, "": IMPORTED_NAME}


@dataclass(frozen=True)
class ConsistencyQuery:
    """The filters of the address, which is the whole state of the page."""

    filters: Filters
    facet: Facet | None
    label: Label | None
    stratum: str | None
    wrong: list[str]


def read_filters(library: Library, query: QueryDict) -> ConsistencyQuery:
    """Read the filters; name those that cannot be read, and ignore all but the annotator.

    An unknown annotator gets no figures: everybody's under that name would be wrong.
    """
    wrong: list[str] = []
    label = _named(Label.objects.in_use().filter(facet__library=library), query, "label", wrong)
    facet = _named(Facet.objects.filter(library=library), query, "facet", wrong)
    if label is not None:
        facet = label.facet
    stratum = query.get("stratum") or None
    if stratum == IMPORTED_NAME:
        stratum = ""
    if stratum is not None and stratum not in STRATUM_NAMES:
        wrong.append(f"there is no stratum {stratum!r}: choose one from the list")
        stratum = None
    filters = Filters(
        annotator_ids=_people(library, query, wrong),
        facet_id=facet.pk if facet else None,
        label_id=label.pk if label else None,
        strata=None if stratum is None else frozenset([stratum]),
        since=_day(query, "since", wrong),
        until=_day(query, "until", wrong),
    )
    return ConsistencyQuery(filters, facet, label, stratum, wrong)


def _people(library: Library, query: QueryDict, wrong: list[str]) -> frozenset[int]:
    people = Annotator.objects.in_use().filter(library=library)
    known = set(people.values_list("pk", flat=True))
    chosen = set()
    for text in filter(None, query.getlist("annotator")):
        number = whole_number(text)
        chosen.add(number if number in known else NOBODY)
        if number not in known:
            wrong.append(f"there is no annotator {text[:20]!r} here: choose one from the list")
    return frozenset(chosen)


def _named(rows: Any, query: QueryDict, name: str, wrong: list[str]) -> Any:
    text = query.get(name, "")
    found = _row(rows, text)
    if text and found is None:
        wrong.append(f"there is no {name} {text[:20]!r} here: choose one from the list")
    return found


def _row(rows: Any, number: str | None) -> Any:
    wanted = whole_number(number)
    return rows.filter(pk=wanted).first() if wanted is not None else None


def _day(query: QueryDict, name: str, wrong: list[str]) -> datetime.date | None:
    text = query.get(name, "")
    if not text:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        wrong.append(f"{name}: {text!r} is not a date such as 2026-01-31")
        return None


@library_page(Role.CURATOR)
def consistency_page(request: HttpRequest, library: Library) -> HttpResponse:
    """Show the figures; for a small library, update them first."""
    return _show(request, library)


def _show(
    request: HttpRequest,
    library: Library,
    typed: Mapping[str, Any] | None = None,
    error: str = "",
) -> HttpResponse:
    kept, waiting = _brought_up(library)
    asked = read_filters(library, request.GET)
    for text in asked.wrong:
        messages.error(request, text)
    context = {
        "library": library,
        "asked": asked,
        "waiting": waiting,
        "kept": kept,
        "choices": _choices(library, asked),
        "eras": criteria_changes.eras_of(library),
        "typed": typed or {},
        "error": error,
    }
    if AnswerDay.objects.filter(label_set__facet__library=library).exists():
        context |= _figures(library, asked, kept)
    status = 400 if error else 200
    return render(request, "labeling/consistency.html", context, status=status)


def _brought_up(library: Library) -> tuple[Kept, int]:
    """Return the stored figures and how many events are not counted yet.

    1. Current figures are shown as they are.
    2. In a small library, new events are counted immediately.
    3. Otherwise a worker is asked to count them, once per state, and the stored figures are
       shown.
    """
    kept = cache.kept_figures(library)
    if kept.is_current:
        return kept, 0
    looks = Annotation.objects.filter(library=library, kind__in=Annotation.INDEPENDENT)
    if not looks.order_by()[COUNT_HERE : COUNT_HERE + 1].exists():
        cache.refresh(library)
        return cache.kept_figures(library), 0
    waiting = DirtyKey.objects.filter(library=library)
    newest = waiting.order_by("-id").values_list("id", flat=True).first()
    state = f"{newest}:{kept.computed_at}:{cache.inputs_hash(library)[:16]}"
    jobs.enqueue(JobKind.CONSISTENCY, library=library, key=f"{library.pk}:{state}")
    return kept, waiting.count()


def _choices(library: Library, asked: ConsistencyQuery) -> dict[str, Any]:
    """Return the choices of the filters."""
    everything = Label.objects.in_use().filter(facet__library=library, merged_into__isnull=True)
    all_labels = list(
        everything.select_related("facet").order_by("facet__position", "position", "name_key")
    )
    labels = [one for one in all_labels if asked.facet in (None, one.facet)]
    strata = set(
        AnswerDay.objects.filter(label_set__facet__library=library)
        .order_by()
        .values_list("stratum", flat=True)
        .distinct()
    )
    return {
        "annotators": Annotator.objects.in_use().filter(library=library),
        "facets": Facet.objects.filter(library=library),
        "labels": labels,
        "all_labels": all_labels,
        "strata": [
            {
                "value": one or IMPORTED_NAME,
                "name": STRATUM_NAMES[one],
                "is_on": one == asked.stratum,
            }
            for one in sorted(strata)
        ],
    }


def _figures(library: Library, asked: ConsistencyQuery, kept: Kept) -> dict[str, Any]:
    pairs, own = kept.pairs(asked.filters), kept.with_self(asked.filters)
    shown = asked.facet.name if asked.facet else None
    over_time = timeline(library, _for_timeline(library, asked))
    changes = kept.drift(library, asked.filters)
    return {
        "people": kept.people(asked.filters),
        "pairs_of_sets": [row for row in pairs if row["label"] is None],
        "pairs_of_labels": [_of_label(row) for row in pairs if row["label"] and shown],
        "self_of_sets": [row for row in own if row["label"] is None],
        "self_of_labels": [row for row in own if row["label"] and shown],
        "timeline": over_time,
        "stratum_names": [STRATUM_NAMES[one] for one in over_time.strata],
        "by_stratum": _by_stratum(over_time),
        "span": _span(over_time),
        "changed": [row for row in changes if row["verdict"].startswith("changed")],
        "not_changed": [row for row in changes if not row["verdict"].startswith("changed")],
    }


def _for_timeline(library: Library, asked: ConsistencyQuery) -> Filters:
    """The timeline shows the labels of one facet: that asked for, else the first answered."""
    if asked.filters.facet_id is not None:
        return asked.filters
    first = (
        Facet.objects.filter(library=library, label_sets__answerday__isnull=False)
        .order_by("position")
        .first()
    )
    fields = vars(asked.filters) | {"facet_id": first.pk if first else None}
    return Filters(**fields)


def _of_label(row: Mapping[str, Any]) -> dict[str, Any]:
    """Add whether a pair has too few joint positives for its figures to mean something."""
    return dict(row) | {"is_thin": row["both"] < MINIMUM_JOINT_POSITIVES}


def _by_stratum(shown: Timeline) -> list[dict[str, Any]]:
    return [
        {"annotator": work.annotator, "rates": rates}
        for work, rates in zip(shown.work, shown.by_stratum, strict=False)
    ]


def _span(shown: Timeline) -> str:
    if not shown.months:
        return ""
    first, last = shown.months[0], shown.months[-1]
    return f"{month(*first)} to {month(*last)}"


@require_POST
@library_page(Role.CURATOR)
def declare_cut(request: HttpRequest, library: Library) -> HttpResponse:
    """Declare that an annotator's criteria changed on a day."""
    typed = request.POST
    try:
        cut = _declared(library, typed, cast(User, request.user))
    except BadInput as error:
        return _show(request, library, typed.dict(), str(error))
    day = utc_day(cut.at)
    messages.success(request, f"Declared a criteria change of {cut.annotator} on {day}.")
    return redirect("consistency", slug=library.slug)


def _declared(library: Library, typed: QueryDict, by: User) -> EraCut:
    annotator = _row(Annotator.objects.in_use().filter(library=library), typed.get("annotator"))
    if annotator is None:
        raise BadInput("choose the annotator whose criteria changed")
    wrong: list[str] = []
    day = _day(typed, "day", wrong)
    if day is None:
        raise BadInput(wrong[0] if wrong else "enter the day from which the criteria changed")
    kind, _, number = typed.get("scope", "").partition(":")
    label = facet = None
    if kind == "label":
        label = _row(Label.objects.in_use().filter(facet__library=library), number)
    elif kind == "facet":
        facet = _row(Facet.objects.filter(library=library), number)
    if kind and label is None and facet is None:
        raise BadInput("choose all labels, or an existing facet or label")
    reason = text_in(typed, "reason")
    return criteria_changes.declare(
        library, annotator, day, reason, facet=facet, label=label, by=by
    )


@require_POST
@library_page(Role.CURATOR)
def withdraw_cut(request: HttpRequest, library: Library, number: int) -> HttpResponse:
    """Withdraw a declared criteria change."""
    try:
        cut = criteria_changes.withdraw(library, number)
        day = utc_day(cut.at)
        messages.success(request, f"Withdrew the criteria change of {cut.annotator} on {day}.")
    except BadInput as error:
        messages.error(request, str(error))
    return redirect("consistency", slug=library.slug)


urlpatterns = [
    path("consistency/<slug:slug>/", consistency_page, name="consistency"),
    path("consistency/<slug:slug>/cuts/", declare_cut, name="declare_cut"),
    path("consistency/<slug:slug>/cuts/<int:number>/", withdraw_cut, name="withdraw_cut"),
]
