"""The recipes of the Models page: what each one does, and training by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.http import require_POST

from labeling.loop import criteria, featuring, recipes, turning
from labeling.loop.errors import BadInput
from labeling.loop.selection import Selection, in_words
from labeling.models import Library, Membership, ModelVersion, RunGroup
from labeling.models.jobs import JobKind
from labeling.permissions import has_role, library_page
from ml.recipes import Recipe

Role = Membership.Role
_GROUPS_SHOWN = 5


@dataclass(frozen=True)
class Card:
    """A recipe as the page shows it, with the models that came of it."""

    recipe: Recipe
    words: str
    digest: str
    versions: list[ModelVersion]

    @property
    def makes_others(self) -> bool:
        """Say whether its models know a label that the library does not have."""
        return self.recipe.selection.others == "fold"


def context_of(request: HttpRequest, library: Library) -> dict[str, Any]:
    """Return what the recipes' part of the Models page shows."""
    return {
        "recipes": cards(library),
        "groups": [_group(one) for one in library.run_groups.all()[:_GROUPS_SHOWN]],
        "is_manager": has_role(request.user, library, Role.MANAGER),
    }


def cards(library: Library) -> list[Card]:
    """Return the recipes with their models, the newest first."""
    rows = library.models.filter(run__config__has_key="recipe").select_related("run")
    by_name: dict[str, list[ModelVersion]] = {}
    for version in rows.order_by("-number"):
        by_name.setdefault(version.run.config["recipe"]["name"], []).append(version)
    return [
        Card(
            recipe=found,
            words=in_words(recipes.selection_of(found)),
            digest=found.digest(),
            versions=by_name.get(found.name, []),
        )
        for found in recipes.listing()
    ]


def _group(group: RunGroup) -> dict[str, Any]:
    """Return a group of runs that were compared, arm by arm."""
    numbers = dict(group.runs.values_list("arm", "model__number"))
    runs = [
        {
            "arm": one["arm"],
            "model": numbers.get(one["arm"]),
            "macro_ap": one["figures"].get("macro_ap"),
            "difference": (one["differences"] or {}).get("macro_ap"),
        }
        for one in group.result.get("runs", [])
    ]
    return {"group": group, "runs": runs}


@library_page(Role.MANAGER)
@require_POST
def train_by_recipe(request: HttpRequest, library: Library, recipe: str) -> HttpResponse:
    """Ask for a training by a recipe."""
    try:
        if turning.open_training(library) is not None:
            raise BadInput("a training is under way already: wait for its end, then ask again")
        job = turning.request_recipe(library, recipe, by_id=request.user.pk)
        if job is None:
            raise BadInput("no track of this library has audio: there is nothing to learn from")
        messages.success(request, f"Training by the recipe {recipe} was asked for.")
    except BadInput as error:
        messages.error(request, f"{error}.")
    return redirect("models", library.slug)


@library_page(Role.MANAGER)
@require_POST
def train_each(request: HttpRequest, library: Library) -> HttpResponse:
    """Ask for the same training on everybody's, the legacy and the current answers."""
    try:
        criteria.check(library, Selection(criteria="current"))
        if not featuring.has_audio(library):
            raise BadInput("no track of this library has audio: there is nothing to learn from")
        features = recipes.config_of(library, {}).features
        steps = turning.steps_from(library, featuring.feature_set_of(features))
        steps = [*steps[: steps.index(JobKind.TRAIN)], JobKind.COMPARE]
        asked = {"features": features, "reason": "asked for on the Models page"}
        turning.ask(library, steps, arguments=asked, by_id=request.user.pk)
        messages.success(request, "Three trainings were asked for; see the Jobs page.")
    except BadInput as error:
        messages.error(request, f"{error}.")
    return redirect("models", library.slug)


urlpatterns = [
    path("models/<slug:slug>/criteria/", train_each, name="train_each"),
    path(
        "models/<slug:slug>/recipes/<slug:recipe>/train/",
        train_by_recipe,
        name="train_by_recipe",
    ),
]
