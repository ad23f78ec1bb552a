"""The Imports page: upload a catalogue, and see what its import did."""

from __future__ import annotations

import csv
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.defaultfilters import filesizeformat
from django.urls import path
from django.views.decorators.http import require_http_methods, require_safe

from labeling import jobs
from labeling.loop.importing.csv.cells import guarded
from labeling.models import ImportBatch, ImportMapping, Job, Library, Membership
from labeling.permissions import library_page
from labeling.private_files import private_folder
from labeling.views.manage.import_mapping import (
    batch_of,
    can_start,
    show_mapping,
    start_import,
)
from labeling.views.manage.import_undo import undo_figures, undo_page

_ON_A_PAGE = 25
_ERRORS_SHOWN = 20
_LABELS_SHOWN = 200
_FIGURES = (
    ("rows_read", "rows read"),
    ("tracks_created", "new tracks"),
    ("tracks_updated", "changed tracks"),
    ("tracks_unchanged", "unchanged tracks"),
    ("annotations_created", "new annotations"),
    ("rows_joined", "rows joined"),
    ("labels_created", "new labels"),
    ("labels_merged", "merged spellings"),
    ("audio_missing", "missing files"),
    ("rows_rejected", "rejected rows"),
)
MANAGER = Membership.Role.MANAGER


class UploadForm(forms.Form):
    """A file to import."""

    file = forms.FileField(label="Catalogue (CSV or Excel)", max_length=255)

    def clean_file(self) -> UploadedFile:
        file = cast(UploadedFile, self.cleaned_data["file"])
        if (file.size or 0) > settings.IMPORT_MAX_BYTES:
            limit = filesizeformat(settings.IMPORT_MAX_BYTES)
            raise forms.ValidationError(
                f"The file is larger than {limit}: split it, or use the import_library command."
            )
        return file


@library_page(MANAGER)
@require_http_methods(["GET", "HEAD", "POST"])
def import_list(request: HttpRequest, library: Library) -> HttpResponse:
    """Show earlier imports, and take a new file."""
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        batch = _keep(form.cleaned_data["file"], library, cast(User, request.user))
        return redirect("import_batch", library.slug, batch.pk)
    batches = ImportBatch.objects.filter(library=library).select_related(
        "job", "by", "undo_job"
    )
    return render(
        request,
        "labeling/imports.html",
        {
            "library": library,
            "form": form,
            "limit": settings.IMPORT_MAX_BYTES,
            "batches": Paginator(batches, _ON_A_PAGE).get_page(request.GET.get("page")),
            "mappings": ImportMapping.objects.filter(library=library),
        },
    )


def _keep(file: UploadedFile, library: Library, user: User) -> ImportBatch:
    """Store an upload under a name of our own; what the browser calls it is only shown."""
    is_workbook = str(file.name).lower().endswith((".xlsx", ".xlsm"))
    stored_as = f"{uuid.uuid4().hex}.{'xlsx' if is_workbook else 'csv'}"
    with (private_folder(Path(settings.UPLOAD_ROOT)) / stored_as).open("xb") as out:
        for chunk in file.chunks():
            out.write(chunk)
    return ImportBatch.objects.create(
        library=library, file_name=str(file.name)[:255], stored_as=stored_as, by=user
    )


@library_page(MANAGER)
@require_safe
def import_batch(request: HttpRequest, library: Library, batch_id: int) -> HttpResponse:
    """Show a file with the meaning of its columns, or its result."""
    batch = batch_of(library, batch_id)
    is_unmapped = batch.job is None and bool(batch.stored_as)
    if is_unmapped or ("again" in request.GET and can_start(batch)):
        return show_mapping(request, batch)
    return render(request, "labeling/imports_batch.html", _progress(batch))


def _progress(batch: ImportBatch) -> dict[str, Any]:
    job, undo, report = batch.job, batch.undo_job, batch.report
    is_open = job is not None and job.state in Job.OPEN
    is_undoing = undo is not None and undo.state in Job.OPEN
    waits = [one for one in (job, undo) if one is not None and one.state == Job.State.QUEUED]
    return {
        "library": batch.library,
        "batch": batch,
        "job": job,
        "is_open": is_open,
        "is_done": bool(report) if job is None else job.state == Job.State.DONE,
        "is_undoing": is_undoing,
        "is_waiting": bool(waits) and not jobs.worker_is_there("default"),
        "can_start": can_start(batch),
        "can_undo": _can_undo(batch) and not is_open and not is_undoing,
        "undo": undo_figures(batch.undo_report) if batch.undo_report else None,
        **_told(report),
    }


def _can_undo(batch: ImportBatch) -> bool:
    """Say whether the import may have written something that is still there."""
    return not (batch.is_dry_run or batch.undone_at or batch.report.get("refused"))


def _told(report: dict[str, Any]) -> dict[str, Any]:
    """Return the report for the template, with lists cut to what a page can show."""
    return {
        "figures": [(words, report[key]) for key, words in _FIGURES if key in report],
        "errors": report.get("errors", [])[:_ERRORS_SHOWN],
        "n_errors": len(report.get("errors", [])) + report.get("errors_omitted", 0),
        "proposals": report.get("proposals", []),
        "joined": report.get("joined", [])[:_ERRORS_SHOWN],
        "n_joined": report.get("rows_joined", 0),
        "answer_metadata": report.get("answer_metadata", []),
        "new_labels": report.get("labels_new", [])[:_LABELS_SHOWN],
        "n_new_labels": report.get("labels_created", 0),
        "merged": report.get("merged", [])[:_ERRORS_SHOWN],
        "n_merged": len(report.get("merged", [])),
    }


@library_page(MANAGER)
@require_safe
def import_errors(request: HttpRequest, library: Library, batch_id: int) -> HttpResponse:
    """Give the errors of the rows as CSV."""
    batch = batch_of(library, batch_id)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="import-{batch.pk}-errors.csv"'
    csv.writer(response).writerows(_error_rows(batch))
    return response


def _error_rows(batch: ImportBatch) -> Iterator[list[str]]:
    yield ["row", "column", "message"]
    for one in batch.report.get("errors", []):
        yield [str(one["row"]), guarded(one["column"]), guarded(one["message"])]
    omitted = batch.report.get("errors_omitted", 0)
    if omitted:
        yield ["", "", f"{omitted} more are not listed"]


urlpatterns = [
    path("imports/<slug:slug>/", import_list, name="imports"),
    path("imports/<slug:slug>/<int:batch_id>/", import_batch, name="import_batch"),
    path("imports/<slug:slug>/<int:batch_id>/start/", start_import, name="start_import"),
    path("imports/<slug:slug>/<int:batch_id>/undo/", undo_page, name="undo_import"),
    path("imports/<slug:slug>/<int:batch_id>/errors/", import_errors, name="import_errors"),
]
