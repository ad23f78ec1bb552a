"""Replace the database by a backup."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from labeling.loop.upkeep import backup
from labeling.management.base import AudiotagCommand


class Command(AudiotagCommand):
    help = "Restore a backup; the old data is kept aside. Stop the workers first."
    needs_library = False
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--yes", action="store_true", help="replace existing data")

    def answer(self, **options: Any) -> backup.RestoreResult:
        answer = backup.restore(options["file"], is_sure=options["yes"])
        if answer["migrations_missing"]:
            self.say("the backup is from an older version: run `manage.py migrate`")
        return answer
