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
from labeling.loop.importing.csv.records import ReadingNotes
from labeling.loop.importing.csv.rows import ANNOTATOR_LIMIT, RowError, parse
from labeling.loop.importing.csv.sources import Source, open_source
from labeling.loop.importing.csv.staging import Staging
from labeling.loop.importing.run import ImportRun, Progress, ShouldStop
from labeling.loop.library import libraries
from labeling.loop.serving import random_order
from labeling.models import Facet, ImportBatch, Job, Library, Track
from labeling.models.jobs import JobKind
from labeling.names import name_key, tidy_name

ERRORS_KEPT = 1_000
#: Characters that a preview reads at most: it runs in the web process.
PREVIEW_LIMIT = 2_000_000
#: If none of the first rows can be read, the file is not what it is taken for.
HOPELESS = 10_000
HOPELESS_CHARACTERS = 20_000_000
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
    columns, source = read_columns(path, options.reading, set(facets), is_whole=True)
    folders = [*(folder.paths if folder else ()), *audio.own_folders(library)]
    with Staging() as staging:
        reading = _Reading(source, columns, options, folders)
        is_stopped = not reading.stage(staging, should_stop)
        report = reading.report(staging)
        if options.is_strict and report["rows_rejected"]:
            raise RowsRefused(report)
        if library.pk is None and not (options.is_dry_run or is_stopped):
            libraries.get_or_create_library(slug)
            library, facets = _library(slug)
        if batch_id is None and not options.is_dry_run and library.pk is not None:
            batch_id = _batch_of_command(library, path, by_id)
        origin = Origin(by_id, batch_id)
        run = ImportRun(library, facets, staging, folder, options.is_dry_run, origin)
        report |= run.stopped() if is_stopped else run.apply(progress, should_stop)
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
    path: Path, reading: ReadingOptions, facets: set[str], *, is_whole: bool = False
) -> tuple[Columns, Source]:
    """Open a file and return the meaning of each column, and the file to read.

    Only a worker looks at the whole file for it; a page looks at the head and at samples.
    """
    source = open_source(path, reading.sheet, reading.encoding, is_whole=is_whole)
    return plan_columns(source.header(), reading, facets), source


class CataloguePreview(TypedDict):
    """The columns and first rows of a file, for a person to map."""

    columns: list[str]
    rows: list[list[str]]
    encoding: str
    doubt: str
    delimiter: str
    sheet: str
    sheets: list[str]


def preview_catalogue(
    path: Path, n_rows: int = 8, *, sheet: str = "", encoding: str = ""
) -> CataloguePreview:
    """Return the columns and first rows of a file, for a person to map."""
    source = open_source(path, sheet, encoding)
    names = source.header()
    return {
        "columns": names,
        "rows": [
            [cell[:200] for cell in (record + [""] * len(names))[: len(names)]]
            for _, record in islice(source.records(most=PREVIEW_LIMIT), 1, n_rows + 1)
            if not isinstance(record, Unreadable)
        ],
        "encoding": source.encoding,
        "doubt": source.doubt,
        "delimiter": source.delimiter,
        "sheet": source.sheet,
        "sheets": source.sheets,
    }


def propose(path: Path, reading: ReadingOptions, facets: set[str]) -> list[Proposal]:
    """Return what these choices may have overlooked, as far as the first rows show it."""
    columns, source = read_columns(path, reading, facets)
    profile = Profile(columns, is_first_look=True)
    for _, record in islice(source.records(most=PREVIEW_LIMIT), 1, PREVIEWED + 1):
        if not isinstance(record, Unreadable):
            profile.add(record)
    return profile.proposals()


@dataclass
class _Reading:
    """The reading of a catalogue: its valid rows are staged, the others are counted."""

    source: Source
    columns: Columns
    options: ImportOptions
    folders: list[str]
    errors: _Errors = field(default_factory=_Errors)
    notes: ReadingNotes = field(default_factory=ReadingNotes)
    n_rows: int = 0

    def __post_init__(self) -> None:
        self.profile = Profile(self.columns)

    def stage(self, staging: Staging, should_stop: ShouldStop | None) -> bool:
        """Stage all rows; return False if asked to stop first."""
        annotator = tidy_name(self.options.annotator) or DEFAULT_ANNOTATOR
        if max(len(annotator), len(name_key(annotator))) > ANNOTATOR_LIMIT:
            raise BadInput(f"the annotator's name is longer than {ANNOTATOR_LIMIT} characters")
        found = self.source.body(self.columns.names, self.columns.key, self.notes)
        for number, record in found:
            if should_stop is not None and should_stop():
                return False
            self.n_rows += 1
            row, errors = parse(number, record, self.columns)
            if row is None:
                self.errors.add(errors)
                self._refuse_if_hopeless()
            else:
                row.key = audio.relative_key(row.key, self.folders)
                staging.add(row, annotator)
            if not isinstance(record, Unreadable):
                self.profile.add(record)
        return True

    def _refuse_if_hopeless(self) -> None:
        n_rows, n_characters = self.n_rows, self.notes.n_characters
        is_enough = n_rows >= HOPELESS or n_characters > HOPELESS_CHARACTERS
        if n_rows == self.errors.n_rows and is_enough:
            first = self.errors.kept[0]
            raise BadInput(
                f"none of the first {n_rows:,} rows can be read; row {first.row}, "
                f"{first.column or 'the whole row'}: {first.message}"
            )

    def report(self, staging: Staging) -> dict[str, Any]:
        """Return what was read, and what a person should check."""
        doubt = {"row": 1, "column": "", "message": self.source.doubt}
        n_joined, joined = staging.joined(JOINED_KEPT)
        return {
            "rows_read": self.n_rows,
            "encoding": self.source.encoding,
            "rows_read_as": list(self.notes.read_as.values()),
            "headers_repeated": self.notes.headers_repeated,
            "warnings": [*([doubt] if self.source.doubt else []), *self.notes.warnings],
            "rows_joined": n_joined,
            "joined": joined,
            "answer_metadata": [
                {"column": name, "tracks": n} for name, n in staging.differing().most_common()
            ],
            "proposals": self.profile.proposals(),
        } | self.errors.as_json()


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
