"""Write the database, models and snapshots into one file."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from labeling.loop.upkeep import backup
from labeling.management.base import AudiotagCommand


class Command(AudiotagCommand):
    help = "Back up the database, models and snapshots into one file, while the site runs."
    needs_library = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, metavar="FILE")

    def answer(self, **options: Any) -> backup.BackupResult:
        return backup.backup(options["file"])
