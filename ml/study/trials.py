"""Trials of the study in the small, on the simulated libraries of `ml.study.design`.

Stage: study. Each of the four parts is a list of named runs on one material, as data:

- *recipes*: the study, the next step that its author proposed (with the current curator's
  labels, and with both curators' labels), and our recipe.
- *turning*: one network trained on both curators' labels or on the current curator's alone,
  with more and more tracks of the current one: from where on is it better to leave the first
  curator out? Also an ensemble of four networks on both, and four with criteria-conditioned
  training, as in our recipe: is leaving out needed?
- *proposed*: the same question for the recipe that the author proposed, whose network needs
  more training data: both curators against the current one alone, with many of its tracks.
- *ablation*: a small sound training, and the same with one suspected cause of the study's
  failure at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ml.constants import N_TOP_GENRES, study_labels
from ml.features.summaries import summarise
from ml.features.track_features import ArrayFeatures
from ml.simulation.library import SimulationConfig
from ml.study.design import SimulatedStudy, StudyDesign, simulate_study
from ml.study.experiments import Material
from ml.study.runner import RecipeTrial
from ml.training.recipes import AUDIOTAG, SEED_2019, SEED_NEXT, Recipe
from ml.training.selection_rules import SelectionRules
from ml.types import LabelMatrix, TrainingConfig

JUDGED_BY = "the curator of today"
PARTS = ("recipes", "turning", "ablation", "proposed")
#: Parts that are run by default; *proposed* takes longer than the others together.
USUAL_PARTS = PARTS[:3]

#: The author's proposal, without leaving out the first curator.
SEED_NEXT_BOTH = replace(
    SEED_NEXT,
    name="seed-next-both",
    title="What the author proposed, on both curators' labels",
    summary="seed-next with the answers of everybody: what leaving out the first one does.",
    selection=replace(SEED_NEXT.selection, annotators="all"),
)

#: Tracks labelled by the current curator, with 600 by the first, in the part *turning*.
TURNING_SIZES = (25, 50, 100, 200, 400, 800, 1_600)
N_LEGACY = 600
#: The same for the part *proposed*; the part *recipes* has about 480.
PROPOSED_SIZES = (800, 1_600)

#: Training of the first comparison in *turning*: one network, not conditioned on criteria.
PLAIN = TrainingConfig(network=AUDIOTAG.training.network)

#: The ablation learns from about 300 tracks and is measured on as many.
ABLATION_DESIGN = StudyDesign(n_tracks=600, held_out_share=0.5)
ABLATION_EPOCHS = 15
#: A sound training of the study's network, to which each cause is added.
SOUND = Recipe(
    name="sound",
    title="The study's network, soundly trained",
    summary="Standardised inputs, plain loss, whole albums held back, one curator.",
    training=TrainingConfig(
        network="seed-cnn",
        features="seed-025s",
        epochs=ABLATION_EPOCHS,
        batch_size=96,
        learning_rate=1e-3,
        loss="bce",
        options=(("patience", ABLATION_EPOCHS), ("train_windows", 0), ("predict_windows", 0)),
        calibration="none",
        thresholds="half",
        bias="prior",
    ),
    selection=SelectionRules(
        annotators="current",
        negatives="closed",
        top_labels=SEED_2019.selection.top_labels,
        others="drop",
        min_support=1,
    ),
)


def material_of(
    study: SimulatedStudy,
    n_current: int | None = None,
    features: dict[str, ArrayFeatures] | None = None,
) -> Material:
    """Return a simulated library in the form that an experiment reads.

    Parameters
    ----------
    study : simulated library.
    n_current : tracks of the current curator to learn from, drawn in one random order, so that
        a smaller set is part of a larger one; the others have no labels. None means all.
    features : as `features_of` returns them, if they are known already.

    Returns
    -------
    Material : library and labels.
    """
    n_tracks = len(study.groups)
    everybody = np.ones(n_tracks, dtype=bool)
    is_current = _first_of(study, n_current)
    return Material(
        names=study.names,
        track_uids=np.array([f"{row:06d}".encode() for row in range(n_tracks)], dtype="S36"),
        features=features_of(study) if features is None else features,
        said={
            "all": _matrix(study.on_record(), ~study.is_current | is_current),
            "legacy": _matrix(study.by_legacy, ~study.is_current),
            "current": _matrix(study.by_current, is_current),
        },
        groups=study.groups,
        held_out=np.flatnonzero(study.is_held_out),
        reference=_matrix(study.by_current, everybody),
        judged_by=JUDGED_BY,
    )


def _first_of(study: SimulatedStudy, n_current: int | None) -> npt.NDArray[np.bool_]:
    learnable = np.flatnonzero(study.is_current & ~study.is_held_out)
    order = np.random.default_rng([study.tracks.config.seed, 3]).permutation(learnable)
    chosen = np.zeros(len(study.groups), dtype=bool)
    chosen[order[:n_current]] = True
    return chosen


def _matrix(labels: npt.NDArray[np.bool_], rows: npt.NDArray[np.bool_]) -> LabelMatrix:
    """Return the labels of the given rows, all judged; no other row is judged."""
    mask = np.broadcast_to(rows[:, None], labels.shape).copy()
    return LabelMatrix(labels & mask, mask)


def features_of(study: SimulatedStudy) -> dict[str, ArrayFeatures]:
    """Return the windows of the study, and as `audiotag` the summaries that `pooled` reads.

    Parameters
    ----------
    study : simulated library.

    Returns
    -------
    dict of str and ArrayFeatures : by the name of the feature configuration.
    """
    summary = np.stack([summarise(windows) for windows in study.windows])
    return {
        **study.features(),
        "audiotag": ArrayFeatures(summary, list(study.windows)),
    }


def trials(part: str, seed: int, design: StudyDesign, epochs: int = 0) -> Iterator[RecipeTrial]:
    """List the runs of a part for one seed; libraries are simulated when they are needed.

    Parameters
    ----------
    part : one of `PARTS`. seed : of the simulation. design : of the library.
    epochs : of the study's recipes in the parts *recipes* and *proposed*; 0 means theirs, 50.

    Yields
    ------
    RecipeTrial : to run.

    Raises
    ------
    KeyError : there is no such part.
    """
    if part in ("recipes", "proposed"):
        return {"recipes": _recipes, "proposed": _proposed}[part](seed, design, epochs)
    return {"turning": _turning, "ablation": _ablation}[part](seed, design)


def _recipes(seed: int, design: StudyDesign, epochs: int) -> Iterator[RecipeTrial]:
    material = material_of(simulate_study(design, seed))
    for recipe in (SEED_2019, SEED_NEXT, SEED_NEXT_BOTH, AUDIOTAG):
        shown = recipe if recipe is AUDIOTAG else _of_epochs(recipe, epochs)
        yield RecipeTrial("recipes", recipe.name, recipe.title, shown, material)


def _of_epochs(recipe: Recipe, epochs: int) -> Recipe:
    """Return the recipe with so many epochs; 0: as it is."""
    if not epochs:
        return recipe
    return replace(recipe, training=replace(recipe.training, epochs=epochs))


def _turning(seed: int, design: StudyDesign) -> Iterator[RecipeTrial]:
    study = _simulate_turning(seed, design)
    everybody = replace(SEED_NEXT.selection, annotators="all")
    # Only the choice of the curators differs here, so there is no cardinality potential.
    uncounted = replace(AUDIOTAG.training, label_counts="free")
    apart = replace(AUDIOTAG, selection=everybody, training=uncounted)
    four = replace(apart, training=replace(apart.training, criteria="same"))
    both = replace(apart, training=PLAIN)
    alone = replace(both, selection=SEED_NEXT.selection)
    features = features_of(study)
    for size in TURNING_SIZES:
        material = material_of(study, size, features)
        for name, title, recipe in (
            (f"both-{size}", f"both, {size} of the current", both),
            (f"current-{size}", f"the current alone, {size}", alone),
            (f"four-{size}", f"both, four networks, {size} of the current", four),
            (f"apart-{size}", f"both told apart, {size} of the current", apart),
        ):
            yield RecipeTrial("turning", name, title, recipe, material)


def _simulate_turning(seed: int, design: StudyDesign) -> SimulatedStudy:
    """Simulate enough tracks of the current curator for the largest size."""
    needed = N_LEGACY + TURNING_SIZES[-1]
    n_tracks = int(1.1 * needed / (1 - design.held_out_share))
    return simulate_study(
        replace(design, n_tracks=n_tracks, current_share=TURNING_SIZES[-1] / needed), seed
    )


def _proposed(seed: int, design: StudyDesign, epochs: int) -> Iterator[RecipeTrial]:
    """Yield the author's proposal, on the libraries of *turning*."""
    study = _simulate_turning(seed, design)
    features = features_of(study)
    for size in PROPOSED_SIZES:
        material = material_of(study, size, features)
        for name, title, recipe in (
            (f"both-{size}", f"seed-next on both, {size} of the current", SEED_NEXT_BOTH),
            (f"current-{size}", f"seed-next, {size} of the current alone", SEED_NEXT),
        ):
            shown = _of_epochs(recipe, epochs)
            yield RecipeTrial("proposed", name, title, shown, material)


