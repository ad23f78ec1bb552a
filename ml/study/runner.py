"""Runs trials one after the other and keeps each; what is kept already is not run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ml.errors import NetworkDivergedError, NothingToLearnError
from ml.networks.base import OnEpoch, ShouldStop
from ml.study.experiments import Material, Run, run_recipe
from ml.study.store import StoredRun, read_run, write_run
from ml.training.recipes import Recipe
from ml.training.trained_model import versions


@dataclass(frozen=True)
class Watcher:
    """Who looks on.

    `on_run` : told after each run, and whether it was there already. `on_epoch`, `should_stop`:
    as `ml.training.fit.train`.
    """

    on_run: Callable[[StoredRun, bool], None] | None = None
    on_epoch: OnEpoch | None = None
    should_stop: ShouldStop | None = None


class Trial(Protocol):
    """One run of an experiment, under a part and a name."""

    @property
    def part(self) -> str:
        """Which part of the experiment it belongs to."""

    @property
    def name(self) -> str:
        """Its name, distinct within the part."""

    @property
    def title(self) -> str:
        """One line for people."""

    def key(self, seed: int) -> str:
        """Return a digest of all that decides the outcome: another key is another run."""

    def run(self, seed: int, watcher: Watcher) -> Run:
        """Train once; raises as `ml.training.fit.train`."""


@dataclass(frozen=True)
class RecipeTrial:
    """`recipe` on `material`."""

    part: str
    name: str
    title: str
    recipe: Recipe
    material: Material

    def key(self, seed: int) -> str:
        """Digest of the recipe, the seed, the arithmetic, and of what the material says.

        Features count by the first window of a few tracks: enough to tell one library or one
        simulation from another without reading all of it.
        """
        whole = hashlib.sha256()
        facts = [self.recipe.canonical(), seed, versions()["semantics"], self.material.names]
        whole.update(json.dumps(facts, sort_keys=True).encode())
        for array in _arrays(self.material):
            whole.update(np.ascontiguousarray(array).tobytes())
        features = self.material.features.get(self.recipe.training.features)
        if features is not None and features.n_tracks:
            some = np.unique(np.linspace(0, features.n_tracks - 1, 5).astype(np.intp))
            counts = features.window_counts()[some]
            whole.update(counts.tobytes())
            has_any = some[counts > 0]
            whole.update(features.windows(has_any, np.zeros(len(has_any), np.intp)).tobytes())
        return whole.hexdigest()

    def run(self, seed: int, watcher: Watcher) -> Run:
        """Train the recipe on the material."""
        return run_recipe(
            self.material,
            self.recipe,
            seed,
            on_epoch=watcher.on_epoch,
            should_stop=watcher.should_stop,
        )


def run_trials(
    trials: Iterable[Trial], seed: int, root: Path, watcher: Watcher | None = None
) -> list[StoredRun]:
    """Run every trial with `seed` and keep it under `root`.

    A training that has nothing to learn from, or diverges, is kept as a run with its error;
    the others go on.

    Raises
    ------
    CancelledError : `should_stop` said so; the runs before are kept.
    """
    watcher = watcher or Watcher()
    return [_done(trial, seed, root, watcher) for trial in trials]


def _done(trial: Trial, seed: int, root: Path, watcher: Watcher) -> StoredRun:
    key = trial.key(seed)
    found = read_run(root, trial.part, trial.name, seed, key)
    is_kept = found is not None
    if found is None:
        found = _run(trial, seed, key, watcher)
        write_run(root, found)
    if watcher.on_run is not None:
        watcher.on_run(found, is_kept)
    return found


def _run(trial: Trial, seed: int, key: str, watcher: Watcher) -> StoredRun:
    def stored(**values: Any) -> StoredRun:
        return StoredRun(trial.part, trial.name, trial.title, seed, key, **values)

    try:
        run = trial.run(seed, watcher)
    except (NothingToLearnError, NetworkDivergedError) as error:
        return stored(error=str(error), facts={"versions": versions()})
    facts = {"n_tracks": run.n_tracks, "seconds": run.seconds, "versions": versions()}
    return stored(held_out=run.held_out, validation=run.validation, facts=facts)


def _arrays(material: Material) -> list[npt.NDArray[Any]]:
    matrices = [material.reference, *(material.said[name] for name in sorted(material.said))]
    found = [material.track_uids, material.groups, material.held_out]
    for matrix in matrices:
        found += [matrix.labels & matrix.label_mask, matrix.label_mask]
    return found
