"""The mapping of an import: a person says what each column of the file means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

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
from labeling.loop.importing.csv.dates import DATE_FORMS, DateExample, date_examples
from labeling.loop.importing.csv.profile import Proposal
from labeling.models import ImportBatch, ImportMapping, Job, Library, Membership
from labeling.models.jobs import JobKind
from labeling.permissions import library_page
from labeling.views.fields import text_in, whole_number

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_DATES_SHOWN = 5


@dataclass(frozen=True)
class ColumnChoice:
    """A column of the file: its first cells, its meaning, and what may be overlooked."""

    number: int
    name: str
    cells: list[str]
    role: str
    separator: str
    hints: list[str]


@dataclass(frozen=True)
class MappingChoices:
    """Everything that a person chose on the page, whether or not it makes sense.

    `roles` and `separators` go by the number of the column.
    """

    roles: Mapping[int, str] = field(default_factory=dict)
    separators: Mapping[int, str] = field(default_factory=dict)
    annotator: str = ""
    audio_root: str = ""
    is_strict: bool = False
    dates: str = "iso"
    sheet: str = ""
    encoding: str = ""
    mapping_name: str = ""

    @classmethod
    def sent(cls, form: QueryDict) -> MappingChoices:
        """Read the form as it was sent."""
        numbers = [
            int(name.removeprefix("role-"))
            for name in form
            if name.startswith("role-") and name.removeprefix("role-").isdecimal()
        ]
        return cls(
            roles={n: text_in(form, f"role-{n}") for n in numbers},
            separators={n: text_in(form, f"separator-{n}") for n in numbers},
            annotator=text_in(form, "annotator").strip()[:150],
            audio_root=text_in(form, "audio_root"),
            is_strict="is_strict" in form,
            dates=text_in(form, "dates") or "iso",
            sheet=text_in(form, "sheet"),
            encoding=text_in(form, "encoding"),
            mapping_name=" ".join(text_in(form, "mapping_name").split())[:120],
        )

    @classmethod
    def stored(
        cls, library: Library, names: list[str], options: Mapping[str, Any]
    ) -> MappingChoices:
        """Return the choices of stored options; columns that they do not fit are guessed."""
        roles, separators = _guess(library, names, options)
        folders = {path: name for name, path in audio.known_roots(library).items()}
        return cls(
            roles=roles,
            separators=separators,
            annotator=str(options.get("annotator") or ""),
            audio_root=folders.get(str(options.get("audio_folder") or ""), ""),
            is_strict=bool(options.get("is_strict")),
            dates=str(options.get("dates") or "iso"),
            sheet=str(options.get("sheet") or ""),
            encoding=str(options.get("encoding") or ""),
        )

    def as_options(self, library: Library, names: list[str]) -> dict[str, Any]:
        """Return the options of an import, or refuse what does not make sense."""
        options: dict[str, Any] = {
            "facets": {},
            "separators": {},
            "fields": {},
            "metadata": [],
            "answer_metadata": [],
            "ignored": [],
            "annotator": self.annotator,
            "is_strict": self.is_strict,
            "dates": self.dates,
            "sheet": self.sheet,
            "encoding": self.encoding,
        }
        keys = []
        for number, name in enumerate(names):
            kind, _, value = (self.roles.get(number) or "metadata").partition(":")
            separator = self.separators.get(number, "")
            if kind == "key":
                keys.append(name)
            elif kind == "facet":
                options["facets"][name] = value
                options["separators"] |= {name: separator} if separator else {}
            elif kind == "field":
                options["fields"][name] = value
            elif name:
                options[_LISTS.get(kind, "metadata")].append(name)
        if len(keys) != 1:
            raise BadInput("choose the column with the file name: it identifies the tracks")
        return options | {"key": keys[0], "audio_folder": _folder(library, self.audio_root)}


#: The list of the options in which a column of this role is named.
_LISTS = {"ignore": "ignored", "answer_metadata": "answer_metadata"}


def _folder(library: Library, name: str) -> str:
    """Return the path of a folder on the list; nothing else can be asked for from here."""
    if not name:
        return ""
    roots = audio.known_roots(library)
    if name not in roots:
        raise BadInput("this audio folder is not on the list: choose another one")
    return roots[name]


def batch_of(library: Library, batch_id: int) -> ImportBatch:
    """Return an import of this library."""
    batches = ImportBatch.objects.select_related("job", "library", "by", "undo_job")
    return get_object_or_404(batches, pk=batch_id, library=library)


def can_start(batch: ImportBatch) -> bool:
    """Say whether the import can be started (again): it has its file, and nothing runs."""
    is_open = batch.job is not None and batch.job.state in Job.OPEN
    is_undone = batch.undo_job_id is not None
    return not is_open and not is_undone and catalogue.stored_path(batch).is_file()


def show_mapping(
    request: HttpRequest,
    batch: ImportBatch,
    sent: MappingChoices | None = None,
    problem: str = "",
) -> HttpResponse:
    """Show the columns with the choices that were sent, or else with the stored ones."""
    path = catalogue.stored_path(batch)
    if not path.is_file():
        messages.info(request, "This file was removed: upload it again.")
        return redirect("imports", batch.library.slug)
    options = _chosen_options(request, batch)
    sheet = sent.sheet if sent else request.GET.get("sheet", options.get("sheet") or "")
    encoding = sent.encoding if sent else str(options.get("encoding") or "")
    seen: catalogue.CataloguePreview = {
        "columns": [], "rows": [], "encoding": "", "doubt": "", "delimiter": "",
        "sheet": "", "sheets": [],
    }  # fmt: skip
    try:
        seen = catalogue.preview_catalogue(path, sheet=sheet, encoding=encoding)
    except BadInput as error:
        problem = str(error)
    names = seen["columns"]
    choices = sent or MappingChoices.stored(batch.library, names, options)
    proposals = _proposals(batch, choices, names, seen["sheet"])
    context = {
        "library": batch.library,
        "batch": batch,
        "columns": _columns(seen, choices, proposals),
        "encoding": seen["encoding"],
        "encodings": csv_encoding.OFFERED.items(),
        "doubt": seen["doubt"],
        "delimiter": _DELIMITERS.get(seen["delimiter"], seen["delimiter"]),
        "sheet": seen["sheet"],
        "sheets": seen["sheets"],
        "roles": _roles(batch.library),
        "choices": choices,
        "date_forms": DATE_FORMS.items(),
        "dates": _dates(seen, choices, proposals),
        "problem": problem,
        "roots": sorted(audio.known_roots(batch.library).items()),
        "mappings": ImportMapping.objects.filter(library=batch.library),
        "default_annotator": catalogue.DEFAULT_ANNOTATOR,
    }
    status = 400 if request.method == "POST" else 200
    return render(request, "labeling/imports_mapping.html", context, status=status)


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


def _roles(library: Library) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what a column can be, in groups, as (value, words)."""
    facets = [(f"facet:{one.name_key}", f"labels: {one.name}") for one in library.facets.all()]
    fields = [(f"field:{name}", name.upper() if name == "isrc" else name) for name in FIELDS]
    answers = [
        ("field:annotator", "annotator"),
        ("field:annotated_at", "annotated at"),
        ("answer_metadata", "keep with the answer"),
    ]
    return [
        ("The track", [("key", "file name (the key)"), *fields]),
        ("The answer", [*facets, *answers]),
        ("Other", [("metadata", "keep as metadata"), ("ignore", "leave out")]),
    ]


