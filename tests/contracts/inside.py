"""The only place here that imports modules of the program: adapt it when they move.

Everything else reaches the program from outside: commands, addresses, the registry of Django,
settings, files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID

import numpy as np

from labeling.jobs import HELP_TASK, QUEUES, SCHEDULER, TASKS, enqueue
from labeling.loop.datasets.selection import Selection
from labeling.models import Job, Library
from ml.evaluation.record import EvaluationRecord, LabelName
from ml.features.track_features import ArrayFeatures
from ml.metrics.splits import audit_groups, track_random_key
from ml.networks import DEFAULT_NETWORK, REGISTRY
from ml.study import trials
from ml.study.experiments import Material
from ml.study.runner import RecipeTrial
from ml.training.recipes import RECIPES
from ml.training.selection_rules import SelectionRules
from ml.types import FEATURE_CONFIGS, LabelMatrix, TrainingConfig
from workers.jobs.run import run_inline
from workers.jobs.schedules import ensure_schedules
from workers.management.commands import demo_library

_LATER = TrainingConfig(
    members=4, criteria="apart", label_counts="learnt", options=(("patience", 3),)
)
FAST = TrainingConfig(network="pooled-numpy", epochs=2)


def default_schedule() -> None:
    """Write the schedule that comes with the program into the database."""
    ensure_schedules()


def broker() -> dict[str, Any]:
    """Return the tasks and queues, as far as they are fixed without a worker."""
    return {
        "task and queue of each kind of job": {
            str(kind): list(where) for kind, where in TASKS.items()
        },
        "queues": list(QUEUES),
        "help task": HELP_TASK,
        "scheduler": SCHEDULER,
    }


def configurations() -> dict[str, Any]:
    """Return every configuration that is hashed or stored, with its hash."""
    return {
        "features": {
            name: {"digest": one.digest(), "canonical": one.canonical()}
            for name, one in FEATURE_CONFIGS.items()
        },
        "frame shapes": {name: list(one.frame_shape) for name, one in FEATURE_CONFIGS.items()},
        "recipes": {
            name: {"digest": one.digest(), "canonical": one.canonical()}
            for name, one in RECIPES.items()
        },
        "training": _with_digests({"default": TrainingConfig(), "later": _LATER}),
        "selection rules": _with_digests({"default": SelectionRules()}),
        "selection": {
            "canonical": Selection().canonical(),
            "fields": [one.name for one in fields(Selection)],
        },
        "experiment key": experiment_key(),
        "networks": {"names": sorted(REGISTRY), "default": DEFAULT_NETWORK},
        "random keys": {
            key: track_random_key(str(UUID(int=7)), key) for key in ("a.mp3", "b/ü.wav")
        },
        "audit groups": sorted(
            audit_groups([f"group {n}" for n in range(40)], [1 + n % 3 for n in range(40)])
        ),
    }


def _with_digests(found: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"digest": one.digest(), "canonical": one.canonical()}
        for name, one in found.items()
    }


def record_content() -> bytes:
    """Return the file of an evaluation record of fixed content."""
    labels = np.arange(12).reshape(4, 3) % 2 == 0
    scores = np.linspace(-2, 2, 12).reshape(4, 3).astype(np.float32)
    return EvaluationRecord(
        track_uids=np.array([str(UUID(int=n)) for n in range(4)], dtype="S36"),
        groups=np.arange(4, dtype=np.int64),
        reference=LabelMatrix(labels, np.ones_like(labels)),
        logits=scores,
        probabilities=(scores + 2) / 4,
        thresholds=np.full((1, 3), 0.5),
        prior=np.full((1, 3), 0.25),
        part_of=np.zeros(4, dtype=np.intp),
        labels=tuple(LabelName(UUID(int=n).hex, f"Label {n}", "genre") for n in range(3)),
        judged_by="somebody",
        history=({"epoch": 1, "loss": 0.5},),
        about={"network": "pooled-numpy"},
    ).to_bytes()


def experiment_key() -> str:
    """Return the key of a recipe on fixed material: by it a run that is there is found."""
    labels = np.arange(24).reshape(8, 3) % 2 == 0
    matrix = LabelMatrix(labels, np.ones_like(labels))
    summary = np.arange(16, dtype=np.float32).reshape(8, 2)
    windows = [np.full((2, 3, 4), n, dtype=np.float16) for n in range(8)]
    material = Material(
        names=("A", "B", "C"),
        track_uids=np.array([f"{n:06d}" for n in range(8)], dtype="S36"),
        features={name: ArrayFeatures(summary, windows) for name in FEATURE_CONFIGS},
        said={"all": matrix},
        groups=np.arange(8),
        held_out=np.array([0, 1], dtype=np.intp),
        reference=matrix,
        judged_by="somebody",
    )
    return RecipeTrial("recipes", "audiotag", "Title", RECIPES["audiotag"], material).key(3)


def work(*kinds: str) -> None:
    """Do the jobs of these kinds that wait, as a worker would."""
    for job in Job.objects.filter(kind__in=kinds, state="queued").order_by("id"):
        run_inline(job)


def measure_consistency(slug: str) -> None:
    """Count the answers of a library and keep its figures of agreement."""
    library = Library.objects.get(slug=slug)
    enqueue("consistency", library=library, key="measured once", is_announced=False)
    work("consistency")


@contextmanager
def quick() -> Iterator[None]:
    """Let the commands that synthesise or train for minutes do it in a second.

    The demo gets files without a sound, and all recipes train the numpy network for two epochs.
    """
    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(demo_library, "make_audio", _silent))
        for name, recipe in RECIPES.items():
            patches.enter_context(mock.patch.dict(RECIPES, {name: _fast(recipe)}))
        for name in ("SEED_2019", "SEED_NEXT", "SEED_NEXT_BOTH", "AUDIOTAG"):
            fast = _fast(getattr(trials, name))
            patches.enter_context(mock.patch.object(trials, name, fast))
        yield


def _fast(recipe: Any) -> Any:
    rules = replace(recipe.selection, min_support=2, top_labels=0, others="keep")
    return replace(recipe, training=FAST, selection=rules)


def _silent(
    tracks: Any, lengths_s: Any, folder: Path, processes: int, progress: Callable[..., Any]
) -> int:
    for key in tracks.keys:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(b"x")
    return len(tracks.keys)
