"""The Imports page: upload a catalogue, map its columns, try it out, import it."""

from __future__ import annotations

import csv
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.defaultfilters import filesizeformat
from django.urls import path
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling import jobs
from labeling.errors import BadInput
from labeling.loop.importing import audio, catalogue
from labeling.loop.importing.csv import encoding as csv_encoding
from labeling.loop.importing.csv.columns import (
    ANSWER_FIELDS,
    FIELDS,
    Columns,
    ReadingOptions,
    plan_columns,
)
from labeling.models import ImportBatch, ImportMapping, Job, Library, Membership
from labeling.models.jobs import JobKind
from labeling.permissions import library_page
from labeling.private_files import private_folder
from labeling.views.fields import text_in, whole_number
from labeling.views.manage.import_results import error_rows, import_progress

_ON_A_PAGE = 25
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
MANAGER = Membership.Role.MANAGER


class UploadForm(forms.Form):
    """A file to import."""

    file = forms.FileField(label="Catalogue (CSV)", max_length=255)

    def clean_file(self) -> UploadedFile:
        file = cast(UploadedFile, self.cleaned_data["file"])
        if (file.size or 0) > settings.IMPORT_MAX_BYTES:
            limit = filesizeformat(settings.IMPORT_MAX_BYTES)
            raise forms.ValidationError(
                f"The file is larger than {limit}: split it, or use the import_library command."
            )
        return file


@dataclass(frozen=True)
class ColumnChoice:
    """A column of the file: its first cells and its meaning."""

    number: int
    name: str
    cells: list[str]
    role: str
    separator: str


@library_page(MANAGER)
@require_http_methods(["GET", "HEAD", "POST"])
def import_list(request: HttpRequest, library: Library) -> HttpResponse:
    """Show earlier imports, and take a new file."""
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        batch = _keep(form.cleaned_data["file"], library, cast(User, request.user))
        return redirect("import_batch", library.slug, batch.pk)
    batches = ImportBatch.objects.filter(library=library).select_related("job", "by")
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
    stored_as = f"{uuid.uuid4().hex}.csv"
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
    batch = _batch(library, batch_id)
    if batch.job is None or "again" in request.GET:
        return _mapping_page(request, batch, _chosen_options(request, batch))
    return render(request, "labeling/imports_batch.html", import_progress(batch))


def _batch(library: Library, batch_id: int) -> ImportBatch:
    batches = ImportBatch.objects.select_related("job", "library", "by")
    return get_object_or_404(batches, pk=batch_id, library=library)


def _chosen_options(request: HttpRequest, batch: ImportBatch) -> dict[str, Any]:
    """Return the saved mapping that was asked for, else what the batch has.

    An encoding that was chosen counts for the preview, too.
    """
    options = _mapping_or_own(request, batch)
    if "encoding" in request.GET:
        options["encoding"] = text_in(request.GET, "encoding")
    return options


def _mapping_or_own(request: HttpRequest, batch: ImportBatch) -> dict[str, Any]:
    wanted = whole_number(request.GET.get("mapping"))
    if wanted is not None:
        mapping = ImportMapping.objects.filter(library=batch.library, pk=wanted).first()
        if mapping is not None:
            return dict(mapping.options)
    return dict(batch.options)


def _mapping_page(
    request: HttpRequest, batch: ImportBatch, options: dict[str, Any], problem: str = ""
) -> HttpResponse:
    if not catalogue.stored_path(batch).is_file():
        messages.info(request, "This file was removed: upload it again.")
        return redirect("imports", batch.library.slug)
    try:
        seen = catalogue.preview_catalogue(
            catalogue.stored_path(batch), encoding=options.get("encoding") or ""
        )
    except BadInput as error:
        seen, problem = (
            {"columns": [], "rows": [], "encoding": "", "doubt": "", "delimiter": ","},
            str(error),
        )
    context = {
        "library": batch.library,
        "batch": batch,
        "columns": _choices(batch.library, seen, options),
        "encoding": seen["encoding"],
        "encodings": csv_encoding.OFFERED.items(),
        "doubt": seen["doubt"],
        "delimiter": _DELIMITERS.get(seen["delimiter"], seen["delimiter"]),
        "roles": _roles(batch.library),
        "options": options,
        "problem": problem,
        "roots": sorted(audio.known_roots(batch.library).items()),
        "mappings": ImportMapping.objects.filter(library=batch.library),
        "default_annotator": catalogue.DEFAULT_ANNOTATOR,
    }
    status = 400 if request.method == "POST" else 200
    return render(request, "labeling/imports_mapping.html", context, status=status)


