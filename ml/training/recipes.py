"""The named experiments: what is learnt from, and how, as data.

`docs/recipes.md` tells every parameter of them and why it has its value. A recipe is frozen
and hashed, so that two runs of the same recipe digest did the same.
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
    name : as commands and pages call it. title : one line. summary : plain language.
    training : how it is learnt. selection : what it is learnt from.
    """

    name: str
    title: str
    summary: str
    training: TrainingConfig
    selection: SelectionRules

    def canonical(self) -> dict[str, Any]:
        """Return name, title, summary, and what training and selection say of themselves."""
        own = {"training": self.training.canonical(), "selection": self.selection.canonical()}
        return {**super().canonical(), **own}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Rebuild from `canonical()`, also after a trip through JSON."""
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

#: Networks that learn by gradient from one summary a track.
POOLED = frozenset({"pooled", "pooled-numpy"})


def for_network(training: TrainingConfig, network: str, features: str) -> TrainingConfig:
    """Return the same training with another network.

    Criteria are told apart, and several are asked together, by the pooled networks only:
    networks of windows cannot do the first and would take too long over the second; those that
    read every track once (`gmm`, `knn`) have no weights to learn a contrast by, nor a start.
    """
    changed = replace(training, network=network, features=features)
    if network in POOLED:
        return changed
    return replace(changed, members=1, criteria="same")


#: Recipes whose models are there to be compared with, not to be used.
FOR_COMPARISON = frozenset({SEED_2019.name, SEED_NEXT.name})

RECIPES: dict[str, Recipe] = {found.name: found for found in (SEED_2019, SEED_NEXT, AUDIOTAG)}


def recipe(name: str) -> Recipe:
    """Return the recipe called `name`.

    Raises
    ------
    ParameterError : if there is none; the message lists those there are.
    """
    if name not in RECIPES:
        raise ParameterError(f"there is no recipe {name!r}; known: {', '.join(RECIPES)}")
    return RECIPES[name]
