"""Recipes: named ways to select labels and to train, as data.

`docs/recipes.md` lists every parameter and the reason for its value. Recipes are immutable and
hashed: two runs with the same recipe digest had the same parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from ml.constants import N_TOP_GENRES
from ml.errors import ParameterError
from ml.networks import DEFAULT_NETWORK
from ml.training.selection_rules import SelectionRules
from ml.types import Hashed, TrainingConfig


@dataclass(frozen=True)
class Recipe(Hashed):
    """A selection and a training under one name.

    Attributes
    ----------
    name : in commands and addresses. title : one line. summary : in plain language.
    training : how the model learns. selection : the labels it learns from.
    """

    name: str
    title: str
    summary: str
    training: TrainingConfig
    selection: SelectionRules

    def canonical(self) -> dict[str, Any]:
        """Return the recipe as JSON values, by which it is hashed.

        Returns
        -------
        dict : name, title, summary, training and selection.
        """
        own = {"training": self.training.canonical(), "selection": self.selection.canonical()}
        return {**super().canonical(), **own}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild a recipe.

        Parameters
        ----------
        values : as `canonical()` returned them, even after a trip through JSON.

        Returns
        -------
        Recipe : with the same digest.

        Raises
        ------
        ParameterError : a name is unknown, or a value is not a known choice.
        """
        return super().from_dict(
            {
                **values,
                "training": TrainingConfig.from_dict(values["training"]),
                "selection": SelectionRules.from_dict(values["selection"]),
            }
        )


SEED_2019 = Recipe(
    name="seed-2019",
    title="The study of 2019, as it was",
    summary=(
        "The study that this project grew out of: its network on windows of one second, its "
        "scaling, its class weights and its cut at one half. It is here to show what those "
        "choices do, not to be used: its accuracy looks high and its predictions are hardly "
        "better than answering how frequent each label is."
    ),
    training=TrainingConfig(
        network="seed-cnn",
        features="seed-1s",
        epochs=50,
        batch_size=96,
        learning_rate=1e-3,
        loss="keras-class-weight",
        validation_share=0.15,
        options=(
            ("scaling", "min-max"),
            ("patience", 50),
            ("train_windows", 0),
            ("predict_windows", 0),
            ("pooling", "mean-probability"),
        ),
        split="windows",
        sampling="label-distribution",
        calibration="none",
        thresholds="half",
        bias="zero",
    ),
    selection=SelectionRules(
        negatives="closed",
        top_labels=N_TOP_GENRES,
        others="fold",
        min_support=1,
        combination_cap=0.05,
    ),
)

SEED_NEXT = Recipe(
    name="seed-next",
    title="What the study's author proposed next",
    summary=(
        "The study with three changes that its author proposed: only the labels of the curator "
        "of today, windows of a quarter of a second, and Others left out. Everything else is "
        "as it was, so that a difference comes from these three."
    ),
    training=replace(SEED_2019.training, features="seed-025s"),
    selection=replace(SEED_2019.selection, annotators="current", others="drop"),
)

AUDIOTAG = Recipe(
    name="audiotag",
    title="What audiotag does",
    summary=(
        "The recipe of the annotation loop: what nobody judged is left out instead of counted "
        "as a no, albums and families are never on both sides of a split, rare labels weigh "
        "more, training stops when it no longer helps, and probabilities are calibrated before "
        "a cut is tuned for every label. Four networks from different starts answer together, "
        "answers by earlier criteria are learnt from, but told apart from today's, and how "
        "many labels tracks carry is learnt too."
    ),
    training=TrainingConfig(
        network=DEFAULT_NETWORK, members=4, criteria="apart", label_counts="learnt"
    ),
    selection=SelectionRules(),
)

#: Networks that are trained by gradient descent on one summary a track.
POOLED = frozenset({"pooled", "pooled-numpy"})


def for_network(training: TrainingConfig, network: str, features: str) -> TrainingConfig:
    """Return the same training with another network.

    Only the pooled networks allow criteria-conditioned training and ensembles. Networks of
    windows cannot be conditioned, and an ensemble of them would take too long. Networks that
    read every track once (`gmm`, `knn`) have no weights for the contrast, and no random start.

    Parameters
    ----------
    training : of a recipe. network : name of the other network.
    features : name of its feature configuration.

    Returns
    -------
    TrainingConfig : for other networks without members and conditioning.
    """
    changed = replace(training, network=network, features=features)
    if network in POOLED:
        return changed
    return replace(changed, members=1, criteria="same")


#: Recipes whose models serve as comparisons and are never promoted.
FOR_COMPARISON = frozenset({SEED_2019.name, SEED_NEXT.name})

RECIPES: dict[str, Recipe] = {found.name: found for found in (SEED_2019, SEED_NEXT, AUDIOTAG)}


def recipe(name: str) -> Recipe:
    """Return a recipe by its name.

    Parameters
    ----------
    name : a key of `RECIPES`.

    Returns
    -------
    Recipe : of that name.

    Raises
    ------
    ParameterError : there is none of that name; the message lists the known names.
    """
    if name not in RECIPES:
        raise ParameterError(f"there is no recipe {name!r}; known: {', '.join(RECIPES)}")
    return RECIPES[name]
