"""Recipes side by side on one library: the same tracks to learn from, the same to be judged on.

Stage: experiments. A recipe decides which labels it learns, whose answers, and how; none of
them ever learns from a held-out track. All of them are judged by the same reference: what is
right on the held-out tracks. Runs of recipes with different labels are compared on the labels
that both know.
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
from ml.types import LabelMatrix

IndexArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Material:
    """A library as an experiment uses it; every array has a row a track, in one order.

    Attributes
    ----------
    names : of the labels, the columns of every matrix.
    track_uids : bytes (n_tracks,), distinct.
    features : by the name of their configuration; a recipe finds its own there.
    said : what was answered, by whose answers count ("all", "legacy", "current").
    groups : split group of each track; no split cuts one.
    held_out : rows that nothing learns from.
    reference : what is right; only the rows in `held_out` are read.
    judged_by : whose answers the reference is, in words.
    """

    names: tuple[str, ...]
    track_uids: npt.NDArray[np.bytes_]
    features: Mapping[str, TrackFeatures]
    said: Mapping[Annotators, LabelMatrix]
    groups: npt.NDArray[Any]
    held_out: IndexArray
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
    def learnable(self) -> IndexArray:
        """Rows that are not held out, ascending."""
        return np.setdiff1d(np.arange(len(self.track_uids)), self.held_out)


@dataclass(frozen=True)
class Run:
    """One recipe trained once.

    Attributes
    ----------
    model : what came of it. n_tracks : learnt from. seconds : of the training.
    held_out : what it said of the held-out tracks.
    validation : what it said of the part that it held back itself, None where it did not.
    """

    model: TrainedModel
    n_tracks: int
    seconds: float
    held_out: EvaluationRecord
    validation: EvaluationRecord | None


def choose(material: Material, rules: SelectionRules, seed: int) -> Selected:
    """Return what a recipe learns from; its rows are those of the material.

    Raises
    ------
    NothingToLearnError : nobody whose answers count has judged a track that may be learnt
        from, or no label has enough tracks.
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
    """Return `labels`, with columns `names`, under the labels of a recipe.

    Others, where `rules` folded labels into it or the library has none of its own, applies
    where any label applies that the recipe does not name, or the library's own Others; it is
    judged as `ml.training.selection_rules.fold_others` has it. Where nothing was folded, or
    without `rules`, a label Others of the library is a label like the rest.
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
    """Train `recipe` on `material` and let it say what the held-out tracks have.

    Raises
    ------
    ParameterError : the material lacks the recipe's features.
    NothingToLearnError, NetworkDivergedError, CancelledError : as `ml.training.fit.train`.
    """
    features = material.features.get(recipe.training.features)
    if features is None:
        raise ParameterError(
            f"recipe {recipe.name!r} needs the features {recipe.training.features!r}; there "
            f"are {', '.join(material.features)}"
        )
    chosen = choose(material, recipe.selection, seed)
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
    """Name the tracks that a run is judged on, and what is right there under its labels."""
    rows = material.held_out
    return HeldOut(
        track_uids=material.track_uids[rows],
        groups=material.groups[rows],
        reference=under_names(material.reference.rows(rows), material.names, names, rules),
        labels=tuple(LabelName(name, name) for name in names),
        judged_by=material.judged_by,
        about=about,
    )


def _by_present(material: Material, rows: IndexArray) -> npt.NDArray[np.bool_] | None:
    """Say of the tracks in `rows` whether the curator of today judged them; None: unknown."""
    current = material.said.get("current")
    return None if current is None else np.asarray(current.label_mask[rows].any(axis=1))


def validation_record(
    model: TrainedModel, labels: tuple[LabelName, ...], about: dict[str, Any]
) -> EvaluationRecord | None:
    """What the run itself would have reported: of the part that it held back."""
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
