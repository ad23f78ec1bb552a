"""The Tracks page: search the tracks of a library and see their labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

from django.contrib.auth.models import User
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe

from labeling.loop.library import libraries, taxonomy
from labeling.loop.serving import blinding, random_order
from labeling.models import Annotator, CurrentAnswer, Judgement, Label, Library, Track
from labeling.permissions import Role, has_role, library_page
from labeling.views.paging import link, number_in, page_of

MOST_LABELS = 6
LABELLED = (
    ("", "all"),
    ("mine", "labelled by me"),
    ("not-mine", "not labelled by me"),
)
LABELLED_BY_ANYONE = (("yes", "labelled by anyone"), ("no", "labelled by nobody"))
#: A choice of the State filter, but not a state: the track is ready, but is not served.
UNPLAYABLE = "unplayable"
SIDES = (("", "all"), ("audit", "audit: used for evaluation"), ("training", "training side"))


def filters_of(request: HttpRequest, *, sees_others: bool) -> dict[str, str]:
    """Return the filters of the address that are known and allowed; others are ignored."""
    labelled = dict(LABELLED) | (dict(LABELLED_BY_ANYONE) if sees_others else {})
    state = request.GET.get("state", "")
    chosen = request.GET.get("labelled", "")
    side = request.GET.get("side", "")
    return {
        "q": request.GET.get("q", "").replace("\x00", "").strip()[:200],
        "state": state if state in (*Track.SHOWN_STATES, UNPLAYABLE) else "",
        "labelled": chosen if chosen in labelled else "",
        "side": side if sees_others and side in dict(SIDES) else "",
    }


def wanted_of(
    tracks: QuerySet[Track], filters: dict[str, str], annotator: Annotator, hidden: set[int]
) -> QuerySet[Track]:
    """Return the tracks that match the filters."""
    if filters["state"] == UNPLAYABLE:
        tracks = random_order.only_unplayable(tracks)
    elif filters["state"]:
        tracks = tracks.filter(state=filters["state"])
    if filters["side"]:
        tracks = tracks.filter(is_audit=filters["side"] == "audit")
    for word in filters["q"].split():
        tracks = tracks.filter(
            Q(title__icontains=word)
            | Q(artist__icontains=word)
            | Q(album__icontains=word)
            | Q(key__icontains=word)
        )
    return _labelled(tracks, filters["labelled"], annotator, hidden)


def _labelled(
    tracks: QuerySet[Track], labelled: str, annotator: Annotator, hidden: set[int]
) -> QuerySet[Track]:
    current = CurrentAnswer.objects.filter(track=OuterRef("pk"), answer__isnull=False)
    if hidden:
        current = current.exclude(annotator=annotator, track__in=hidden)
    if labelled in ("mine", "not-mine"):
        current = current.filter(annotator=annotator)
    if labelled in ("mine", "yes"):
        return tracks.filter(Exists(current))
    if labelled in ("not-mine", "no"):
        return tracks.filter(~Exists(current))
    return tracks


def said_of(
    library: Library,
    tracks: Sequence[Track],
    annotator: Annotator,
    *,
    hidden: set[int],
    sees_others: bool,
) -> dict[int, list[tuple[str, int]]]:
    """Return the labels given to each track and by how many annotators, or by one annotator."""
    current = CurrentAnswer.objects.filter(track__in=tracks, answer__isnull=False)
    if not sees_others:
        current = current.filter(annotator=annotator)
    if hidden:
        current = current.exclude(annotator=annotator, track__in=hidden)
    rows = Judgement.objects.filter(
        value=Judgement.YES, answer__in=current.values("answer")
    ).values_list(
        "answer__annotation__track_id", "label_id", "answer__annotation__annotator_id"
    )
    resolve = taxonomy.resolutions(library)
    said = {(track, resolve.get(label, label), by) for track, label, by in rows}
    names = dict(
        Label.objects.filter(pk__in={one[1] for one in said}).values_list("pk", "name")
    )
    counts: dict[int, Counter[str]] = {}
    for track, label, _ in said:
        counts.setdefault(track, Counter())[names[label]] += 1
    return {
        track: sorted(counted.items(), key=lambda one: (-one[1], one[0]))[:MOST_LABELS]
        for track, counted in counts.items()
    }


@require_safe
@library_page(Role.ANNOTATOR)
def tracks(request: HttpRequest, library: Library) -> HttpResponse:
    """List tracks; the address is the state of the filters."""
    sees_others = has_role(request.user, library, Role.CURATOR)
    annotator = libraries.annotator_of(library, cast(User, request.user))
    hidden = blinding.hidden_tracks(annotator)
    filters = filters_of(request, sees_others=sees_others)
    every = Track.objects.in_use().filter(library=library)
    after, before = number_in(request.GET, "after"), number_in(request.GET, "before")
    page = page_of(
        every,
        wanted_of(every.select_related("audio"), filters, annotator, hidden),
        after=after,
        before=before,
        is_windowed=bool(
            filters["q"]
            or filters["labelled"]
            or filters["side"]
            or filters["state"] == UNPLAYABLE
        ),
    )
    said = said_of(library, page.tracks, annotator, hidden=hidden, sees_others=sees_others)
    is_first = after is None and before is None
    return render(
        request,
        "labeling/tracks.html",
        {
            "rows": [(track, said.get(track.pk, [])) for track in page.tracks],
            "page": page,
            "filters": filters,
            "is_filtered": any(filters.values()),
            "is_first": is_first,
            "counts": _counts(library) if is_first else None,
            "next": link(filters, after=page.after),
            "previous": link(filters, before=page.before),
            "sees_others": sees_others,
            **_choices(sees_others=sees_others),
        },
    )


def _choices(*, sees_others: bool) -> dict[str, Any]:
    return {
        "states": [
            ("", "all"),
            *((one.value, one.label) for one in Track.SHOWN_STATES),
            (UNPLAYABLE, "ready, but browsers cannot play it"),
        ],
        "labelled": [*LABELLED, *(LABELLED_BY_ANYONE if sees_others else ())],
        "sides": SIDES if sees_others else (),
    }


def _counts(library: Library) -> dict[str, int]:
    """Return how many tracks are in each state, and in all."""
    rows = (
        Track.objects.in_use()
        .filter(library=library)
        .order_by()
        .values_list("state")
        .annotate(n=Count("id"))
    )
    counts = dict(rows)
    unplayable = random_order.unplayable_tracks(library).count()
    return {"all": sum(counts.values()), **counts, UNPLAYABLE: unplayable}


urlpatterns = [path("tracks/<slug:slug>/", tracks, name="tracks")]
