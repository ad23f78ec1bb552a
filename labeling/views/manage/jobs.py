"""The Jobs page: running, waiting and failed jobs; cancel and retry."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.views.decorators.http import require_POST, require_safe

from labeling import jobs
from labeling.models import Job, Library, Membership
from labeling.permissions import has_role, library_page
from labeling.templatetags.job_names import job_name

_ON_A_PAGE = 50
Role = Membership.Role


@library_page(Role.ANNOTATOR)
@require_safe
def job_list(request: HttpRequest, library: Library) -> HttpResponse:
    """Show the library's jobs, newest first."""
    return render(request, "labeling/jobs.html", _context(request, library))


@library_page(Role.ANNOTATOR)
@require_safe
def job_rows(request: HttpRequest, library: Library) -> HttpResponse:
    """Answer the part of the page that changes, for the page to put in place."""
    return render(request, "labeling/jobs_rows.html", _context(request, library))


@library_page(Role.CURATOR)
@require_POST
def cancel_job(request: HttpRequest, library: Library, job_id: int) -> HttpResponse:
    """Ask a job to stop."""
    job = get_object_or_404(Job, pk=job_id, library=library)
    if job.state in Job.OPEN:
        jobs.cancel(job)
        messages.info(request, f"{job_name(job.kind)}: stop requested.")
    else:
        messages.info(request, f"{job_name(job.kind)} had already ended: {job.state}.")
    return redirect("jobs", library.slug)


@library_page(Role.CURATOR)
@require_POST
def retry_job(request: HttpRequest, library: Library, job_id: int) -> HttpResponse:
    """Request a failed or cancelled job again."""
    job = get_object_or_404(Job, pk=job_id, library=library)
    if job.state in (Job.State.FAILED, Job.State.CANCELLED):
        again, name = jobs.retry(job), job_name(job.kind)
        if again.arguments != job.arguments:
            messages.info(request, f"{name}: another one is already running, job {again.pk}.")
        else:
            messages.success(request, f"{name}: requested again as job {again.pk}.")
    else:
        messages.info(request, f"{job_name(job.kind)} is {job.state}: nothing to retry.")
    return redirect("jobs", library.slug)


def _context(request: HttpRequest, library: Library) -> dict[str, object]:
    all_jobs = Job.objects.filter(library=library).select_related("by")
    page = Paginator(all_jobs, _ON_A_PAGE).get_page(request.GET.get("page"))
    open_kinds = {job.kind for job in page if job.state in Job.OPEN}
    served = jobs.queues_served()
    may_act = has_role(request.user, library, Role.CURATOR)
    return {
        "jobs_page": page,
        "retryable": jobs.can_help_to_retry(page) if may_act else set(),
        "has_open": bool(open_kinds),
        "unserved": sorted({jobs.queue_of(kind) for kind in open_kinds} - served),
        "no_worker": not served - {jobs.SCHEDULER},
        "may_act": may_act,
    }


urlpatterns = [
    path("jobs/<slug:slug>/", job_list, name="jobs"),
    path("jobs/<slug:slug>/rows/", job_rows, name="job_rows"),
    path("jobs/<slug:slug>/<int:job_id>/cancel/", cancel_job, name="cancel_job"),
    path("jobs/<slug:slug>/<int:job_id>/retry/", retry_job, name="retry_job"),
]
