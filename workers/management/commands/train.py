"""Train a model, or measure a configuration by folds."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from labeling.loop import featuring, selection, turning
from labeling.loop.errors import BadInput
from labeling.loop.selection import Selection
from labeling.models import Library
from labeling.models.jobs import JobKind
from labeling.names import name_key
from ml.networks import names
from workers.management.chain import ChainCommand

RECIPES = ("audiotag",)
_KEYS = ("run", "model_version", "network", "metrics", "baseline", "seconds")


class Command(ChainCommand):
    help = "Train on the answers so far, measure on audit tracks, use what is not worse."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--snapshot", type=int, metavar="N", help="default: a new one")
        parser.add_argument("--network", metavar="NAME", help=f"one of {', '.join(names())}")
        parser.add_argument("--recipe", metavar="NAME", default=RECIPES[0])
        parser.add_argument("--facet", action="append", default=[], metavar="F")
        parser.add_argument("--epochs", type=int, metavar="N")
        parser.add_argument("--seed", type=int, default=0, metavar="N")
        parser.add_argument(
            "--folds", type=int, metavar="K", help="cross-validate instead; registers nothing"
        )

    def answer(self, **options: Any) -> dict[str, Any]:
        library = self.library(options["library"])
        arguments = checked(library, options)
        feature_set = featuring.feature_set_of(library.features)
        steps = turning.steps_from(library, feature_set)
        if options["folds"]:
            # A kind of its own: it registers nothing, and need not wait for a training.
            steps = [*steps[: steps.index(JobKind.TRAIN)], JobKind.EVALUATE]
        kind = JobKind.EVALUATE if options["folds"] else JobKind.TRAIN
        chain = self.do_chain(library, options, steps, arguments)
        result = self.results(chain).get(kind, {})
        if result.get("is_unchanged"):
            self.say("nothing is new since this run: the same answers, the same configuration")
        return {key: result.get(key) for key in _KEYS} | self.pending(chain)


def checked(library: Library, options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of the job, or refuse before anything is written."""
    if options["recipe"] not in RECIPES:
        raise BadInput(f"there is no recipe {options['recipe']!r}; known: {', '.join(RECIPES)}")
    check_network(options["network"])
    if not featuring.has_audio(library):
        raise BadInput(f"no track of {library.slug} has audio to learn from")
    number = options["snapshot"]
    if number is not None and not library.snapshots.filter(number=number).exists():
        raise BadInput(f"{library.slug} has no snapshot {number}")
    is_no_number = options["epochs"] is not None and options["epochs"] < 1
    if is_no_number or options["seed"] < 0:
        raise BadInput("--epochs must be at least 1 and --seed at least 0")
    if options["folds"] is not None and options["folds"] < 2:
        raise BadInput("--folds must be at least 2")
    facets = [name_key(facet) for facet in options["facet"]]
    selection.check(library, Selection(facets=tuple(facets)))
    return {
        "snapshot": number,
        "network": options["network"],
        "facets": facets or None,
        "epochs": options["epochs"],
        "seed": options["seed"],
        "folds": options["folds"],
        "lowers_support": False,
        "reason": "asked for by a command",
    }


def check_network(name: str | None) -> None:
    """Refuse a network that does not exist."""
    if name is not None and name not in names():
        raise BadInput(f"there is no network {name!r}; known: {', '.join(names())}")
