from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.errors import CancelledError, NetworkDivergedError, ParameterError
from ml.evaluation.cross_validation import evaluate_model
from ml.features.track_features import ArrayFeatures, SelectedTracks
from ml.networks import load_network
from ml.networks.base import FitData, Watch, plan_of
from ml.networks.inputs import SummaryInputs
from ml.training.fit import train
from ml.training.trained_model import TrainedModel
from ml.training.weights import ModelFileError
from ml.types import LabelMatrix, TrainingConfig
from tests.ml.planted import planted_tracks, planted_windows

SEED_CNN = TrainingConfig(network="seed-cnn", epochs=8, learning_rate=3e-3)


def fit_data(n_tracks=64, n_labels=3):
    rng = np.random.default_rng(4)
    inputs = SummaryInputs(rng.normal(size=(n_tracks, 6)).astype(np.float32))
    targets = (inputs.values[:, :n_labels] > 0.5).astype(np.float32)
    mask = rng.random(targets.shape) < 0.8
    return FitData(
        inputs=inputs,
        targets=targets,
        weights=np.where(mask, 1 + targets, 0).astype(np.float32),
        mask=mask,
        training=np.arange(48),
        validation=np.arange(48, n_tracks),
        output_bias=np.array([-1, 0, 1], np.float32),
    )


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def test_naming_networks_and_training_the_twin_never_import_tensorflow():
    code = """
import sys, numpy as np
from ml.evaluation import cross_validation
from ml.training import fit, prediction
from ml.networks import load_network, names
[load_network(name) for name in names()]
assert not {"tensorflow", "keras"} & set(sys.modules), "imported"
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("frames", "parameters"), [(99, 4_924_382), (24, 1_287_134)], ids=["1s", "025s"]
)
def test_the_studys_network_has_the_studys_parameters(frames, parameters):
    network = load_network("seed-cnn")
    model = network.build(plan_of(network, SEED_CNN), (frames, 13), 30)
    assert model.count_params() == parameters


@pytest.mark.tensorflow
def test_the_studys_network_has_the_studys_layers():
    network = load_network("seed-cnn")
    model = network.build(plan_of(network, SEED_CNN), (99, 13), 30)
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers[1:]}
    assert shapes == {
        "channel": (99, 13, 1),
        "convolution1": (99, 13, 16),
        "convolution2": (99, 13, 32),
        "convolution3": (99, 13, 64),
        "convolution4": (99, 13, 128),
        "pool": (49, 6, 128),
        "dropout": (49, 6, 128),
        "flat": (37_632,),
        "dense1": (128,),
        "dense2": (64,),
        "output": (30,),
    }
    assert model.get_layer("dropout").rate == 0.5


@pytest.mark.tensorflow
def test_the_twin_gives_the_same_probabilities_from_the_same_weights():
    keras_network, twin = load_network("pooled"), load_network("pooled-numpy")
    plan = plan_of(twin, TrainingConfig(epochs=2))
    weights = twin.fit(fit_data(), plan, Watch()).predictor.weights()
    items = fit_data().inputs.values
    ours, theirs = (
        network.restore(plan, (6,), 3, weights).logits(items)
        for network in (twin, keras_network)
    )
    np.testing.assert_allclose(sigmoid(ours), sigmoid(theirs), atol=1e-6)


@pytest.mark.tensorflow
@pytest.mark.parametrize("batch_size", [48, 10], ids=["full batch", "mini-batches"])
def test_the_twin_learns_the_same(batch_size):
    config = TrainingConfig(epochs=25, batch_size=batch_size, options=(("patience", 99),))
    items = fit_data().inputs.values
    fits = [
        network.fit(fit_data(), plan_of(network, config), Watch())
        for network in (load_network("pooled"), load_network("pooled-numpy"))
    ]
    ours, theirs = (sigmoid(fitted.predictor.logits(items)) for fitted in fits)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    losses = [[report.loss for report in fitted.history] for fitted in fits]
    np.testing.assert_allclose(*losses, atol=1e-4)
    assert losses[0][-1] < 0.8 * losses[0][0]


@pytest.mark.tensorflow
def test_a_seed_gives_one_result_and_the_files_bring_it_back(tmp_path):
    features, labels, groups = planted_tracks(80)
    config = TrainingConfig(network="pooled", epochs=5, seed=3)
    first, again = (train(features, labels, groups, config) for _ in range(2))
    expected = first.probabilities(features)
    np.testing.assert_allclose(again.probabilities(features), expected, atol=1e-5)
    saved = first.save(tmp_path / "m")
    loaded = TrainedModel.load(saved.folder, saved.sha256)
    np.testing.assert_allclose(loaded.probabilities(features), expected, atol=1e-6)


@pytest.mark.tensorflow
def test_a_window_network_learns_calibrates_and_comes_back_from_files(tmp_path):
    features, labels, groups = planted_windows(150)
    seen, unseen = np.arange(110), np.arange(110, 150)
    model = train(SelectedTracks(features, seen), labels.rows(seen), groups[seen], SEED_CNN)
    held = SelectedTracks(features, unseen)
    figures, constant = evaluate_model(model, held, labels.rows(unseen))
    assert figures["macro_ap"] > 0.95
    assert figures["macro_ap"] > 2 * constant["macro_ap"]
    assert figures["bce_skill"] > 0.4
    saved = model.save(tmp_path / "m")
    loaded = TrainedModel.load(saved.folder, saved.sha256)
    np.testing.assert_allclose(loaded.logits(held), model.logits(held), atol=1e-5)
    (saved.folder / "weights.npz").write_bytes(b"other")
    with pytest.raises(ModelFileError):
        TrainedModel.load(saved.folder, saved.sha256)


@pytest.mark.tensorflow
def test_a_track_without_a_window_gets_the_prior():
    features, labels, groups = planted_windows(60)
    windows = list(features.track_windows)
    windows[7] = windows[7][:0]
    config = replace(SEED_CNN, epochs=1)
    model = train(ArrayFeatures(None, windows), labels, groups, config)
    probabilities = model.probabilities(ArrayFeatures(None, windows))
    np.testing.assert_allclose(probabilities[7], model.prior, rtol=1e-6)
    judged = np.delete(labels.labels, 7, axis=0)
    np.testing.assert_allclose(model.prior, judged.mean(axis=0))


@pytest.mark.tensorflow
def test_a_window_network_ends_on_request_in_the_middle_of_an_epoch():
    features, labels, groups = planted_windows(60)
    config = replace(SEED_CNN, batch_size=2)
    asked = iter([False] * 3)
    reports = []
    with pytest.raises(CancelledError):
        train(
            features,
            labels,
            groups,
            config,
            on_epoch=reports.append,
            should_stop=lambda: next(asked, True),
        )
    assert reports == []


@pytest.mark.tensorflow
def test_divergence_and_bad_windows_end_in_clear_errors():
    features, labels, groups = planted_windows(60)
    with pytest.raises(NetworkDivergedError):
        train(features, labels, groups, replace(SEED_CNN, learning_rate=1e25))
    windows = list(features.track_windows)
    windows[3] = np.full_like(windows[3], np.nan)
    with pytest.raises(ParameterError, match="not finite"):
        train(ArrayFeatures(None, windows), labels, groups, SEED_CNN)


@pytest.mark.tensorflow
def test_masked_labels_change_nothing_in_a_window_network():
    features, labels, groups = planted_windows(40)
    mask = np.random.default_rng(0).random(labels.labels.shape) < 0.6
    config = replace(SEED_CNN, epochs=2)
    first, second = (
        train(features, LabelMatrix(values, mask), groups, config).logits(features)
        for values in (labels.labels, labels.labels ^ ~mask)
    )
    np.testing.assert_allclose(first, second, atol=1e-4)
