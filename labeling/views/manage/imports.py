"""The Imports page: upload a catalogue, and see what its import did."""

from __future__ import annotations

import csv
import uuid
from pathlib import Path
from typing import cast

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

from labeling.models import ImportBatch, ImportMapping, Library, Membership
from labeling.permissions import library_page
from labeling.private_files import private_folder
from labeling.views.manage.import_mapping import (
    batch_of,
    can_start,
    show_mapping,
    start_import,
)
from labeling.views.manage.import_results import error_rows, import_progress
from labeling.views.manage.import_undo import undo_page

_ON_A_PAGE = 25
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
    return render(request, "labeling/imports_batch.html", import_progress(batch))


@library_page(MANAGER)
@require_safe
def import_errors(request: HttpRequest, library: Library, batch_id: int) -> HttpResponse:
    """Give the errors of the rows as CSV."""
    batch = batch_of(library, batch_id)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="import-{batch.pk}-errors.csv"'
    csv.writer(response).writerows(error_rows(batch))
    return response


urlpatterns = [
    path("imports/<slug:slug>/", import_list, name="imports"),
    path("imports/<slug:slug>/<int:batch_id>/", import_batch, name="import_batch"),
    path("imports/<slug:slug>/<int:batch_id>/start/", start_import, name="start_import"),
    path("imports/<slug:slug>/<int:batch_id>/undo/", undo_page, name="undo_import"),
    path("imports/<slug:slug>/<int:batch_id>/errors/", import_errors, name="import_errors"),
]
