"""Take a snapshot: store answers as a training set."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from labeling.loop.datasets import snapshots
from labeling.management.base import AudiotagCommand
from labeling.management.selecting import add_selection, selection_from_options


class Command(AudiotagCommand):
    help = "Take a snapshot of all answers, or of some annotators, a period or a guideline."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        add_selection(parser)

    def answer(self, **options: Any) -> snapshots.SnapshotResult:
        library = self.library(options["library"])
        selection = selection_from_options(options)
        return snapshots.result_of(snapshots.take_snapshot(library, selection))
