"""Undo an import: take back what it added, and keep what others built on it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from labeling.errors import BadInput
from labeling.loop.importing.undo import undoing
from labeling.management.base import AudiotagCommand
from labeling.models import ImportBatch, Library


class Command(AudiotagCommand):
    help = "Undo an import: its answers, labels, tracks and annotators are taken back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "batch", type=int, metavar="BATCH", help="number of the import, as on its page"
        )
        parser.add_argument("--dry-run", action="store_true", help="count only, write nothing")

    def answer(self, **options: Any) -> dict[str, Any]:
        batch = self._batch(self.library(options["library"]), options["batch"])
        if options["dry_run"]:
            return undoing.preview_undo(batch)
        progress = None if options["json"] else self._progress
        return undoing.undo_import(batch, progress=progress)

    def _batch(self, library: Library, number: int) -> ImportBatch:
        found = library.imports.select_related("job").filter(pk=number).first()
        if found is None:
            raise BadInput(
                f"{library.slug!r} has no import {number}: the Imports page lists the numbers"
            )
        return found

    def _progress(self, done: int, total: int) -> None:
        if done == total or done % 5_000 == 0:
            self.say(f"{done:,} of {total:,} tracks")
