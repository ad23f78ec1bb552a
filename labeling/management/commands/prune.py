"""Remove old files and jobs; the schedule does this every night."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from labeling.loop.upkeep import prune
from labeling.management.base import AudiotagCommand


class Command(AudiotagCommand):
    help = "Remove files of old models, snapshots, predictions and uploads, and old jobs."
    needs_library = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--library", metavar="SLUG", help="default: all libraries")
        parser.add_argument(
            "--dry-run", action="store_true", help="only list what would be removed"
        )

    def answer(self, **options: Any) -> dict[str, Any]:
        library = self.library(options["library"]) if options["library"] else None
        found = prune.prune(library, is_dry_run=options["dry_run"])
        return {"is_dry_run": options["dry_run"], **found.as_json()}
