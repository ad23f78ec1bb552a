"""Several networks on the same folds of the same answers; nothing is registered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from labeling.errors import BadInput
from ml.evaluation.cross_validation import FoldProgress
from ml.evaluation.network_comparison import Contender, compare_networks
from ml.features.track_features import SelectedTracks
from ml.networks import feature_config_for
from workers.jobs.run import Attempt
from workers.stages import preparing
from workers.stages.preparing import Prepared


def compare_networks_on_folds(run: Attempt) -> dict[str, Any]:
    """Cross-validate the networks that the job names on the tracks that all of them can read.

    1. One snapshot for all; each network with the features that it is made for.
    2. Tracks that lack any of these features are left out for all.
    3. The same grouped folds for each, one after the other.
    """
    started, asked = time.monotonic(), run.arguments
    every = _prepared(run)
    some = next(iter(every.values()))
    kept = reduce(np.intersect1d, [one.frozen.track_ids for one in every.values()])
    if not len(kept):
        raise BadInput("no track has the features of all these networks")
    contenders = {name: _contender(one, kept) for name, one in every.items()}
    rows = np.searchsorted(some.frozen.track_ids, kept)
    groups = some.frozen.groups[rows]
    folds, n_groups = int(asked["folds"]), len(np.unique(groups))
    if not 2 <= folds <= n_groups:
        raise BadInput(f"--folds is {folds}; these tracks allow 2 to {n_groups}")
    found = compare_networks(
        contenders,
        some.frozen.matrix.rows(rows),
        groups,
        references=asked["references"],
        n_folds=folds,
        seed=int(asked.get("seed") or 0),
        on_progress=_progress(run, list(contenders)),
        should_stop=run.should_stop,
    )
    return {
        "networks": [row.to_dict() for row in found],
        "references": asked["references"],
        "snapshot": some.snapshot.number,
        "folds": folds,
        "seed": int(asked.get("seed") or 0),
        "seconds": round(time.monotonic() - started, 3),
    }


def _prepared(run: Attempt) -> dict[str, Prepared]:
    """Return what each network reads, all of one snapshot."""
    found: dict[str, Prepared] = {}
    snapshot = run.arguments.get("snapshot")
    for name in run.arguments["networks"]:
        features = feature_config_for(name, run.library.features)
        asked = run.arguments | {"network": name, "features": features, "snapshot": snapshot}
        found[name] = preparing.prepare(run.library, asked)
        snapshot = found[name].snapshot.number
    return found


def _contender(prepared: Prepared, track_ids: np.ndarray) -> Contender:
    """Return a single network, without criteria conditioning and cardinality potential."""
    rows = np.searchsorted(prepared.frozen.track_ids, track_ids)
    config = replace(prepared.config, members=1, criteria="same", label_counts="free")
    return Contender(config, SelectedTracks(prepared.features, rows))


def _progress(run: Attempt, names: list[str]) -> Callable[[int, FoldProgress], None]:
    def tell(number: int, at: FoldProgress) -> None:
        share = (at.fold - 1 + at.epoch.epoch / max(1, at.epoch.epochs)) / at.folds
        text = f"{names[number]}, fold {at.fold} of {at.folds}, epoch {at.epoch.epoch}"
        run.progress(round(100 * (number + share) / len(names)), 100, text)

    return tell