def _columns(
    seen: catalogue.CataloguePreview, choices: MappingChoices, proposals: list[Proposal]
) -> list[ColumnChoice]:
    return [
        ColumnChoice(
            number=number,
            name=name,
            cells=[row[number] for row in seen["rows"]],
            role=choices.roles.get(number, "metadata"),
            separator=choices.separators.get(number, ""),
            hints=[one["message"] for one in proposals if one["column"] == name],
        )
        for number, name in enumerate(seen["columns"])
    ]


def _proposals(
    batch: ImportBatch, choices: MappingChoices, names: list[str], sheet: str
) -> list[Proposal]:
    """Return what the choices may have overlooked; nothing while they make no sense."""
    facets = {facet.name_key for facet in batch.library.facets.all()}
    try:
        options = choices.as_options(batch.library, names) | {"sheet": sheet}
        return catalogue.propose(
            catalogue.stored_path(batch), ReadingOptions.of(options), facets
        )
    except BadInput:
        return []


def _dates(
    seen: catalogue.CataloguePreview, choices: MappingChoices, proposals: list[Proposal]
) -> tuple[str, list[str], list[DateExample]] | None:
    """Return the column of dates, its first cells, and how each form reads them."""
    proposed = [one["column"] for one in proposals if one["kind"] == "annotated_at"]
    for number, name in enumerate(seen["columns"]):
        if choices.roles.get(number) == "field:annotated_at" or name in proposed:
            cells = [row[number].strip() for row in seen["rows"]]
            shown = list(dict.fromkeys(filter(None, cells)))[:_DATES_SHOWN]
            return (name, shown, date_examples(shown)) if shown else None
    return None


