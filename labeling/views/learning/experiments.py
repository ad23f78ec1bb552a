"""The Experiments page: the recipes of the study, training by them, and comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_POST, require_safe

from labeling.errors import BadInput
from labeling.loop import features as loop_features
from labeling.loop import retraining
from labeling.loop.datasets import criteria
from labeling.loop.datasets.selection import Selection, describe_selection
from labeling.loop.registry import recipes
from labeling.models import Library, Membership, ModelVersion, RunGroup, TrainingRun
from labeling.models.jobs import JobKind
from labeling.permissions import library_page
from ml.training.recipes import FOR_COMPARISON, Recipe

Role = Membership.Role
_GROUPS_SHOWN = 5
_MODELS_SHOWN = 30


@dataclass(frozen=True)
class Card:
    """A recipe with its models, as the page shows it."""

    recipe: Recipe
    words: str
    digest: str
    versions: list[ModelVersion]

    @property
    def is_for_comparison(self) -> bool:
        """Say whether its models are never promoted automatically."""
        return self.recipe.name in FOR_COMPARISON


@library_page(Role.MANAGER)
@require_safe
def experiments_page(request: HttpRequest, library: Library) -> HttpResponse:
    """Show the recipes with their models, and the comparisons of criteria."""
    shown = cards(library)
    context = {
        "recipes": shown,
        "compare": _compare_newest(library, shown),
        "groups": [_group(one) for one in library.run_groups.all()[:_GROUPS_SHOWN]],
        "job": retraining.open_training(library),
    }
    return render(request, "labeling/experiments.html", context)


def cards(library: Library) -> list[Card]:
    """Return the recipes with their models, the newest first."""
    rows = library.models.filter(run__config__has_key="recipe").select_related("run")
    rows = rows.defer("run__epochs", "run__metrics", "run__baseline").order_by("-number")
    by_name: dict[str, list[ModelVersion]] = {}
    for version in rows[:_MODELS_SHOWN]:
        by_name.setdefault(version.run.config["recipe"]["name"], []).append(version)
    return [
        Card(
            recipe=found,
            words=describe_selection(recipes.recipe_selection(found)),
            digest=found.digest(),
            versions=by_name.get(found.name, []),
        )
        for found in recipes.listing()
    ]


def _compare_newest(library: Library, shown: list[Card]) -> str:
    """Return the address that compares the newest model of each recipe, or an empty string."""
    newest = [next((one for one in card.versions if one.folder), None) for card in shown]
    return _compare_address(library, [one.number for one in newest if one is not None])


def _compare_address(library: Library, numbers: list[int]) -> str:
    """Return the address that compares models, or an empty string with fewer than two."""
    if len(numbers) < 2:
        return ""
    query = urlencode([("model", number) for number in numbers])
    return f"{reverse('compare_models', args=[library.slug])}?{query}"


def group_of(run: TrainingRun) -> dict[str, Any] | None:
    """Return the comparison of criteria that a run is part of, or None."""
    return _group(run.group) if run.group else None


def _group(group: RunGroup) -> dict[str, Any]:
    """Return a group of runs that were compared, arm by arm."""
    numbers = dict(group.runs.values_list("arm", "model__number"))
    failed = group.runs.filter(state=TrainingRun.State.FAILED).first()
    runs = [
        {
            "arm": one["arm"],
            "model": numbers.get(one["arm"]),
            "skill": (one.get("headline") or {}).get("skill"),
            "difference": (one.get("headline_differences") or {}).get("skill"),
        }
        for one in group.result.get("runs", [])
    ]
    return {
        "group": group,
        "runs": runs,
        "trouble": failed.reason if failed else "",
        "compare": _compare_address(
            group.library, [one["model"] for one in runs if one["model"]]
        ),
    }


@library_page(Role.MANAGER)
@require_POST
def train_by_recipe(request: HttpRequest, library: Library, recipe: str) -> HttpResponse:
    """Request a training by a recipe."""
    try:
        if retraining.open_training(library) is not None:
            raise BadInput("a training is already running: wait until it ends, then try again")
        job = retraining.request_recipe(library, recipe, by_id=request.user.pk)
        if job is None:
            raise BadInput("no track of this library has audio: import some first")
        messages.success(request, f"The training by the recipe {recipe} was requested.")
    except BadInput as error:
        messages.error(request, f"{error}.")
    return redirect("experiments", library.slug)


@library_page(Role.MANAGER)
@require_POST
def train_each(request: HttpRequest, library: Library) -> HttpResponse:
    """Request the same training on everybody's, the legacy and the current answers."""
    try:
        if retraining.open_comparison(library) is not None:
            raise BadInput("such a comparison is already running: see the Jobs page")
        criteria.check_criteria(library, Selection(criteria="current"))
        if not loop_features.has_audio(library):
            raise BadInput("no track of this library has audio: import some first")
        features = recipes.training_config_of(library, {}).features
        steps = retraining.steps_from(library, loop_features.feature_set_of(features))
        steps = [*steps[: steps.index(JobKind.TRAIN)], JobKind.COMPARE]
        asked = {"features": features, "reason": "requested on the Experiments page"}
        retraining.ask(library, steps, arguments=asked, by_id=request.user.pk)
        messages.success(request, "Three trainings were requested: see the Jobs page.")
    except BadInput as error:
        messages.error(request, f"{error}.")
    return redirect("experiments", library.slug)


urlpatterns = [
    path("experiments/<slug:slug>/", experiments_page, name="experiments"),
    path("models/<slug:slug>/criteria/", train_each, name="train_each"),
    path(
        "models/<slug:slug>/recipes/<slug:recipe>/train/",
        train_by_recipe,
        name="train_by_recipe",
    ),
]
