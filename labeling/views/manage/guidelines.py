"""The criteria of a library: read by all, written and published by curators."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_POST

from labeling.errors import BadInput
from labeling.loop.library import guidelines, libraries
from labeling.models import Annotator, GuidelineVersion, Library
from labeling.permissions import Role, has_role, library_page
from labeling.views.fields import text_in


def _context(request: HttpRequest, library: Library) -> dict[str, object]:
    user = cast(User, request.user)
    in_force = libraries.guideline_in_force(library)
    mine = Annotator.objects.filter(library=library, user=user).first()
    receipts = in_force.receipts.select_related("annotator").order_by("acknowledged_at")
    people = Annotator.objects.filter(library=library, kind="person", user__isnull=False)
    return {
        "library": library,
        "in_force": in_force,
        "earlier": library.guidelines.filter(
            published_at__isnull=False, number__gt=0, number__lt=in_force.number
        ),
        "draft": guidelines.draft_of(library),
        "has_read": mine is not None and guidelines.has_read(in_force, mine),
        "receipts": receipts,
        "unread": people.exclude(receipts__guideline=in_force),
        "is_curator": has_role(user, library, Role.CURATOR),
        "longest": guidelines.LONGEST,
    }


@library_page(Role.ANNOTATOR)
def guidelines_page(request: HttpRequest, library: Library) -> HttpResponse:
    """Show the version in force, who has read it, earlier versions and the draft."""
    return render(request, "labeling/guidelines.html", _context(request, library))


@require_POST
@library_page(Role.CURATOR)
def change_guideline(request: HttpRequest, library: Library) -> HttpResponse:
    """Save, publish or discard the draft, as the button says."""
    user, action = cast(User, request.user), request.POST.get("action", "save")
    try:
        if action == "discard":
            guidelines.discard_draft(library)
            messages.success(request, "The draft was discarded.")
        else:
            guidelines.save_draft(library, text_in(request.POST, "text"), by=user)
            if action == "publish":
                published = guidelines.publish(library, by=user)
                messages.success(request, f"Version {published.number} is in force.")
            else:
                messages.success(request, "The draft was saved. Only curators see it.")
    except BadInput as error:
        context = _context(request, library) | {
            "error": str(error),
            "typed": request.POST.get("text", ""),
        }
        return render(request, "labeling/guidelines.html", context, status=400)
    return redirect("guidelines", slug=library.slug)


@require_POST
@library_page(Role.ANNOTATOR)
def acknowledge_guideline(request: HttpRequest, library: Library, number: int) -> HttpResponse:
    """Note that this person has read the version that was on the screen."""
    shown = GuidelineVersion.objects.filter(library=library, number=number).first()
    annotator = libraries.annotator_of(library, cast(User, request.user))
    try:
        if shown is None:
            raise BadInput("this version does not exist: load the page again")
        guidelines.acknowledge(shown, annotator)
        messages.success(request, f"Recorded: you have read version {number}.")
    except BadInput as error:
        messages.error(request, str(error))
    return redirect("guidelines", slug=library.slug)


urlpatterns = [
    path("guidelines/<slug:slug>/", guidelines_page, name="guidelines"),
    path("guidelines/<slug:slug>/draft/", change_guideline, name="guidelines_change"),
    path(
        "guidelines/<slug:slug>/<int:number>/read/",
        acknowledge_guideline,
        name="guidelines_acknowledge",
    ),
]
