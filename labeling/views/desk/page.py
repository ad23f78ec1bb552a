"""The annotation page: a plain form that scripts make quick.

Without scripts a GET shows the track on the caller's desk and a POST records the answer. With
them the same page uses the API and is never reloaded.
"""

from __future__ import annotations

import uuid
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling.api.queue import as_bodies
from labeling.errors import BadInput, QueueEmpty, StaleVersion
from labeling.loop import desk
from labeling.loop.events import record
from labeling.loop.events.answers import Vocabulary, parse_answers
from labeling.loop.library import guidelines, libraries
from labeling.loop.serving import leases, random_order, serve
from labeling.models import (
    Annotation,
    Annotator,
    GuidelineVersion,
    Label,
    Library,
    Presentation,
    Track,
)
from labeling.permissions import Role, library_page
from labeling.views.desk.contents import FacetPanel, desk_context, panels_of, recent_of
from labeling.views.desk.state import state_of
from labeling.views.fields import text_in, whole_number

SKIP_REASONS = (
    "I do not know this style well enough",
    "The audio is damaged or silent",
    "This is not music",
    "Wrong file or wrong metadata",
    "No label of ours fits",
)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@library_page(Role.ANNOTATOR)
def annotate(request: HttpRequest, library: Library) -> HttpResponse:
    """Show the track on the caller's desk, or record the answer of the form."""
    annotator = libraries.annotator_of(library, cast(User, request.user))
    if request.method == "POST":
        _act(request, library, annotator)
        return redirect("annotate", slug=library.slug)
    if not Label.objects.filter(facet__library=library, is_active=True).exists():
        return render(request, "labeling/annotate/no_labels.html", {})
    try:
        shown = desk.next_tracks(annotator)[0]
    except QueueEmpty:
        return render(request, "labeling/annotate/empty.html", _why_empty(library, annotator))
    return render(request, "labeling/annotate.html", _page(request, library, annotator, shown))


