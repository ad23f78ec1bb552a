"""Predict the labels of every track by a model."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from labeling.loop.registry import models
from labeling.models.jobs import JobKind
from workers.management.chain import ChainCommand

_KEYS = ("model_version", "tracks", "seconds")


class Command(ChainCommand):
    help = "Predict the labels of every track with features, by the champion or another model."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--model", type=int, metavar="N", help="default: the champion")

    def answer(self, **options: Any) -> dict[str, Any]:
        library = self.library(options["library"])
        version = models.model_version_of(library, options["model"])
        chain = self.do_chain(library, options, [JobKind.PREDICT], {"model": version.number})
        result = self.results(chain).get(JobKind.PREDICT, {})
        return {key: result.get(key) for key in _KEYS} | self.pending(chain)
