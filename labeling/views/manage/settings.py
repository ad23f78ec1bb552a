"""The Settings page: the members of a library, and how it serves and learns."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods, require_POST

from labeling.errors import BadInput
from labeling.loop import predictions
from labeling.loop.library import members
from labeling.models import Library, Membership
from labeling.permissions import library_page
from ml import networks

Role = Membership.Role
#: The shares of what is served; the rest is what teaches the model most.
SHARES = ("serve_audit_share", "overlap_share", "repeat_share", "explore_share")
_BOUNDS = (
    *((name, 0, 1) for name in SHARES),
    ("audit_share", 0, 0.5),
    ("overlap_answers", 2, 20),
    ("lease_minutes", 1, 1_440),
    ("repeat_min_days", 0, 3_650),
    ("retrain_after", 0, 1_000_000),
)


class SettingsForm(forms.ModelForm):
    """The settings of a library; the model's constraints say which values are valid."""

    class Meta:
        model = Library
        fields = (
            "name",
            "retrain_after",
            "network",
            "shows_suggestions",
            *SHARES,
            "overlap_answers",
            "repeat_min_days",
            "lease_minutes",
            "audit_share",
        )
        labels = {
            "retrain_after": "New annotations until the next training",
            "network": "Network",
            "shows_suggestions": "Show suggestions",
            "serve_audit_share": "Audit",
            "overlap_share": "Overlap",
            "repeat_share": "Repeat",
            "explore_share": "Explore",
            "overlap_answers": "Annotators per overlap track",
            "repeat_min_days": "Days until a track may be repeated",
            "lease_minutes": "Minutes until an abandoned track is released",
            "audit_share": "Share of audit tracks",
        }
        widgets = {
            name: forms.NumberInput(attrs={"step": "0.01"}) for name in (*SHARES, "audit_share")
        }
        help_texts = {
            "retrain_after": "Changed answers count too. 0 switches automatic training off.",
            "shows_suggestions": (
                "Show the champion's suggestions on the annotation page, for labels on which "
                "it is better than guessing. Audit, overlap and repeat tracks never show any."
            ),
            "serve_audit_share": "Audit tracks in random order, for evaluation.",
            "overlap_share": "Audit tracks for several annotators, to measure agreement.",
            "repeat_share": "The annotator's own old tracks, blind, for self-agreement.",
            "explore_share": "Training tracks in random order.",
            "overlap_answers": "Each overlap track is served to this many people.",
            "repeat_min_days": "An annotator's own track is served again after this time.",
            "lease_minutes": "Counted from the moment its annotation page is closed.",
            "audit_share": "For evaluation. At 0, no model is ever promoted automatically.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = networks.names()
        self.fields["network"] = forms.ChoiceField(
            choices=[(name, name) for name in names], help_text="Used by automatic trainings."
        )
        for name, least, most in _BOUNDS:
            self.fields[name].widget.attrs |= {"min": least, "max": most}
            self.fields[name].validators += [MinValueValidator(least), MaxValueValidator(most)]
        if self.instance.tracks.exists():
            # The side of a track is chosen at import and never changes.
            field = self.fields["audit_share"]
            field.disabled = True
            field.help_text = "Fixed once there are tracks: a track never changes sides."

    @property
    def share_fields(self) -> list[forms.BoundField]:
        """The strata, side by side."""
        return [self[name] for name in SHARES]

    @property
    def learning_fields(self) -> list[forms.BoundField]:
        """The name and the retraining trigger."""
        return [self[name] for name in ("name", "retrain_after", "network")]

    @property
    def serving_fields(self) -> list[forms.BoundField]:
        """The other settings of serving."""
        names = ("overlap_answers", "repeat_min_days", "lease_minutes", "audit_share")
        return [self[name] for name in names]


@library_page(Role.MANAGER)
@require_http_methods(["GET", "HEAD", "POST"])
def settings_page(request: HttpRequest, library: Library) -> HttpResponse:
    """Show members and settings; save the settings."""
    # Another instance: what is refused must not be shown in the frame of the page.
    stored = Library.objects.get(pk=library.pk)
    form = SettingsForm(request.POST or None, instance=stored)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "The settings were saved. They apply from the next track on.")
        return redirect("settings", library.slug)
    rows = Membership.objects.filter(library=library).select_related("user")
    context = {
        "form": form,
        "members": rows.order_by("user__username"),
        "roles": Role.choices,
        "why_few": predictions.why_few(stored) if stored.shows_suggestions else "",
    }
    status = 400 if form.errors else 200
    return render(request, "labeling/settings.html", context, status=status)


@library_page(Role.MANAGER)
@require_POST
def add_member(request: HttpRequest, library: Library) -> HttpResponse:
    """Make a user a member."""
    name, role = request.POST.get("name", ""), request.POST.get("role", "")
    try:
        added = members.add_membership(library, name, role)
        messages.success(request, f"{added.user} is now a member ({added.role}).")
    except BadInput as error:
        messages.error(request, f"{error}.")
    return redirect("settings", library.slug)


@library_page(Role.MANAGER)
@require_POST
def change_member(request: HttpRequest, library: Library, pk: int) -> HttpResponse:
    """Give a member another role, or take the membership away."""
    try:
        if request.POST.get("action") == "remove":
            user = members.remove_membership(library, pk)
            messages.success(request, f"{user} is no longer a member; their answers stay.")
        else:
            changed = members.change_role(library, pk, request.POST.get("role", ""))
            messages.success(request, f"{changed.user} is now {changed.role}.")
    except BadInput as error:
        messages.error(request, f"{error}.")
    return redirect("settings", library.slug)


urlpatterns = [
    path("settings/<slug:slug>/", settings_page, name="settings"),
    path("settings/<slug:slug>/members/", add_member, name="add_member"),
    path("settings/<slug:slug>/members/<int:pk>/", change_member, name="change_member"),
]
