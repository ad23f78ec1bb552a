"""Freeze answers as a training set."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from labeling.loop import snapshotting
from labeling.loop.selection import NEGATIVES, OTHERS, Selection
from labeling.management.base import AudiotagCommand
from labeling.models import Annotator


class Command(AudiotagCommand):
    help = "Freeze the answers of some annotators, a period or a guideline, as they are now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--facet", action="append", default=[], metavar="F")
        parser.add_argument("--annotators", default="", metavar="A,B")
        parser.add_argument("--since", default="", metavar="DAY", help="2024-01-31, included")
        parser.add_argument("--until", default="", metavar="DAY", help="included")
        parser.add_argument("--guideline", type=int, metavar="N")
        parser.add_argument(
            "--sources", default="", metavar="KINDS", help=", ".join(Annotator.Kind.values)
        )
        parser.add_argument("--negatives", default="first-use", help=", ".join(NEGATIVES))
        parser.add_argument("--others", default="keep", help=", ".join(OTHERS))
        parser.add_argument("--min-support", type=int, default=5, metavar="N")

    def answer(self, **options: Any) -> dict[str, Any]:
        library = self.library(options["library"])
        values: dict[str, Any] = {
            "facets": tuple(options["facet"]),
            "annotators": _names(options["annotators"]),
            "since": options["since"],
            "until": options["until"],
            "guideline": options["guideline"],
            "negatives": options["negatives"],
            "others": options["others"],
            "min_support": options["min_support"],
        }
        if options["sources"]:
            values["sources"] = _names(options["sources"])
        return snapshotting.answer(snapshotting.take_snapshot(library, Selection(**values)))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
