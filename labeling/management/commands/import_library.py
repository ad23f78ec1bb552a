"""Import a catalogue (CSV or Excel, with or without audio)."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from labeling.loop.importing import catalogue
from labeling.loop.importing.catalogue import ImportOptions, RowsRefused
from labeling.loop.importing.csv.columns import (
    ANSWER_FIELDS,
    FIELDS,
    ReadingOptions,
    column_pairs,
)
from labeling.loop.importing.csv.dates import DATE_FORMS
from labeling.management.base import AudiotagCommand
from labeling.management.following import follow_job
from labeling.models import Job, Library

#: Errors that a refused catalogue puts on the screen.
ERRORS_SHOWN = 50


class Command(AudiotagCommand):
    help = "Import a catalogue: tracks, and its labels as the answers of an annotator."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("csv", type=Path, metavar="CSV")
        parser.add_argument("--audio", default="", metavar="DIR", help="audio folder")
        parser.add_argument("--annotator", default="", metavar="NAME", help="whose labels")
        parser.add_argument("--key", default="filename", metavar="COLUMN")
        parser.add_argument("--family", default="", metavar="COLUMN")
        parser.add_argument("--map", action="append", default=[], metavar="COLUMN=FACET")
        parser.add_argument("--split", action="append", default=[], metavar='"COLUMN=SEP"')
        parser.add_argument("--encoding", default="", metavar="NAME", help="of the file")
        parser.add_argument(
            "--field",
            action="append",
            default=[],
            metavar="COLUMN=FIELD",
            help=f"the column holds the {', '.join((*ANSWER_FIELDS, *FIELDS))}",
        )
        parser.add_argument(
            "--metadata", action="append", default=[], metavar="COLUMN", help="keep as it is"
        )
        parser.add_argument(
            "--answer-metadata",
            action="append",
            default=[],
            metavar="COLUMN",
            help="keep with the answer of the row, such as a note or a confidence",
        )
        parser.add_argument(
            "--ignore", action="append", default=[], metavar="COLUMN", help="leave out"
        )
        parser.add_argument(
            "--dates",
            default="iso",
            choices=list(DATE_FORMS),
            help="; ".join(f"{name}: {words}" for name, words in DATE_FORMS.items()),
        )
        parser.add_argument(
            "--sheet", default="", metavar="NAME", help="of a workbook; default: the first"
        )
        parser.add_argument("--dry-run", action="store_true", help="count only, write nothing")
        parser.add_argument("--strict", action="store_true", help="import all rows or none")
        parser.add_argument("--no-wait", action="store_true", help="do not follow the probe")

    def answer(self, **options: Any) -> dict[str, Any]:
        reading = ReadingOptions(
            key=options["key"],
            family=options["family"],
            facets=column_pairs(options["map"], "--map"),
            separators=column_pairs(options["split"], "--split"),
            encoding=options["encoding"],
            fields=column_pairs(options["field"], "--field"),
            metadata=tuple(options["metadata"]),
            answer_metadata=tuple(options["answer_metadata"]),
            ignored=tuple(options["ignore"]),
            dates=options["dates"],
            sheet=options["sheet"],
        )
        how = ImportOptions(
            reading=reading,
            annotator=options["annotator"],
            audio_folder=options["audio"],
            is_dry_run=options["dry_run"],
            is_strict=options["strict"],
        )
        progress = None if options["json"] else self._progress
        try:
            report = catalogue.import_catalogue(
                options["library"], options["csv"], how, progress=progress
            )
        except RowsRefused as refused:
            self._say_errors(refused.report)
            raise
        if not options["dry_run"] and options["audio"]:
            report |= self._probe(options["library"], waits=not options["no_wait"])
        return report

    def _say_errors(self, report: dict[str, Any]) -> None:
        shown = report["errors"][:ERRORS_SHOWN]
        for one in shown:
            column = one["column"] or "the whole row"
            self.say(f"row {one['row']}, {column}: {one['message']}")
        omitted = len(report["errors"]) - len(shown) + report["errors_omitted"]
        if omitted:
            self.say(f"{omitted:,} more errors are not listed")

    def _progress(self, done: int, total: int) -> None:
        if done == total or done % 5_000 == 0:
            self.say(f"{done:,} of {total:,} tracks")

    def _probe(self, slug: str, *, waits: bool) -> dict[str, Any]:
        """Have the new files probed, and follow the job if a worker runs."""
        job = catalogue.probe_if_pending(Library.objects.get(slug=slug))
        if job is None:
            return {}
        if waits:
            job = follow_job(job, getattr(self.stderr, "_out", None))
        if job.state in Job.OPEN:
            self.say(
                f"job {job.pk} ({job.get_kind_display()}) waits for a worker: `make run` "
                "starts one; `extract_features --inline` reads the files without"
            )
            return {"pending_jobs": [job.pk]}
        if job.state != Job.State.DONE:
            raise CommandError(
                f"the catalogue is imported, but job {job.pk} ({job.get_kind_display()}) "
                f"{job.state}: {job.reason}",
                returncode=1,
            )
        return {}