def _roles(library: Library) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what a column can be, in groups, as (value, words)."""
    facets = [(f"facet:{one.name_key}", f"labels: {one.name}") for one in library.facets.all()]
    fields = [(f"field:{name}", name.upper() if name == "isrc" else name) for name in FIELDS]
    answers = [("field:annotator", "annotator"), ("field:annotated_at", "annotated at")]
    return [
        ("The track", [("key", "file name (the key)"), *fields]),
        ("The answer", [*facets, *answers]),
        ("Other", [("metadata", "keep as metadata"), ("ignore", "leave out")]),
    ]


def _choices(
    library: Library, seen: dict[str, Any], options: dict[str, Any]
) -> list[ColumnChoice]:
    names = seen["columns"]
    roles, separators = _guess(library, names, options)
    return [
        ColumnChoice(
            number=number,
            name=name,
            cells=[row[number] for row in seen["rows"]],
            role=roles.get(number, "metadata"),
            separator=separators.get(number, ""),
        )
        for number, name in enumerate(names)
    ]


def _guess(
    library: Library, names: list[str], options: dict[str, Any]
) -> tuple[dict[int, str], dict[int, str]]:
    """Say what each column is taken for; a mapping that does not fit the file is left out."""
    facets = {facet.name_key for facet in library.facets.all()}
    key = names[0] if names else ""
    for reading in (
        ReadingOptions.of(options),
        ReadingOptions(),
        ReadingOptions(key=key),
    ):
        try:
            return _as_roles(plan_columns(names, reading, facets), reading)
        except BadInput:
            continue
    return {}, {}


def _as_roles(
    columns: Columns, reading: ReadingOptions
) -> tuple[dict[int, str], dict[int, str]]:
    roles = {place: f"facet:{facet}" for place, facet in columns.facets.items()}
    roles |= {place: f"field:{name}" for name, place in columns.fields.items()}
    for name, place in zip(
        ANSWER_FIELDS, (columns.annotator, columns.annotated_at), strict=True
    ):
        if place is not None:
            roles[place] = f"field:{name}"
    roles |= dict.fromkeys(columns.extra, "metadata")
    roles |= {n: "ignore" for n, name in enumerate(columns.names) if name in reading.ignored}
    return roles | {columns.key: "key"}, dict(columns.separators)


@library_page(MANAGER)
@require_POST
def start_import(request: HttpRequest, library: Library, batch_id: int) -> HttpResponse:
    """Save what the columns mean and ask for the import, or for a trial of it."""
    batch = _batch(library, batch_id)
    path_ = catalogue.stored_path(batch)
    if batch.job is not None and batch.job.state in Job.OPEN:
        messages.info(request, "This import is already running.")
        return redirect("import_batch", library.slug, batch.pk)
    options: dict[str, Any] = dict(batch.options)
    try:
        if "confirm" not in request.POST:
            options["encoding"] = text_in(request.POST, "encoding")
            names = _names(path_, options["encoding"]) if path_.is_file() else []
            options = _read_options(request, library, names)
        elif options.get("audio_folder") not in (
            None,
            "",
            *audio.known_roots(library).values(),
        ):
            raise BadInput("this audio folder is not on the list: choose another one")
        facets = {facet.name_key for facet in library.facets.all()}
        catalogue.read_columns(path_, ReadingOptions.of(options), facets)
    except BadInput as error:
        return _mapping_page(request, batch, options, str(error))
    _save_mapping(request, library, options)
    _enqueue(batch, options, is_dry_run="try" in request.POST)
    return redirect("import_batch", library.slug, batch.pk)


def _names(path: Path, encoding: str) -> list[str]:
    return list(catalogue.preview_catalogue(path, encoding=encoding)["columns"])


def _enqueue(batch: ImportBatch, options: dict[str, Any], *, is_dry_run: bool) -> None:
    batch.options, batch.is_dry_run, batch.report = options, is_dry_run, {}
    batch.save(update_fields=["options", "is_dry_run", "report"])
    batch.job = jobs.enqueue(
        JobKind.IMPORT,
        library=batch.library,
        arguments={"batch": batch.pk},
        by_id=batch.by_id,
    )
    batch.save(update_fields=["job"])


def _read_options(request: HttpRequest, library: Library, names: list[str]) -> dict[str, Any]:
    """Read the form: a role a column, and what holds for the whole file."""
    options: dict[str, Any] = {
        "facets": {},
        "separators": {},
        "fields": {},
        "metadata": [],
        "ignored": [],
        "annotator": text_in(request.POST, "annotator").strip()[:150],
        "audio_folder": _folder(library, request.POST.get("audio_root", "")),
        "is_strict": "is_strict" in request.POST,
        "encoding": text_in(request.POST, "encoding"),
    }
    keys = []
    for number, name in enumerate(names):
        kind, _, value = (text_in(request.POST, f"role-{number}") or "metadata").partition(":")
        separator = text_in(request.POST, f"separator-{number}")
        if kind == "key":
            keys.append(name)
        elif kind == "facet":
            options["facets"][name] = value
            options["separators"] |= {name: separator} if separator else {}
        elif kind == "field":
            options["fields"][name] = value
        elif name:
            options["ignored" if kind == "ignore" else "metadata"].append(name)
    if len(keys) != 1:
        raise BadInput("choose the column with the file name: it identifies the tracks")
    return options | {"key": keys[0]}


def _folder(library: Library, name: str) -> str:
    """Return the path of a folder on the list; nothing else can be asked for from here."""
    if not name:
        return ""
    roots = audio.known_roots(library)
    if name not in roots:
        raise BadInput("this audio folder is not on the list: choose another one")
    return roots[name]


def _save_mapping(request: HttpRequest, library: Library, options: dict[str, Any]) -> None:
    name = " ".join(text_in(request.POST, "mapping_name").split())[:120]
    if name:
        ImportMapping.objects.update_or_create(
            library=library, name=name, defaults={"options": options}
        )
        messages.success(request, f"The mapping {name} is saved.")


@library_page(MANAGER)
@require_safe
def import_errors(request: HttpRequest, library: Library, batch_id: int) -> HttpResponse:
    """Give the errors of the rows as CSV."""
    batch = _batch(library, batch_id)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="import-{batch.pk}-errors.csv"'
    csv.writer(response).writerows(error_rows(batch))
    return response


urlpatterns = [
    path("imports/<slug:slug>/", import_list, name="imports"),
    path("imports/<slug:slug>/<int:batch_id>/", import_batch, name="import_batch"),
    path("imports/<slug:slug>/<int:batch_id>/start/", start_import, name="start_import"),
    path("imports/<slug:slug>/<int:batch_id>/errors/", import_errors, name="import_errors"),
]
