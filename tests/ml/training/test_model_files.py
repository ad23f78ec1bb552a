from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ml.features.track_features import ArrayFeatures
from ml.training import weights as weights_module
from ml.training.fit import train
from ml.training.trained_model import TrainedModel
from ml.training.weights import ModelFileError, read_model, write_model
from ml.types import TrainingConfig
from tests.ml.planted import planted_tracks

FEATURES, LABELS, GROUPS = planted_tracks(60)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def model():
    config = TrainingConfig(network="pooled-numpy", epochs=3, options=(("hidden", 8),))
    return train(FEATURES, LABELS, GROUPS, config, label_uids=["a", "b", "c", "d"])


def test_a_model_comes_back_as_it_was(model, tmp_path):
    saved = model.save(tmp_path / "models" / "m1")
    again = TrainedModel.load(saved.folder, saved.sha256)
    np.testing.assert_array_equal(again.probabilities(FEATURES), model.probabilities(FEATURES))
    np.testing.assert_array_equal(again.logits(FEATURES), model.logits(FEATURES))
    np.testing.assert_array_equal(again.thresholds, model.thresholds)
    assert again.config == model.config
    assert again.label_uids == ("a", "b", "c", "d")
    assert again.history[:3] == model.history[:3]
    assert sorted(path.name for path in saved.folder.iterdir()) == sorted(saved.files)


def test_a_model_file_from_before_the_newer_figures_and_choices_still_reads(model, tmp_path):
    arrays, facts = read_model(*_where(model.save(tmp_path / "m")))
    for report in facts["history"]:
        del report["binary_accuracy"], report["validation_binary_accuracy"]
    for name in ("split", "sampling", "calibration", "thresholds", "bias"):
        del facts["config"][name]
    saved = write_model(tmp_path / "old", arrays, facts)
    again = TrainedModel.load(saved.folder, saved.sha256)
    assert np.isnan(again.history[0].binary_accuracy)
    assert again.history[0].loss == model.history[0].loss
    assert again.config == model.config
    np.testing.assert_array_equal(again.probabilities(FEATURES), model.probabilities(FEATURES))


def test_the_same_training_writes_the_same_weights(model, tmp_path):
    first, second = model.save(tmp_path / "m1"), model.save(tmp_path / "m2")
    assert first.sha256 == second.sha256


def test_the_versions_that_computed_it_are_written_down(model, tmp_path):
    facts = json.loads((model.save(tmp_path / "m").folder / "model.json").read_text())
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["versions"]["semantics"] == "training-1"


@pytest.mark.parametrize("name", ["weights.npz", "model.json"])
def test_a_flipped_byte_is_refused(model, tmp_path, name):
    saved = model.save(tmp_path / "m")
    content = bytearray((saved.folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (saved.folder / name).write_bytes(content)
    with pytest.raises(ModelFileError, match="not those that were registered"):
        TrainedModel.load(saved.folder, saved.sha256)


def test_a_missing_file_is_refused(model, tmp_path):
    saved = model.save(tmp_path / "m")
    (saved.folder / "model.json").unlink()
    with pytest.raises(ModelFileError, match="missing"):
        TrainedModel.load(saved.folder, saved.sha256)


def test_pickled_objects_are_refused_even_with_the_right_checksum(tmp_path, monkeypatch):
    monkeypatch.setattr(
        np, "savez", lambda file, allow_pickle, **a: np.savez_compressed(file, **a)
    )
    saved = write_model(tmp_path / "m", {"network.x": np.array([{}], dtype=object)}, {})
    with pytest.raises(ModelFileError, match="does not hold a model"):
        read_model(saved.folder, saved.sha256)


def test_objects_are_never_written(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        write_model(tmp_path / "m", {"x": np.array([{}], dtype=object)}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"versions": {"semantics": "training-0"}},
        {"config": {"network": "no-such"}},
        {"config": {"network": "pooled-numpy", "options": [["hidden", 9]]}},
        {"item_shape": [3]},
        {"platt": {}},
    ],
)
def test_files_that_do_not_fit_together_are_refused(model, tmp_path, change):
    arrays, facts = read_model(*_where(model.save(tmp_path / "m")))
    saved = write_model(tmp_path / "other", arrays, {**facts, **change})
    with pytest.raises(ModelFileError, match="cannot be rebuilt"):
        TrainedModel.load(saved.folder, saved.sha256)


def _where(saved):
    return saved.folder, saved.sha256


def test_writing_again_replaces_the_older_model(tmp_path):
    old = write_model(tmp_path / "m", {"x": np.zeros(3)}, {"n": 1})
    new = write_model(tmp_path / "m", {"x": np.ones(3)}, {"n": 2})
    assert read_model(new.folder, new.sha256)[1] == {"n": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    with pytest.raises(ModelFileError):
        read_model(old.folder, old.sha256)


def test_a_failed_write_leaves_the_older_model(tmp_path, monkeypatch):
    old = write_model(tmp_path / "m", {"x": np.zeros(3)}, {"n": 1})

    def full(path, content):
        raise OSError("no space left on device")

    monkeypatch.setattr(weights_module, "write_durably", full)
    with pytest.raises(OSError, match="no space"):
        write_model(tmp_path / "m", {"x": np.ones(3)}, {"n": 2})
    assert read_model(old.folder, old.sha256)[1] == {"n": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("kill_at", [1, 2, 3])
def test_a_killed_writer_leaves_no_model_visible(tmp_path, kill_at):
    code = f"""
import os, pathlib, numpy as np
from ml.training.weights import write_model
calls = []
fsync = os.fsync
def killing(descriptor):
    calls.append(1)
    if len(calls) == {kill_at}:
        os.kill(os.getpid(), {int(signal.SIGKILL)})
    fsync(descriptor)
os.fsync = killing
write_model(pathlib.Path({str(tmp_path)!r}) / "m", {{"x": np.zeros(9)}}, {{}})
"""
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert child.returncode == -signal.SIGKILL
    assert all(name.startswith(".") for name in os.listdir(tmp_path))


def test_a_model_refuses_features_of_another_width(model):
    with pytest.raises(ValueError, match="wide"):
        model.probabilities(ArrayFeatures(np.zeros((2, 3))))
