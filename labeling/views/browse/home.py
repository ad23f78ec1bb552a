"""The first page: the user's libraries, their progress, and the last track of the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

from labeling.loop.serving import blinding, random_order
from labeling.models import (
    Annotation,
    Annotator,
    CurrentAnswer,
    GuidelineVersion,
    Library,
    ModelVersion,
    Presentation,
    Track,
)
from labeling.permissions import Role, has_role, libraries_of, role_in
from labeling.templatetags.formats import whole
from labeling.views.desk.state import own_answers, unread_guideline


@dataclass(frozen=True)
class Progress:
    """A library as the first page shows it; counts are of tracks."""

    library: Library
    role: str
    tracks: int
    ready: int
    unplayable: int
    answered: int
    answered_by_you: int
    last: Annotation | None
    open_track: Track | None
    model: ModelVersion | None
    skill: str
    guideline: GuidelineVersion | None


def progress_of(library: Library, user: User) -> Progress:
    """Return the figures of one library, for one user."""
    states = library.tracks.in_use().aggregate(
        tracks=Count("id"), ready=Count("id", filter=Q(state=Track.State.READY))
    )
    person = Annotator.Kind.PERSON
    current = CurrentAnswer.objects.filter(track__library=library, answer__isnull=False)
    annotator = Annotator.objects.filter(library=library, user=user).first()
    mine = current.filter(annotator=annotator) if annotator else current.none()
    model = library.models.filter(state=ModelVersion.State.CHAMPION).first()
    sees_models = model is not None and has_role(user, library, Role.CURATOR)
    return Progress(
        library=library,
        role=role_in(user, library) or "",
        unplayable=random_order.unplayable_tracks(library).count(),
        answered=_tracks_in(current.filter(annotator__kind=person)),
        answered_by_you=_tracks_in(mine),
        last=_last_answer(annotator),
        open_track=_open_track(annotator),
        model=model,
        skill=_skill_of(model.metrics) if model is not None and sees_models else "",
        guideline=unread_guideline(library, annotator),
        **states,
    )


def _skill_of(metrics: dict[str, Any]) -> str:
    """Return the skill of the champion in a few words; empty if it is not known."""
    found = metrics.get("headline") or {}
    if found.get("skill") is None:
        return ""
    interval = found["intervals"]["skill"]
    span = f" (95 % CI {interval[0]:+.2f} to {interval[1]:+.2f})" if interval else ""
    return f"skill {found['skill']:+.2f}{span} on {whole(found['n'])} audit tracks"


def _tracks_in(current: object) -> int:
    counted = current.aggregate(n=Count("track", distinct=True))  # type: ignore[attr-defined]
    return int(counted["n"])


def _last_answer(annotator: Annotator | None) -> Annotation | None:
    if annotator is None:
        return None
    events = own_answers(annotator).exclude(kind=Annotation.Kind.RETRACTION)
    events = events.exclude(track__in=blinding.hidden_tracks(annotator))
    last: Annotation | None = events.select_related("track").order_by("-answered_at").first()
    return last


def _open_track(annotator: Annotator | None) -> Track | None:
    if annotator is None:
        return None
    opened = annotator.presentations.filter(outcome=Presentation.Outcome.OPEN)
    first = opened.select_related("track").order_by("id").first()
    return first.track if first else None


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Show the user's libraries."""
    user = cast(User, request.user)
    libraries = [progress_of(library, user) for library in libraries_of(user)]
    return render(request, "labeling/home.html", {"libraries": libraries})


urlpatterns = [
    path("", home, name="home"),
    path(
        "accounts/login/",
        auth_views.LoginView.as_view(redirect_authenticated_user=True),
        name="login",
    ),
    path("accounts/logout/", auth_views.LogoutView.as_view(), name="logout"),
    path(
        "accounts/password_change/",
        auth_views.PasswordChangeView.as_view(
            template_name="registration/password_change_form.html"
        ),
        name="password_change",
    ),
    path(
        "accounts/password_change/done/",
        auth_views.PasswordChangeDoneView.as_view(
            template_name="registration/password_change_done.html"
        ),
        name="password_change_done",
    ),
]
