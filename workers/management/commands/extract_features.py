"""Probe new files and compute their features."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from labeling.loop import features
from labeling.models.jobs import JobKind
from workers.management.chain import ChainCommand

_KEYS = ("feature_set", "tracks_done", "tracks_failed", "tracks_skipped", "windows", "seconds")


class Command(ChainCommand):
    help = "Compute the features of files that have none; new files are probed first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--features", metavar="NAME", help="default: the library's own")

    def answer(self, **options: Any) -> dict[str, Any]:
        library = self.library(options["library"])
        name = options["features"] or library.features
        features.config_of_set(name)
        steps = [JobKind.FEATURES]
        if features.pending_probe(library):
            steps.insert(0, JobKind.PROBE)
        chain = self.do_chain(library, options, steps, {"features": name})
        result = self.results(chain).get(JobKind.FEATURES, {})
        return {key: result.get(key) for key in _KEYS} | self.pending(chain)
