"""The Snapshots page: existing snapshots, and taking another one."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods, require_safe

from labeling import jobs
from labeling.errors import BadInput
from labeling.loop.datasets.preview import preview_selection
from labeling.loop.datasets.selection import Selection, describe_selection
from labeling.models import Library, Membership, TrainingRun
from labeling.models.jobs import JobKind
from labeling.permissions import library_page
from labeling.views.learning.snapshot_form import SnapshotForm

_MOST_SHOWN = 100
#: Fields of a run that no row shows.
_LONG = ("epochs", "metrics", "baseline")


@library_page(Membership.Role.CURATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def snapshot_list(request: HttpRequest, library: Library) -> HttpResponse:
    """Show the snapshots; preview a selection or take a snapshot of it."""
    form = SnapshotForm(library, request.POST or None)
    context: dict[str, Any] = {"form": form}
    if request.method == "POST" and form.is_valid():
        if request.POST.get("action") == "preview":
            context |= _previewed(library, form.selection())
        else:
            return _taken(request, library, form.selection())
    snapshots = library.snapshots.select_related("by").prefetch_related(
        Prefetch("runs", TrainingRun.objects.defer(*_LONG).select_related("model"))
    )
    context["snapshots"] = [
        (
            one,
            describe_selection(Selection.of(one.selection)),
            one.split.get("train", 0) + one.split.get("validation", 0),
        )
        for one in snapshots[:_MOST_SHOWN]
    ]
    context["failed"] = library.jobs.filter(kind=JobKind.SNAPSHOT, state="failed").first()
    return render(request, "labeling/snapshots.html", context)


def _previewed(library: Library, selection: Selection) -> dict[str, Any]:
    try:
        return {
            "preview": preview_selection(library, selection),
            "words": describe_selection(selection),
        }
    except BadInput as error:
        return {"refused": str(error)}


def _taken(request: HttpRequest, library: Library, selection: Selection) -> HttpResponse:
    job = jobs.enqueue(
        JobKind.SNAPSHOT,
        library=library,
        arguments={"selection": selection.canonical()},
        by_id=request.user.pk,
    )
    messages.success(request, f"The snapshot is being taken (job {job.pk} on the Jobs page).")
    return redirect("snapshots", library.slug)


@library_page(Membership.Role.CURATOR)
@require_safe
def snapshot_detail(request: HttpRequest, library: Library, number: int) -> HttpResponse:
    """Show one snapshot: its selection, its labels, and the answers by annotator."""
    snapshot = get_object_or_404(library.snapshots.select_related("by"), number=number)
    labels = snapshot.facts.get("labels", [])
    context = {
        "snapshot": snapshot,
        "words": describe_selection(Selection.of(snapshot.selection)),
        "spec": sorted(snapshot.selection.items()),
        "facts": snapshot.facts,
        "labels": sorted(labels, key=lambda one: -one["positives"]),
        "runs": snapshot.runs.select_related("model"),
        "n_training": snapshot.split.get("train", 0) + snapshot.split.get("validation", 0),
    }
    return render(request, "labeling/snapshot.html", context)


urlpatterns = [
    path("snapshots/<slug:slug>/", snapshot_list, name="snapshots"),
    path("snapshots/<slug:slug>/<int:number>/", snapshot_detail, name="snapshot"),
]
