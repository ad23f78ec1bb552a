"""Runner of trials: one after the other, each stored; a stored trial is not run again.

Stage: study.
"""

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
from ml.study.side import side_figures
from ml.study.store import StoredRun, read_run, write_run
from ml.training.recipes import Recipe
from ml.training.trained_model import versions


@dataclass(frozen=True)
class Watcher:
    """Callbacks of an experiment.

    Attributes
    ----------
    on_run : called after each run, with whether it had been stored already.
    on_epoch, should_stop : as in `ml.training.fit.train`.
    """

    on_run: Callable[[StoredRun, bool], None] | None = None
    on_epoch: OnEpoch | None = None
    should_stop: ShouldStop | None = None


class Trial(Protocol):
    """One run of an experiment, under a part and a name."""

    @property
    def part(self) -> str:
        """Part of the experiment."""

    @property
    def name(self) -> str:
        """Name, unique within the part."""

    @property
    def title(self) -> str:
        """Title in one line, for reports."""

    def key(self, seed: int) -> str:
        """Return a digest of everything that determines the outcome.

        Parameters
        ----------
        seed : of the run.

        Returns
        -------
        str : 64 hexadecimal characters; another key is another run.
        """

    def run(self, seed: int, watcher: Watcher) -> Run:
        """Train once.

        Parameters
        ----------
        seed : of the training. watcher : callbacks.

        Returns
        -------
        Run : model and records.

        Raises
        ------
        NothingToLearnError, NetworkDivergedError, CancelledError : as `ml.training.fit.train`.
        """


@dataclass(frozen=True)
class RecipeTrial:
    """A recipe on a material.

    Attributes
    ----------
    part, name, title : as in `Trial`. recipe : to train. material : to learn from.
    """

    part: str
    name: str
    title: str
    recipe: Recipe
    material: Material

    def key(self, seed: int) -> str:
        """Return a digest of the recipe, the seed, the arithmetic and the material.

        Only the first window of a few tracks enters for the features: enough to distinguish
        libraries and simulations without reading all of them.

        Parameters
        ----------
        seed : of the run.

        Returns
        -------
        str : 64 hexadecimal characters.
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
        """Train the recipe on the material.

        Parameters
        ----------
        seed : of the training. watcher : callbacks.

        Returns
        -------
        Run : model and records.
        """
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
    """Run every trial and store it.

    A training that has nothing to learn from, or diverges, is stored with its error, and the
    next trial is run.

    Parameters
    ----------
    trials : to run. seed : of all of them. root : folder of the experiment.
    watcher : callbacks, or None.

    Returns
    -------
    list of StoredRun : one for each trial.

    Raises
    ------
    CancelledError : `should_stop` returned True; runs that ended before are stored.
    """
    watcher = watcher or Watcher()
    return [_done(trial, seed, root, watcher) for trial in trials]


def _done(trial: Trial, seed: int, root: Path, watcher: Watcher) -> StoredRun:
    key = trial.key(seed)
    found = read_run(root, trial.part, trial.name, seed, key)
    is_kept = found is not None
    if found is None:
        write_run(root, _run(trial, seed, key, watcher))
        # Outputs are rounded when they are stored: the first report must equal later ones.
        found = read_run(root, trial.part, trial.name, seed)
        assert found is not None  # noqa: S101  it was written just now
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
    validation = None if run.validation is None else side_figures(run.validation)
    return stored(held_out=run.held_out, validation=validation, facts=facts)


def _arrays(material: Material) -> list[npt.NDArray[Any]]:
    matrices = [material.reference, *(material.said[name] for name in sorted(material.said))]
    found = [material.track_uids, material.groups, material.held_out]
    for matrix in matrices:
        found += [matrix.labels & matrix.label_mask, matrix.label_mask]
    return found