def _ablation(seed: int, design: StudyDesign) -> Iterator[RecipeTrial]:
    """Yield the sound training, then the same with one cause at a time."""
    del design  # the ablation has a design of its own
    material = material_of(simulate_study(ABLATION_DESIGN, seed))
    one_curator = _by_one_curator(material)
    for name, title, recipe in ablation_recipes():
        held = material if name == "changed-curator" else one_curator
        yield RecipeTrial("ablation", name, title, recipe, held)
    balanced = _by_one_curator(material_of(_simulate_balanced(seed)))
    yield RecipeTrial("ablation", "balanced", "all genres equally frequent", SOUND, balanced)


def _by_one_curator(material: Material) -> Material:
    """Return the same tracks, all labelled by the current curator."""
    said = material.reference
    return replace(material, said={"all": said, "current": said})


def _simulate_balanced(seed: int) -> SimulatedStudy:
    return simulate_study(_BalancedDesign(n_tracks=600, held_out_share=0.5), seed)


class _BalancedDesign(StudyDesign):
    """Design of the ablation with the 29 genres of the study equally frequent."""

    def simulation(self, seed: int) -> SimulationConfig:
        """Return the configuration of the tracks, every genre with the same weight."""
        even = tuple((name, 1.0) for name, _ in study_labels()[:N_TOP_GENRES])
        return replace(super().simulation(seed), labels=even)


