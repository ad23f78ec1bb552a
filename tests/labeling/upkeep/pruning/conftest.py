"""Fixtures of pruning: folders, a library, and models with files."""

from __future__ import annotations

import pytest

from labeling.loop.registry import models as registry_models
from tests.factories import make_library
from tests.labeling.upkeep.pruning.world import NO, leave, record_in, run_of, snapshot_of


@pytest.fixture(autouse=True)
def folders(tmp_path, settings):
    for name in ("MODEL", "SNAPSHOT", "PREDICTION", "UPLOAD"):
        setattr(settings, f"{name}_ROOT", tmp_path / name.lower())
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "tmp")
    settings.KEEP_MODELS = 2


@pytest.fixture
def library():
    return make_library("house")


@pytest.fixture
def make_model(library, settings):
    """Make a model with files and a snapshot of its own, promoted or rejected."""

    def make(decision=NO, snapshot=None, job=None):
        run = run_of(snapshot or snapshot_of(library, settings), job)
        folder = registry_models.folder_name(run)
        leave(settings.MODEL_ROOT, f"{folder}/weights.npz")
        measured = record_in(folder, settings)
        trained = registry_models.Trained(
            folder, "s", ["a"], [0.5], {}, {}, {}, measured=measured
        )
        return registry_models.register_model(run, trained, decision)

    return make
