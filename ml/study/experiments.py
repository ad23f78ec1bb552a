"""Comparison of recipes on one library, with the same training and held-out tracks.

Stage: study. A recipe decides which labels it learns, from whose answers, and how. No recipe
learns from a held-out track, and all are measured by the same reference labels. Recipes with
different labels are compared on the labels that both have learnt.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.constants import OTHERS
from ml.errors import NothingToLearnError, ParameterError
from ml.evaluation.measurement import HeldOut, epochs_of, record_of_model
from ml.evaluation.record import EvaluationRecord, LabelName
from ml.features.track_features import SelectedTracks, TrackFeatures
from ml.networks.base import OnEpoch, ShouldStop
from ml.training.fit import train
from ml.training.recipes import Recipe
from ml.training.selection_rules import (
    Annotators,
    Selected,
    SelectionRules,
    any_of,
    has_beyond,
    select,
)
from ml.training.trained_model import TrainedModel
from ml.types import Indices, LabelMatrix


@dataclass(frozen=True)
class Material:
    """A library in the form that an experiment reads; all arrays list the tracks in one order.

    Attributes
    ----------
    names : (n_labels,), of the columns of every matrix.
    track_uids : bytes (n_tracks,), distinct.
    features : by the name of the feature configuration that a recipe asks for.
    said : labels by the annotators that count ("all", "legacy", "current").
    groups : (n_tracks,), split groups, which every split keeps together.
    held_out : int (m,), rows from which nothing is learnt.
    reference : (n_tracks, n_labels), labels to measure by; only `held_out` rows are read.
    judged_by : whose labels the reference holds, in words.

    Raises
    ------
    ParameterError : shapes differ, or a split group is both held out and learnt from.
    """

    names: tuple[str, ...]
    track_uids: npt.NDArray[np.bytes_]
    features: Mapping[str, TrackFeatures]
    said: Mapping[Annotators, LabelMatrix]
    groups: npt.NDArray[Any]
    held_out: Indices
    reference: LabelMatrix
    judged_by: str = ""

    def __post_init__(self) -> None:
        shape = (len(self.track_uids), len(self.names))
        matrices: dict[str, LabelMatrix] = {"reference": self.reference}
        matrices.update({str(name): held for name, held in self.said.items()})
        wrong = [name for name, held in matrices.items() if held.labels.shape != shape]
        if wrong or len(self.groups) != shape[0]:
            raise ParameterError(
                f"{', '.join(wrong) or 'groups'}: not of {shape} tracks, labels"
            )
        if np.intersect1d(self.groups[self.held_out], self.groups[self.learnable]).size:
            raise ParameterError("a split group is both held out and learnt from")

    @property
    def learnable(self) -> Indices:
        """Rows that are not held out, ascending."""
        return np.setdiff1d(np.arange(len(self.track_uids)), self.held_out)


@dataclass(frozen=True)
class Run:
    """One recipe trained once.

    Attributes
    ----------
    model : trained. n_tracks : tracks learnt from. seconds : duration of the training.
    held_out : record of the held-out tracks.
    validation : record of its own validation set; None without one.
    """

    model: TrainedModel
    n_tracks: int
    seconds: float
    held_out: EvaluationRecord
    validation: EvaluationRecord | None


def choose_material(material: Material, rules: SelectionRules, seed: int) -> Selected:
    """Select the tracks and labels that a recipe learns from.

    Parameters
    ----------
    material : library. rules : of the recipe. seed : of the thinning.

    Returns
    -------
    Selected : its rows are those of the material.

    Raises
    ------
    NothingToLearnError : the annotators that count have labelled no track of the training side,
        or no label has enough tracks.
    """
    said = material.said.get(rules.annotators)
    if said is None:
        known = ", ".join(material.said)
        raise NothingToLearnError(
            f"there are no answers of {rules.annotators!r}, only: {known}"
        )
    rows = material.learnable
    rows = rows[said.label_mask[rows].any(axis=1)]
    chosen = select(said.rows(rows), material.names, rules, seed)
    if not len(chosen.rows) or not chosen.names:
        raise NothingToLearnError(
            f"nothing to learn from: {len(rows)} tracks were judged by {rules.annotators!r}, "
            f"{len(chosen.names)} labels have at least {rules.min_support} of them"
        )
    return replace(chosen, rows=rows[chosen.rows])


def under_names(
    labels: LabelMatrix,
    names: Sequence[str],
    chosen: Sequence[str],
    rules: SelectionRules | None = None,
) -> LabelMatrix:
    """Convert labels of the library to those of a recipe.

    If `rules` folded labels into Others, or the library has no label of this name, Others
    applies if any label applies that the recipe does not name, or the library's own Others. It
    is judged as in `ml.training.selection_rules.fold_others`. Otherwise, Others is a label of
    the library like any other.

    Parameters
    ----------
    labels : (n_tracks, n_labels). names : (n_labels,), of the library.
    chosen : labels of the recipe. rules : of the recipe, or None.

    Returns
    -------
    LabelMatrix : one column for each name in `chosen`.
    """
    folds = rules is not None and rules.others == "fold" and has_beyond(names, rules.top_labels)
    has_others = OTHERS in chosen and (folds or OTHERS not in names)
    kept = [names.index(name) for name in chosen if name != OTHERS or not has_others]
    values, mask = labels.labels[:, kept], labels.label_mask[:, kept]
    if not has_others:
        return LabelMatrix(values, mask)
    beyond = np.flatnonzero([name not in chosen or name == OTHERS for name in names])
    has, is_judged = any_of(labels, beyond)
    place = chosen.index(OTHERS)
    return LabelMatrix(
        np.insert(values, place, has, axis=1), np.insert(mask, place, is_judged, axis=1)
    )


def run_recipe(
    material: Material,
    recipe: Recipe,
    seed: int,
    *,
    on_epoch: OnEpoch | None = None,
    should_stop: ShouldStop | None = None,
) -> Run:
    """Train a recipe and score the held-out tracks.

    Parameters
    ----------
    material : library. recipe : to train. seed : of the training.
    on_epoch : called after every epoch. should_stop : polled every few batches.

    Returns
    -------
    Run : model and records.

    Raises
    ------
    ParameterError : the material does not have the features of the recipe.
    NothingToLearnError, NetworkDivergedError, CancelledError : as `ml.training.fit.train`.
    """
    features = material.features.get(recipe.training.features)
    if features is None:
        raise ParameterError(
            f"recipe {recipe.name!r} needs the features {recipe.training.features!r}; there "
            f"are {', '.join(material.features)}"
        )
    chosen = choose_material(material, recipe.selection, seed)
    begun = time.perf_counter()
    model = train(
        SelectedTracks(features, chosen.rows),
        chosen.labels,
        material.groups[chosen.rows],
        replace(recipe.training, seed=seed),
        label_uids=chosen.names,
        is_present=_by_present(material, chosen.rows),
        on_epoch=on_epoch,
        should_stop=should_stop,
    )
    seconds = time.perf_counter() - begun
    about = {
        "recipe": recipe.canonical(),
        "config": model.config.canonical(),  # as it was followed
        "seed": seed,
        "n_tracks": len(chosen.rows),
    }
    held_out = _held_out(material, recipe.selection, chosen.names, about)
    return Run(
        model=model,
        n_tracks=len(chosen.rows),
        seconds=seconds,
        held_out=record_of_model(
            model, SelectedTracks(features, material.held_out), held_out, should_stop
        ),
        validation=validation_record(model, held_out.labels, about),
    )


def _held_out(
    material: Material, rules: SelectionRules, names: tuple[str, ...], about: dict[str, Any]
) -> HeldOut:
    """Return the held-out tracks, with reference labels under the names of the recipe."""
    rows = material.held_out
    return HeldOut(
        track_uids=material.track_uids[rows],
        groups=material.groups[rows],
        reference=under_names(material.reference.rows(rows), material.names, names, rules),
        labels=tuple(LabelName(name, name) for name in names),
        judged_by=material.judged_by,
        about=about,
    )


def _by_present(material: Material, rows: Indices) -> npt.NDArray[np.bool_] | None:
    """Return whether the current curator labelled each track in `rows`; None if unknown."""
    current = material.said.get("current")
    return None if current is None else np.asarray(current.label_mask[rows].any(axis=1))


def validation_record(
    model: TrainedModel, labels: tuple[LabelName, ...], about: dict[str, Any]
) -> EvaluationRecord | None:
    """Return the record of a run's own validation set.

    Parameters
    ----------
    model : trained. labels : names of its columns. about : any JSON values.

    Returns
    -------
    EvaluationRecord or None : None without a validation set.
    """
    held_back = model.validation
    if held_back is None:
        return None
    n_rows = held_back.labels.n_tracks
    return EvaluationRecord(
        track_uids=np.array([f"row-{row}".encode() for row in range(n_rows)], dtype="S36"),
        groups=np.unique(held_back.groups, return_inverse=True)[1].astype(np.int64),
        reference=held_back.labels,
        logits=held_back.logits,
        probabilities=model.calibrated(held_back.logits),
        thresholds=model.thresholds[None].astype(np.float64),
        prior=model.prior[None].astype(np.float64),
        part_of=np.zeros(n_rows, dtype=np.intp),
        labels=labels,
        judged_by="the answers that were learnt from",
        history=tuple(epochs_of(model)),
        about=about,
    )