def _page(
    request: HttpRequest, library: Library, annotator: Annotator, shown: Presentation
) -> dict[str, Any]:
    panels = panels_of(library, shown)
    state = state_of(library, annotator)
    recent = recent_of(annotator)
    item = as_bodies([shown])[0]
    item["presentation"] = str(item["presentation"])
    context = desk_context(shown)
    desk = {
        "slug": library.slug,
        "user": cast(User, request.user).pk,
        "api": f"/api/v1/libraries/{library.slug}/",
        "here": request.path,
        "login": f"/accounts/login/?next={request.path}back/",
        "facets": [_facet_json(panel) for panel in panels],
        "item": item,
        "context": context,
        "state": state,
        "recent": recent,
        "skip_reasons": SKIP_REASONS,
        "heartbeat_s": max(5, library.lease_minutes * 60 // 4),
    }
    return {
        "panels": panels,
        "shown": shown,
        "item": item,
        "context": context,
        "figures": state["figures"],
        "loop": state["loop"],
        "guideline": state["guideline"],
        "recent": recent,
        "skip_reasons": SKIP_REASONS,
        "key": uuid.uuid4().hex,
        "desk": desk,
    }


def _facet_json(panel: FacetPanel) -> dict[str, Any]:
    return {
        "id": panel.facet.pk,
        "name": panel.facet.name,
        "min": panel.facet.min_labels,
        "max": panel.facet.max_labels,
    }


def _why_empty(library: Library, annotator: Annotator) -> dict[str, Any]:
    tracks = library.tracks.in_use()
    return {
        "tracks": tracks.count(),
        "ready": tracks.filter(state=Track.State.READY).count(),
        "unplayable": random_order.unplayable_tracks(library).count(),
        "pending": tracks.filter(state=Track.State.PENDING).count(),
        "recent": recent_of(annotator),
        "guideline": state_of(library, annotator)["guideline"],
    }


# --- the plain form ------------------------------------------------------------------------


def _act(request: HttpRequest, library: Library, annotator: Annotator) -> None:
    """Carry out the action of the form; turn a refusal into a message."""
    try:
        action = request.POST.get("action", "save")
        if action == "undo":
            _undo(request, annotator)
            return
        try:
            presentation = serve.find_presentation(
                annotator, request.POST.get("presentation", "")
            )
        except (ValueError, ValidationError) as error:  # no UUID at all
            raise BadInput("the form no longer knows its track: load the page again") from error
        if action == "skip":
            leases.skip(presentation, text_in(request.POST, "reason"))
            messages.info(request, "Skipped.")
        else:
            _save(request, library, annotator, presentation)
    except BadInput as error:
        messages.error(request, str(error))
    except StaleVersion:
        messages.error(
            request,
            "Not saved: you have answered this track in another window since. Undo that answer "
            "first to answer again.",
        )


def _save(
    request: HttpRequest, library: Library, annotator: Annotator, presentation: Presentation
) -> None:
    names, complete = _ticked(request, library)
    answers = parse_answers(
        Vocabulary.of(library),
        labels=names,
        completed_facets=sorted(complete | set(names)),
    )
    desk.save(
        record.Submission(
            track=presentation.track,
            annotator=annotator,
            answers=answers,
            idempotency_key=f"form:{presentation.token}:{text_in(request.POST, 'key')}"[:100],
            presentation=presentation,
            expected_version=0,
            note=text_in(request.POST, "note"),
            recorded_by_id=request.user.pk,
        )
    )
    messages.success(request, "Saved.")


def _ticked(request: HttpRequest, library: Library) -> tuple[dict[str, list[str]], set[str]]:
    """Return the names that were ticked by facet, and the facets declared complete."""
    facets = {str(facet.pk): facet.name for facet in library.facets.all()}
    numbers = map(whole_number, request.POST.getlist("label"))
    ids = [number for number in numbers if number is not None]
    labels = Label.objects.filter(pk__in=ids, facet__library=library).select_related("facet")
    names: dict[str, list[str]] = {}
    for label in labels:
        names.setdefault(label.facet.name, []).append(label.name)
    complete = {facets[one] for one in request.POST.getlist("complete") if one in facets}
    return names, complete


def _undo(request: HttpRequest, annotator: Annotator) -> None:
    recent = recent_of(annotator)
    uids = [row["uid"] for row in recent]
    wanted = request.POST.get("uid") or (uids[0] if uids else "")
    if wanted not in uids:
        raise BadInput("there is no answer to undo")
    annotation = Annotation.objects.get(uid=wanted, annotator=annotator)
    desk.undo(annotation, recorded_by_id=request.user.pk)
    messages.info(request, "Undone. The track is back on your desk.")


@never_cache
@require_safe
@library_page(Role.ANNOTATOR)
def context(request: HttpRequest, library: Library, token: str) -> HttpResponse:
    """Return further facts about a track on the caller's desk, fetched ahead by the page."""
    annotator = libraries.annotator_of(library, cast(User, request.user))
    shown = get_object_or_404(
        Presentation.objects.select_related("track"),
        library=library,
        annotator=annotator,
        token=token,
    )
    return JsonResponse(desk_context(shown))


@never_cache
@require_safe
@library_page(Role.ANNOTATOR)
def state(request: HttpRequest, library: Library) -> HttpResponse:
    """Return the parts of the page that change while the annotator works."""
    annotator = libraries.annotator_of(library, cast(User, request.user))
    return JsonResponse(state_of(library, annotator))


@require_POST
@library_page(Role.ANNOTATOR)
def acknowledge_on_desk(request: HttpRequest, library: Library, number: int) -> HttpResponse:
    """Note that the annotator has read a guideline, without leaving the desk."""
    annotator = libraries.annotator_of(library, cast(User, request.user))
    shown = get_object_or_404(GuidelineVersion, library=library, number=number)
    try:
        guidelines.acknowledge(shown, annotator)
    except BadInput as error:
        return JsonResponse({"errors": [{"message": str(error)}]}, status=400)
    return JsonResponse(state_of(library, annotator))


@never_cache
@require_safe
@library_page(Role.ANNOTATOR)
def back(request: HttpRequest, library: Library) -> HttpResponse:
    """Show that the user is logged in again and can go back to the first window."""
    return render(request, "labeling/annotate/back.html", {})


urlpatterns = [
    path("annotate/<slug:slug>/", annotate, name="annotate"),
    path("annotate/<slug:slug>/state/", state, name="annotate-state"),
    path("annotate/<slug:slug>/back/", back, name="annotate-back"),
    path(
        "annotate/<slug:slug>/guideline/<int:number>/",
        acknowledge_on_desk,
        name="annotate-acknowledge",
    ),
    path("annotate/<slug:slug>/<uuid:token>/", context, name="annotate-context"),
]
