"""Run one round of the loop: all missing steps, from probe to a ranked queue."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from labeling.errors import BadInput
from labeling.loop import features as loop_features
from labeling.loop import retraining
from labeling.loop.acquisition import rounds
from labeling.loop.datasets import criteria, snapshots
from labeling.loop.datasets.selection import Selection
from labeling.loop.registry import recipes
from labeling.management.selecting import add_selection, selection_from_options
from labeling.models.jobs import JobKind
from workers.management.chain import ChainCommand
from workers.management.commands.train import check_network

_KEYS = ("snapshot", "model_version", "promoted", "metrics", "baseline")


class Command(ChainCommand):
    help = "Run all missing steps: probe, features, train, evaluate, predict, rank."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--network", metavar="NAME", help="default: the library's own")
        add_selection(parser)

    def answer(self, **options: Any) -> dict[str, Any]:
        library = self.library(options["library"])
        check_network(options["network"])
        if not loop_features.has_audio(library):
            raise BadInput(f"no track of {library.slug} has audio to learn from")
        wanted = selection_from_options(options)
        criteria.check_criteria(library, wanted)
        given = snapshots.lowest_support(library, wanted)
        if given.min_support < wanted.min_support:
            self.say(
                f"no facet has two labels with {wanted.min_support} positives each: labels "
                f"with {given.min_support} are learnt as well"
            )
        features = recipes.features_name_for(library, options["network"])
        steps = retraining.steps_from(library, loop_features.feature_set_of(features))
        arguments = {"network": options["network"], "reason": "run_round"}
        if features != library.features:
            arguments["features"] = features
        if wanted != Selection():
            arguments["selection"] = given.canonical()
        chain = self.do_chain(library, options, steps, arguments)
        result = self.results(chain).get(JobKind.TRAIN, {})
        queue = rounds.counts(library, lays_out=not self.pending(chain))
        return {key: result.get(key) for key in _KEYS} | {"queue": queue} | self.pending(chain)
