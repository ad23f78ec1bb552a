"""The Models page: trained models, their metrics and baseline, and the champion."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.views.decorators.http import require_POST, require_safe

from labeling import jobs
from labeling.errors import BadInput
from labeling.loop import retraining
from labeling.loop.registry import evaluation_records
from labeling.models import Job, Library, Membership, TrainingRun
from labeling.models.jobs import JobKind
from labeling.permissions import has_role, library_page
from labeling.views.learning import model_rows
from labeling.views.paging import number_in
from ml import networks

Role = Membership.Role
_HISTORY = 30
_FOLDS_SHOWN = 10
#: Characters of the reason that a person gives.
_MOST_WHY = 200


@library_page(Role.CURATOR)
@require_safe
def model_list(request: HttpRequest, library: Library) -> HttpResponse:
    """Show all versions, the decisions about them, and the running training."""
    history = library.promotions.select_related("model_version", "previous", "by")
    before = number_in(request.GET, "before")
    rows = model_rows.model_rows(library, before)
    context = {
        "rows": rows,
        "older": rows[-1].version.number if len(rows) == model_rows.MOST_ROWS else None,
        "is_older": before is not None,
        "history": history[:_HISTORY],
        "cross_validations": evaluation_records.with_records(library).filter(run=None)[
            :_FOLDS_SHOWN
        ],
        "troubles": model_rows.troubles(library),
        "networks": networks.names(),
        "is_manager": has_role(request.user, library, Role.MANAGER),
        **_now(library),
    }
    return render(request, "labeling/models.html", context)


@library_page(Role.CURATOR)
@require_safe
def models_now(request: HttpRequest, library: Library) -> HttpResponse:
    """Answer the part that changes while a training runs, for the page to put in place."""
    return render(request, "labeling/models_now.html", _now(library))


def _now(library: Library) -> dict[str, Any]:
    """Return the running training and how many answers the next one needs."""
    job = retraining.open_training(library) or _follow_ups(library)
    run = None
    if job is not None and job.kind == JobKind.TRAIN:
        run = job.runs.filter(state=TrainingRun.State.RUNNING).first()
    last = library.jobs.filter(kind=JobKind.TRAIN).order_by("-id").first()
    return {
        "job": job,
        "run": run,
        "course": model_rows.learning_curve_of(run) if run else [],
        "new_answers": retraining.until_next(library),
        "last_job": last if last is not None and last.state not in Job.OPEN else None,
        "no_worker": job is not None and not jobs.worker_is_there(jobs.queue_of(job.kind)),
    }


def _follow_ups(library: Library) -> Job | None:
    after = library.jobs.filter(state__in=Job.OPEN, kind__in=[JobKind.PREDICT, JobKind.RANK])
    return after.order_by("id").first()


@library_page(Role.CURATOR)
@require_POST
def train_now(request: HttpRequest, library: Library) -> HttpResponse:
    """Request a training by hand."""
    network = request.POST.get("network", "")
    if network not in networks.names():
        messages.error(request, "This network does not exist: choose one from the list.")
        return redirect("models", library.slug)
    if retraining.open_training(library) is not None:
        messages.info(request, "A training is already running: wait until it ends.")
        return redirect("models", library.slug)
    job = retraining.request_training(
        library, "requested on the Models page", by_id=request.user.pk, network=network
    )
    if job is None:
        messages.error(
            request, "No track of this library has audio: import a catalogue with audio first."
        )
    else:
        messages.success(request, "The training was requested. This page shows its progress.")
    return redirect("models", library.slug)


@library_page(Role.CURATOR)
@require_POST
def use_model(request: HttpRequest, library: Library, number: int) -> HttpResponse:
    """Promote another version by hand."""
    version = get_object_or_404(library.models.select_related("run"), number=number)
    try:
        why = request.POST.get("why", "").strip()[:_MOST_WHY]
        retraining.roll_back(version, by_id=request.user.pk, why=why)
        messages.success(
            request,
            f"Model {version.number} is the champion now. Suggestions and the queue are being "
            "updated.",
        )
    except BadInput as error:
        messages.info(request, f"{error}.")
    return redirect("models", library.slug)


urlpatterns = [
    path("models/<slug:slug>/", model_list, name="models"),
    path("models/<slug:slug>/now/", models_now, name="models_now"),
    path("models/<slug:slug>/train/", train_now, name="train_now"),
    path("models/<slug:slug>/<int:number>/use/", use_model, name="use_model"),
]
