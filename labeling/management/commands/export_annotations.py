"""Write the answers of a library as CSV."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from labeling.loop.exporting import export
from labeling.management.base import AudiotagCommand
from labeling.management.selecting import add_aggregation


class Command(AudiotagCommand):
    help = "Export answers: one line each (long), as a catalogue (wide), or the consensus."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--format", choices=export.FORMATS, required=True, dest="form")
        parser.add_argument("--out", type=Path, required=True, metavar="FILE")
        parser.add_argument("--history", action="store_true", help="long: all events")
        parser.add_argument("--raw", action="store_true", help="do not guard formulas")
        parser.add_argument(
            "--bom", action="store_true", help="begin with a byte order mark, for Excel"
        )
        add_aggregation(parser)

    def answer(self, **options: Any) -> export.ExportResult:
        return export.export_annotations(
            self.library(options["library"]),
            options["form"],
            options["out"],
            has_history=options["history"],
            is_raw=options["raw"],
            has_mark=options["bom"],
            aggregation=options["aggregation"],
        )
