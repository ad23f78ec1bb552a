"""Show what would be served next."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from labeling.errors import BadInput
from labeling.loop.serving import serve
from labeling.management.base import AudiotagCommand
from labeling.models import Annotator, Library
from labeling.names import name_key


class Command(AudiotagCommand):
    help = "Show the next tracks of the queue in the order of serving; leases nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--annotator", metavar="NAME", help="the queue of this annotator")
        parser.add_argument("--count", type=int, default=20, metavar="N")

    def answer(self, **options: Any) -> dict[str, Any]:
        library = self.library(options["library"])
        if not 1 <= options["count"] <= 1_000:
            raise BadInput("--count must be 1 to 1000")
        annotator = _annotator(library, options["annotator"])
        items = serve.preview_queue(library, annotator=annotator, count=options["count"])
        return {
            "items": [
                {
                    "track": item.track_id,
                    "key": item.track.key,
                    "stratum": item.stratum,
                    "score": item.score,
                    "reason": item.reason,
                }
                for item in items
            ]
        }

    def tell(self, answer: dict[str, Any]) -> None:
        for number, item in enumerate(answer["items"], start=1):
            score = "" if item["score"] is None else f" {item['score']:.2f}"
            self.stdout.write(
                f"{number:4d}  {item['stratum']:8s}{score}  {item['key']}  ({item['reason']})"
            )


def _annotator(library: Library, name: str | None) -> Annotator | None:
    if name is None:
        return None
    found = library.annotators.filter(name_key=name_key(name)).first()
    if found is None:
        raise BadInput(f"{library.slug} has no annotator {name!r}")
    return found
