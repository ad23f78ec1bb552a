"""Import of a catalogue: tracks, labels, and legacy answers of a named annotator.

Stage: import. First the whole file is read and staged, then it is applied in short
transactions, each of which leaves the library in order. An interrupted import is simply run
again: rows imported before change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict

from django.conf import settings
from django.utils.text import slugify

from labeling import jobs
from labeling.errors import BadInput
from labeling.loop.importing import audio
from labeling.loop.importing.answers import Origin
from labeling.loop.importing.csv.columns import Columns, ReadingOptions, plan_columns
from labeling.loop.importing.csv.lines import Unreadable
from labeling.loop.importing.csv.profile import Profile, Proposal
from labeling.loop.importing.csv.rows import ANNOTATOR_LIMIT, RowError, parse
from labeling.loop.importing.csv.sources import Source, open_source
from labeling.loop.importing.csv.staging import Staging
from labeling.loop.importing.run import ImportRun, Progress, ShouldStop
from labeling.loop.library import libraries
from labeling.loop.serving import random_order
from labeling.models import Facet, ImportBatch, Job, Library, Track
from labeling.models.jobs import JobKind
from labeling.names import name_key

ERRORS_KEPT = 1_000
JOINED_KEPT = 100
#: Rows that the page looks at before anything is imported.
PREVIEWED = 5_000
DEFAULT_ANNOTATOR = "legacy"


class RowsRefused(BadInput):
    """A strict import has rejected rows; carries the whole report."""

    def __init__(self, report: dict[str, Any]) -> None:
        first = "; ".join(
            f"row {one['row']}, {one['column'] or 'the whole row'}: {one['message']}"
            for one in report["errors"][:3]
        )
        super().__init__(
            f"nothing was imported, {report['rows_rejected']} rows were rejected: {first}"
        )
        self.report = report


@dataclass(frozen=True)
class ImportOptions:
    """Options of an import.

    Attributes
    ----------
    reading : the meaning of the columns.
    annotator : the annotator of rows without one; "" for `legacy`.
    audio_folder : the folder of the files; "" leaves the audio of all tracks as it is.
    is_dry_run : count what would happen, write nothing.
    is_strict : refuse the whole catalogue if a row is rejected.
    """

    reading: ReadingOptions = field(default_factory=ReadingOptions)
    annotator: str = ""
    audio_folder: str = ""
    is_dry_run: bool = False
    is_strict: bool = False

    @classmethod
    def of(cls, stored: Mapping[str, Any], *, is_dry_run: bool = False) -> ImportOptions:
        """Read options from JSON, as a batch keeps them."""
        return cls(
            reading=ReadingOptions.of(stored),
            annotator=stored.get("annotator") or "",
            audio_folder=stored.get("audio_folder") or "",
            is_dry_run=is_dry_run,
            is_strict=bool(stored.get("is_strict")),
        )


@dataclass
class _Errors:
    """The errors of rows, the first of them in full."""

    kept: list[RowError] = field(default_factory=list)
    n_errors: int = 0
    n_rows: int = 0

    def add(self, errors: list[RowError]) -> None:
        self.n_rows += 1
        self.n_errors += len(errors)
        self.kept += errors[: ERRORS_KEPT - len(self.kept)]

    def as_json(self) -> dict[str, Any]:
        return {
            "rows_rejected": self.n_rows,
            "errors": [one.as_json() for one in self.kept],
            "errors_omitted": self.n_errors - len(self.kept),
        }


def import_catalogue(
    slug: str,
    path: Path,
    options: ImportOptions,
    *,
    by_id: int | None = None,
    batch_id: int | None = None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> dict[str, Any]:
    """Import a catalogue into the library `slug` and report the result.

    1. Read all rows and stage them; refuse the file if a column is missing.
    2. Create the library, its labels and annotators if they are new.
    3. Place new tracks into groups and sides, then write the tracks and the answers.
    """
    library, facets = _library(slug)
    folder = None
    if options.audio_folder:
        folder = audio.AudioFolder.at(options.audio_folder)
    columns, source = read_columns(path, options.reading, set(facets))
    with Staging() as staging:
        report = _stage(source, columns, staging, options)
        if options.is_strict and report["rows_rejected"]:
            raise RowsRefused(report)
        if library.pk is None and not options.is_dry_run:
            libraries.get_or_create_library(slug)
            library, facets = _library(slug)
        if batch_id is None and not options.is_dry_run:
            batch_id = _batch_of_command(library, path, by_id)
        origin = Origin(by_id, batch_id)
        run = ImportRun(library, facets, staging, folder, options.is_dry_run, origin)
        report |= run.apply(progress, should_stop)
    report["batch"] = None if options.is_dry_run else batch_id
    if batch_id is not None:
        ImportBatch.objects.filter(pk=batch_id).update(report=report)
    if report["tracks_created"] and not options.is_dry_run:
        random_order.restart([library.pk])
    return report


def _batch_of_command(library: Library, path: Path, by_id: int | None) -> int:
    """Return the row of an import that was not uploaded, so that it can be undone too."""
    batch = ImportBatch.objects.create(
        library=library, file_name=path.name[:255], stored_as="", by_id=by_id
    )
    return batch.pk


def _library(slug: str) -> tuple[Library, dict[str, Facet]]:
    """Return the library and its facets by key; not saved if the library does not exist."""
    library = Library.objects.filter(slug=slug).first()
    if library is not None:
        return library, {facet.name_key: facet for facet in library.facets.all()}
    if slug != slugify(slug) or not slug:
        raise BadInput(f"{slug!r} is not a library name: use small letters, digits and hyphens")
    names = [name_key(name) for name, _, _ in libraries.FACETS]
    return Library(slug=slug), {name: Facet(name=name, name_key=name) for name in names}


def read_columns(
    path: Path, reading: ReadingOptions, facets: set[str]
) -> tuple[Columns, Source]:
    """Open a file and return the meaning of each column, and the file to read."""
    source = open_source(path, reading.sheet)
    return plan_columns(source.header(), reading, facets), source


class CataloguePreview(TypedDict):
    """The columns and first rows of a file, for a person to map."""

    columns: list[str]
    rows: list[list[str]]
    encoding: str
    delimiter: str
    sheet: str
    sheets: list[str]


def preview_catalogue(path: Path, n_rows: int = 8, *, sheet: str = "") -> CataloguePreview:
    """Return the columns and first rows of a file, for a person to map."""
    source = open_source(path, sheet)
    names = source.header()
    return {
        "columns": names,
        "rows": [
            [cell[:200] for cell in (record + [""] * len(names))[: len(names)]]
            for _, record in islice(source.records(), 1, n_rows + 1)
            if not isinstance(record, Unreadable)
        ],
        "encoding": source.encoding,
        "delimiter": source.delimiter,
        "sheet": source.sheet,
        "sheets": source.sheets,
    }


def propose(path: Path, reading: ReadingOptions, facets: set[str]) -> list[Proposal]:
    """Return what these choices may have overlooked, as far as the first rows show it."""
    columns, source = read_columns(path, reading, facets)
    profile = Profile(columns, is_first_look=True)
    for _, record in islice(source.records(), 1, PREVIEWED + 1):
        if not isinstance(record, Unreadable):
            profile.add(record)
    return profile.proposals()


def _stage(
    source: Source, columns: Columns, staging: Staging, options: ImportOptions
) -> dict[str, Any]:
    errors, profile, n_rows = _Errors(), Profile(columns), 0
    annotator = " ".join(options.annotator.split()) or DEFAULT_ANNOTATOR
    if max(len(annotator), len(name_key(annotator))) > ANNOTATOR_LIMIT:
        raise BadInput(f"the annotator's name is longer than {ANNOTATOR_LIMIT} characters")
    for number, record in islice(source.records(), 1, None):
        n_rows += 1
        row, found = parse(number, record, columns)
        if row is None:
            errors.add(found)
        else:
            staging.add(row, annotator)
        if not isinstance(record, Unreadable):
            profile.add(record)
    n_joined, joined = staging.joined(JOINED_KEPT)
    return {
        "rows_read": n_rows,
        **errors.as_json(),
        "rows_joined": n_joined,
        "joined": joined,
        "answer_metadata": [
            {"column": name, "tracks": n} for name, n in staging.differing().most_common()
        ],
        "proposals": profile.proposals(),
    }


def probe_if_pending(library: Library, by_id: int | None = None) -> Job | None:
    """Request the probe of new files, unless one is already requested."""
    if not Track.objects.filter(library=library, state=Track.State.PENDING).exists():
        return None
    there = Job.objects.filter(library=library, kind=JobKind.PROBE, state=Job.State.QUEUED)
    return there.first() or jobs.enqueue(JobKind.PROBE, library=library, by_id=by_id)


def stored_path(batch: ImportBatch) -> Path:
    """Return the path of the file of a batch."""
    return Path(settings.UPLOAD_ROOT) / batch.stored_as


def run_batch(
    batch_id: int,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> dict[str, Any]:
    """Import an upload of the page and store the report with it.

    1. A file that cannot be read is not a failure of the worker: the report says why.
    2. An imported file is deleted; after a dry run it stays, to be imported.
    """
    batch = ImportBatch.objects.select_related("library").get(pk=batch_id)
    path = stored_path(batch)
    options = ImportOptions.of(batch.options, is_dry_run=batch.is_dry_run)
    try:
        report = import_catalogue(
            batch.library.slug,
            path,
            options,
            by_id=batch.by_id,
            batch_id=batch.pk,
            progress=progress,
            should_stop=should_stop,
        )
    except BadInput as error:
        report = getattr(error, "report", {}) | {"refused": str(error)}
    ImportBatch.objects.filter(pk=batch.pk).update(report=report)
    if not batch.is_dry_run and "refused" not in report and not report["is_stopped"]:
        probe_if_pending(batch.library, batch.by_id)
        path.unlink(missing_ok=True)
    return report
