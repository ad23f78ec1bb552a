"""Recipes on your own library, as trials of an experiment; nothing is registered."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property

from labeling.errors import BadInput
from labeling.loop.datasets import criteria
from labeling.loop.datasets.selection import Selection
from labeling.loop.registry import recipes
from labeling.models import Library
from ml.errors import NothingToLearnError
from ml.evaluation.measurement import record_of_model
from ml.features.track_features import SelectedTracks
from ml.study.experiments import Run, validation_record
from ml.study.runner import Watcher
from ml.training.fit import train
from ml.training.recipes import Recipe
from ml.training.trained_model import versions
from workers.stages import preparing
from workers.stages.evaluating import held_out_of
from workers.stages.preparing import Prepared

PART = "recipes"


@dataclass(frozen=True)
class LibraryTrial:
    """One recipe on the current answers of a library, evaluated on its audit tracks.

    All recipes are evaluated by the answers of the current curators, if there are any
    (`labeling.loop.datasets.criteria`), else by all selected answers.
    """

    library: Library
    recipe: Recipe
    part: str = PART

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.recipe.name

    @property
    def title(self) -> str:
        """The recipe's title."""
        return self.recipe.title

    def key(self, seed: int) -> str:
        """Return a digest of the answers, the features and the recipe."""
        try:
            prepared = self._prepared
        except NothingToLearnError as error:
            return f"nothing to learn: {error}"
        return f"{prepared.digest()}|{prepared.snapshot.hash}|{seed}"

    def run(self, seed: int, watcher: Watcher) -> Run:
        """Train on the training side and predict the audit side."""
        prepared = self._prepared
        rows = prepared.training
        started = time.monotonic()
        model = train(
            SelectedTracks(prepared.features, rows),
            prepared.frozen.matrix.rows(rows),
            prepared.frozen.groups[rows],
            replace(prepared.config, seed=seed),
            label_uids=prepared.uids,
            facets=prepared.facets,
            is_present=prepared.is_present,
            on_epoch=watcher.on_epoch,
            should_stop=watcher.should_stop,
        )
        seconds = round(time.monotonic() - started, 3)
        audit = prepared.audit
        about = {
            "seed": seed,
            "seconds": seconds,
            "versions": versions(),
            "config": model.config.canonical(),
        }
        held_out = held_out_of(prepared, audit, prepared.frozen.reference.rows(audit), about)
        return Run(
            model=model,
            n_tracks=len(rows),
            seconds=seconds,
            held_out=record_of_model(
                model, SelectedTracks(prepared.features, audit), held_out, watcher.should_stop
            ),
            validation=validation_record(model, held_out.labels, held_out.about),
        )

    @cached_property
    def _prepared(self) -> Prepared:
        selection = replace(
            recipes.recipe_selection(self.recipe), judged_by=judges_of(self.library)
        )
        asked = {"recipe": self.recipe.name, "selection": selection.canonical()}
        try:
            return preparing.prepare(self.library, asked)
        except BadInput as error:
            raise NothingToLearnError(str(error)) from error


def judges_of(library: Library) -> str:
    """Return whose answers are the reference: the current curators', if they are known."""
    try:
        criteria.check_criteria(library, Selection(judged_by="current"))
    except BadInput:
        return "selected"
    return "current"
