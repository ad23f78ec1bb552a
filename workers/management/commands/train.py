"""Train a model, or evaluate a configuration by folds or on three selections."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import replace
from typing import Any

from labeling.errors import BadInput
from labeling.loop import features as loop_features
from labeling.loop import retraining
from labeling.loop.datasets import criteria
from labeling.loop.datasets.selection import Selection
from labeling.loop.registry import recipes
from labeling.management.selecting import add_selection, asked, selection_from_options
from labeling.models import Library
from labeling.models.jobs import JobKind
from ml.networks import names
from ml.training.recipes import RECIPES
from workers.management.chain import ChainCommand

EACH = "each"
_KEYS = ("run", "model_version", "network", "metrics", "baseline", "seconds")
_GROUP_KEYS = ("group", "runs", "compared", "seconds")


class Command(ChainCommand):
    help = "Train on the answers so far, evaluate on audit tracks, promote if not worse."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--snapshot", type=int, metavar="N", help="default: a new one")
        parser.add_argument("--network", metavar="NAME", help=f"one of {', '.join(names())}")
        parser.add_argument(
            "--recipe", metavar="NAME", help=f"a selection and a training: {', '.join(RECIPES)}"
        )
        add_selection(parser, more_criteria=(f"{EACH} (one after the other, compared)",))
        parser.add_argument("--epochs", type=int, metavar="N")
        parser.add_argument("--seed", type=int, default=0, metavar="N")
        parser.add_argument(
            "--folds", type=int, metavar="K", help="cross-validate instead; registers nothing"
        )

    def answer(self, **options: Any) -> dict[str, Any]:
        library = self.library(options["library"])
        arguments = _checked(library, options)
        kind = kind_of(options)
        features = arguments.get("features") or library.features
        steps = retraining.steps_from(library, loop_features.feature_set_of(features))
        if kind != JobKind.TRAIN:
            # Kinds of their own: nothing comes into use, so nothing need wait for them.
            steps = [*steps[: steps.index(JobKind.TRAIN)], kind]
        chain = self.do_chain(library, options, steps, arguments)
        result = self.results(chain).get(kind, {})
        if result.get("is_unchanged"):
            self.say("nothing is new since this run: same answers, same configuration")
        keys = _GROUP_KEYS if kind == JobKind.COMPARE else _KEYS
        told = {key: result.get(key) for key in keys}
        return told | {"recipe": options["recipe"]} | self.pending(chain)


def kind_of(options: dict[str, Any]) -> str:
    """Return the kind of job that the options ask for."""
    if options["criteria"] == EACH:
        return JobKind.COMPARE
    return JobKind.EVALUATE if options["folds"] else JobKind.TRAIN


def _checked(library: Library, options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of the job, or refuse before anything is written."""
    recipe = recipes.find_recipe(options["recipe"]) if options["recipe"] else None
    check_network(options["network"])
    if not loop_features.has_audio(library):
        raise BadInput(f"no track of {library.slug} has audio to learn from")
    _check_numbers(library, options)
    base = recipes.recipe_selection(recipe) if recipe else Selection()
    return {
        "snapshot": options["snapshot"],
        "recipe": recipe.name if recipe else None,
        "features": other_features(library, options),
        "network": options["network"],
        **_selected(library, options, base),
        "epochs": options["epochs"],
        "seed": options["seed"],
        "folds": options["folds"],
        "lowers_support": False,
        "reason": "requested by a command",
    }


def _check_numbers(library: Library, options: dict[str, Any]) -> None:
    number = options["snapshot"]
    if number is not None and not library.snapshots.filter(number=number).exists():
        raise BadInput(f"{library.slug} has no snapshot {number}")
    is_no_number = options["epochs"] is not None and options["epochs"] < 1
    if is_no_number or options["seed"] < 0:
        raise BadInput("--epochs must be at least 1 and --seed at least 0")
    if options["folds"] is not None and options["folds"] < 2:
        raise BadInput("--folds must be at least 2")
    if options["criteria"] == EACH and (options["folds"] or number is not None):
        raise BadInput("--criteria each takes its own snapshots: no --folds, no --snapshot")


def _selected(library: Library, options: dict[str, Any], base: Selection) -> dict[str, Any]:
    """Return the facets, or the whole selection if more than facets is given."""
    is_each = options["criteria"] == EACH
    chosen = selection_from_options(
        {**options, "criteria": "all"} if is_each else options, base
    )
    whose = replace(chosen, criteria="current") if is_each else chosen
    criteria.check_criteria(library, whose)
    if options["snapshot"] is not None and set(asked(options)) - {"facets"}:
        raise BadInput("--snapshot has its own answers: leave the selection out")
    is_plain = replace(chosen, facets=()) == Selection()
    if options["snapshot"] is not None or (is_plain and not is_each):
        return {"facets": list(chosen.facets) or None}
    return {"selection": chosen.canonical()}


def other_features(library: Library, options: dict[str, Any]) -> str | None:
    """Return the features to read if they are not the library's own."""
    features = recipes.training_config_of(library, options).features
    return features if features != library.features else None


def check_network(name: str | None) -> None:
    """Refuse a network that does not exist."""
    if name is not None and name not in names():
        raise BadInput(f"there is no network {name!r}; known: {', '.join(names())}")
