"""Recipes on the database side: their selection, configuration and labels.

Stage: model registry. `ml.training.recipes` defines the recipes themselves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.conf import settings

from labeling.errors import BadInput
from labeling.loop.datasets.selection import Selection
from labeling.models import Label, Library
from labeling.names import name_key
from ml.errors import ParameterError
from ml.networks import feature_config_for
from ml.training.recipes import AUDIOTAG, RECIPES, Recipe, for_network, recipe
from ml.types import TrainingConfig


def find_recipe(name: str) -> Recipe:
    """Return the recipe with this name; the BadInput for an unknown name lists all recipes."""
    try:
        return recipe(name)
    except ParameterError as error:
        raise BadInput(str(error)) from error


def listing() -> list[Recipe]:
    """Return all recipes in the order in which pages list them."""
    return list(RECIPES.values())


def recipe_selection(found: Recipe, base: Selection | None = None) -> Selection:
    """Return the selection of answers that the recipe trains on."""
    rules = found.selection
    return replace(
        base or Selection(),
        facets=(name_key(rules.facet),) if rules.facet else (),
        criteria=rules.annotators,
        negatives=rules.negatives,
        top_labels=rules.top_labels,
        others=rules.others,
        min_support=rules.min_support,
        combination_cap=rules.combination_cap,
        rare_share=rules.rare_share,
    )


def training_config_of(library: Library, asked: dict[str, Any]) -> TrainingConfig:
    """Return the training configuration of a job: its recipe's, or else the library's.

    Without a recipe it is the recipe `audiotag` with the network of the job or the library,
    the features that this network needs, and at most as many members as the settings allow.
    """
    if asked.get("recipe"):
        base = find_recipe(asked["recipe"]).training
        if asked.get("network"):
            base = for_network(base, asked["network"], base.features)
    else:
        network = asked.get("network") or library.network
        base = for_network(AUDIOTAG.training, network, features_name_for(library, network))
        base = replace(base, members=min(base.members, settings.MEMBERS))
    over = {name: asked[name] for name in ("features", "epochs", "seed") if asked.get(name)}
    return replace(base, **over)


def features_name_for(library: Library, network: str | None = None) -> str:
    """Return the feature set that a network (None: the library's) uses in this library."""
    return feature_config_for(network or library.network, library.features)


def facts_of(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the name and digest of the requested recipe, as a run stores them."""
    if not asked.get("recipe"):
        return {}
    found = find_recipe(asked["recipe"])
    return {"recipe": {"name": found.name, "digest": found.digest()}}


def strangers(library: Library, label_uids: list[str]) -> list[str]:
    """Return the uids that are not labels of the library, such as a recipe's Others."""
    rows = Label.objects.filter(facet__library=library).values_list("uid", flat=True)
    known = {uid.hex for uid in rows}
    return sorted(set(label_uids) - known)