def _guess(
    library: Library, names: list[str], options: Mapping[str, Any]
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
    roles |= dict.fromkeys(columns.of_answer, "answer_metadata")
    roles |= {n: "ignore" for n, name in enumerate(columns.names) if name in reading.ignored}
    return roles | {columns.key: "key"}, dict(columns.separators)


@library_page(Membership.Role.MANAGER)
@require_POST
def start_import(request: HttpRequest, library: Library, batch_id: int) -> HttpResponse:
    """Save what the columns mean and ask for the import, or for a trial of it."""
    batch = batch_of(library, batch_id)
    if batch.job is not None and batch.job.state in Job.OPEN:
        messages.info(request, "This import is already running.")
        return redirect("import_batch", library.slug, batch.pk)
    if batch.undo_job_id is not None:
        messages.info(request, "This import was undone: upload the file again.")
        return redirect("import_batch", library.slug, batch.pk)
    sent = None if "confirm" in request.POST else MappingChoices.sent(request.POST)
    try:
        options = _checked(library, batch, sent)
    except BadInput as error:
        return show_mapping(request, batch, sent, str(error))
    if sent is not None and sent.mapping_name:
        _save_mapping(request, library, sent.mapping_name, options)
    _enqueue(batch, options, is_dry_run="try" in request.POST)
    return redirect("import_batch", library.slug, batch.pk)


def _checked(
    library: Library, batch: ImportBatch, sent: MappingChoices | None
) -> dict[str, Any]:
    """Return the options to import with: those of the form, or those of the trial."""
    path = catalogue.stored_path(batch)
    if sent is not None:
        options = sent.as_options(library, _names(path, sent) if path.is_file() else [])
    else:
        options = dict(batch.options)
        known = audio.known_roots(library).values()
        if options.get("audio_folder") not in (None, "", *known):
            raise BadInput("this audio folder is not on the list: choose another one")
    facets = {facet.name_key for facet in library.facets.all()}
    catalogue.read_columns(path, ReadingOptions.of(options), facets)
    return options


def _names(path: Path, sent: MappingChoices) -> list[str]:
    seen = catalogue.preview_catalogue(path, sheet=sent.sheet, encoding=sent.encoding)
    return seen["columns"]


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


def _save_mapping(
    request: HttpRequest, library: Library, name: str, options: dict[str, Any]
) -> None:
    ImportMapping.objects.update_or_create(
        library=library, name=name, defaults={"options": options}
    )
    messages.success(request, f"The mapping {name} is saved.")