def ablation_recipes() -> Iterator[tuple[str, str, Recipe]]:
    """Yield the recipes of the ablation: the sound training, then each suspected cause alone.

    Yields
    ------
    (str, str, Recipe) : name, title and recipe.
    """
    training, selection = SOUND.training, SOUND.selection
    yield "sound", "none: sound training", SOUND

    def with_training(**changes: object) -> Recipe:
        return replace(SOUND, training=replace(training, **changes))  # type: ignore[arg-type]

    yield (
        "class-weight",
        "Keras class_weight on multi-hot targets",
        with_training(loss="keras-class-weight"),
    )
    scaled = (*training.options, ("scaling", "min-max"))
    yield "min-max", "scaled by the global minimum and maximum", with_training(options=scaled)
    yield (
        "label-sampling",
        "tracks drawn by the label distribution",
        with_training(sampling="label-distribution"),
    )
    yield "one-second", "windows of 1 s", with_training(features="seed-1s")
    both = replace(SOUND, selection=replace(selection, annotators="all"))
    yield "changed-curator", "labels of two curators", both
    yield "others", "rare genres folded into Others", _with_others()
    yield "window-leak", "windows of a track on both sides", with_training(split="windows")


def _with_others() -> Recipe:
    return replace(SOUND, selection=replace(SOUND.selection, others="fold"))
