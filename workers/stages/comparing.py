"""The same training on everybody's, the legacy and the current curator's answers."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from labeling.errors import BadInput
from labeling.loop.datasets.selection import Selection
from labeling.loop.registry import models, run_groups
from labeling.loop.registry.evaluation_records import Measured
from labeling.loop.registry.models import Trained
from labeling.loop.registry.run_groups import ARMS, DECISION
from labeling.models import RunGroup, TrainingRun
from workers.jobs.run import Attempt
from workers.stages import preparing, training
from workers.stages.preparing import Prepared


@dataclass(frozen=True)
class Arm:
    """One of the three runs, trained and saved, its row still open."""

    name: str
    row: TrainingRun
    trained: Trained

    @property
    def measured(self) -> Measured:
        """Its evaluation record on the audit tracks."""
        if self.trained.measured is None:
            raise BadInput(f"nothing was kept of the run on {self.name} said")
        return self.trained.measured


def train_each_criteria(run: Attempt) -> None:
    """Train the three arms and register them together, with their differences.

    1. Take all three snapshots first: a selection without answers ends it before any training.
    2. Train one after the other; evaluate all on the same audit tracks, by the current
       curator's answers.
    3. Register them in one transaction. None is ever promoted automatically.
    """
    started = time.monotonic()
    models.end_runs_of(run.job, "its worker stopped early; it was tried again")
    prepared = {name: _prepared(run, name) for name in ARMS}
    group = run_groups.open_group(run.library, run.job, _in_common(prepared))
    with ExitStack() as open_rows:
        arms = [_trained(run, group, name, prepared[name], open_rows) for name in ARMS]
        result = run_groups.compare_arms([(arm.name, arm.measured) for arm in arms])
        seconds = round(time.monotonic() - started, 3)
        with run.committing({"seconds": seconds}) as told:
            for arm in arms:
                models.register_model(arm.row, arm.trained, DECISION)
            run_groups.close_group(group, result)
            told |= {
                "group": group.pk,
                "compared": result,
                "runs": [{"arm": arm.name, **models.outcome(arm.row)} for arm in arms],
            }


def _prepared(run: Attempt, name: str) -> Prepared:
    """Take the snapshot of one arm; the reference labels are the same for all.

    No arm uses criteria-conditioned training or a cardinality potential: the question is what
    the answers contribute, taken as they are.
    """
    asked = run.arguments
    base = Selection.of(asked.get("selection") or {})
    chosen = replace(base, criteria=name, judged_by="current")
    try:
        found = preparing.prepare(run.library, {**asked, "selection": chosen.canonical()})
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from error
    return replace(found, config=replace(found.config, criteria="same", label_counts="free"))


def _in_common(prepared: dict[str, Prepared]) -> dict[str, Any]:
    first = prepared[ARMS[0]]
    return {
        "arms": list(ARMS),
        "training": first.config.canonical(),
        "judged_by": first.frozen.judged_by,
        "snapshots": {name: one.snapshot.number for name, one in prepared.items()},
        **first.origin,
    }


def _trained(
    run: Attempt, group: RunGroup, name: str, prepared: Prepared, open_rows: ExitStack
) -> Arm:
    recorded = training.recorded(run, prepared, group=group, arm=name)
    row, log = open_rows.enter_context(recorded)
    model = training.fit(run, prepared, log)
    return Arm(name, row, training.saved(model, row, prepared))
