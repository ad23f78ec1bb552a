"""Material that is too little, too even or broken: a clear error, or a stated fallback."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml import networks
from ml.errors import NetworkDivergedError, NothingToLearnError
from ml.evaluation.cross_validation import evaluate_model
from ml.features.track_features import ArrayFeatures, SelectedTracks
from ml.networks.base import FitData, Watch, plan_of
from ml.networks.inputs import SummaryInputs
from ml.networks.loop import Step, run_epochs
from ml.training.fit import train
from ml.training.recipes import recipe
from ml.types import LabelMatrix, TrainingConfig
from tests.ml import tiny_windows
from tests.ml.planted import planted_tracks, planted_windows

#: The study's choices, and ours, with a network that trains in milliseconds.
STUDY = replace(recipe("seed-2019").training, network="tiny-windows", epochs=3, options=())
OURS = replace(recipe("audiotag").training, network="pooled-numpy", epochs=3)


@pytest.fixture(autouse=True)
def _with_a_network_of_windows(monkeypatch):
    where = f"{tiny_windows.__name__}:NETWORK"
    monkeypatch.setitem(networks.REGISTRY, "tiny-windows", where)


def material(config, n_tracks=60):
    return (planted_windows if config is STUDY else planted_tracks)(n_tracks)


def judged(values):
    values = np.asarray(values, dtype=bool)
    return LabelMatrix(values, np.ones_like(values))


@pytest.mark.parametrize("config", [STUDY, OURS], ids=["study", "ours"])
def test_a_loss_that_is_not_a_number_ends_the_training(config):
    features, labels, groups = material(config)
    with pytest.raises(NetworkDivergedError, match="learning rate"):
        train(features, labels, groups, replace(config, learning_rate=1e30))


class _Bursts:
    """A trainable whose last step leaves weights that are not numbers."""

    def step(self, items, targets, weights):
        return Step(0.5, 0)

    def logits(self, items):
        return np.zeros((len(items), 1), np.float32)

    def weights(self):
        return {"kernel": np.array([np.nan], np.float32)}

    def set_weights(self, weights):
        raise AssertionError("nothing of it may be kept")


def test_weights_that_are_not_numbers_are_seen_without_validation_tracks():
    ones = np.ones((4, 1), np.float32)
    data = FitData(
        inputs=SummaryInputs(ones),
        targets=ones,
        weights=ones,
        mask=ones > 0,
        training=np.arange(4),
        validation=np.zeros(0, np.intp),
        output_bias=np.zeros(1, np.float32),
    )
    plan = plan_of(networks.load_network("pooled-numpy"), TrainingConfig(epochs=2))
    with pytest.raises(NetworkDivergedError, match="not finite"):
        run_epochs(_Bursts(), data, plan, Watch())


@pytest.mark.parametrize("config", [STUDY, OURS], ids=["study", "ours"])
def test_a_label_that_nobody_has_stays_at_its_prior(config):
    features, labels, groups = material(config)
    values = np.column_stack([np.zeros(60, bool), labels.labels])
    model = train(features, judged(values), groups, config)
    assert model.is_learnt.tolist() == [False] + [True] * labels.n_labels
    np.testing.assert_allclose(model.probabilities(features)[:, 0], 0.5 / 61, rtol=1e-5)
    assert np.isfinite([report.loss for report in model.history]).all()


@pytest.mark.parametrize("config", [STUDY, OURS], ids=["study", "ours"])
@pytest.mark.parametrize("value", [True, False])
def test_one_class_only_is_nothing_to_learn(config, value):
    features, labels, groups = material(config)
    values = np.full_like(labels.labels, value)
    with pytest.raises(NothingToLearnError, match="60 tracks"):
        train(features, judged(values), groups, config)


@pytest.mark.parametrize("config", [STUDY, OURS], ids=["study", "ours"])
def test_a_single_label_is_enough(config):
    features, labels, groups = material(config)
    model = train(features, judged(labels.labels[:, :1]), groups, config)
    assert np.isfinite(model.probabilities(features)).all()


def test_a_single_group_is_split_by_windows_all_the_same():
    features, labels, _ = material(STUDY)
    model = train(features, labels, np.zeros(60), STUDY)
    assert np.isfinite([report.validation_loss for report in model.history]).all()


def test_a_single_group_leaves_nothing_to_validate_by_and_says_so_in_the_curve():
    features, labels, _ = material(STUDY)
    model = train(features, labels, np.zeros(60), replace(STUDY, split="grouped"))
    last = model.history[-1]
    assert [report.stage for report in model.history] == ["all tracks"] * 3
    assert np.isnan([last.validation_loss, last.validation_binary_accuracy]).all()
    assert 0 < last.binary_accuracy < 1
    assert model.platt.intercept.tolist() == [0.0] * 3


def test_two_windows_are_enough_to_end():
    windows = [np.zeros((1, 3, 2)), np.ones((1, 3, 2))]
    model = train(ArrayFeatures(None, windows), judged([[0], [1]]), np.array([0, 1]), STUDY)
    assert np.isfinite(model.probabilities(ArrayFeatures(None, windows))).all()


def test_windows_of_tracks_that_nobody_judged_are_on_neither_side():
    features, labels, groups = material(STUDY)
    mask = np.zeros_like(labels.label_mask)
    mask[:8] = True
    model = train(features, LabelMatrix(labels.labels, mask), groups, STUDY)
    rows = tiny_windows.NETWORK.data.inputs.inputs.features
    assert set(rows.track_of[rows.validation]) <= set(range(8))
    assert np.isfinite(model.history[-1].validation_loss)


def test_where_no_track_to_learn_from_has_a_label_tracks_are_drawn_alike():
    """The only track with the label is held out: nothing is left to draw by."""
    features, _, _ = planted_windows(6)
    windows = [window[:1] for window in features.track_windows]
    values = np.zeros((6, 1), bool)
    values[0] = True
    for seed in range(12):
        train(
            ArrayFeatures(None, windows),
            judged(values),
            np.arange(6),
            replace(STUDY, seed=seed),
        )
        data = tiny_windows.NETWORK.data
        if not data.targets[data.training].any():
            break
    else:
        raise AssertionError("no seed held out the track")
    items = data.inputs.draw(data.training, np.random.default_rng(0))
    assert sorted(items[:, 0]) == sorted(data.training)


@pytest.mark.parametrize("config", [STUDY, OURS], ids=["study", "ours"])
def test_without_audit_tracks_the_figures_are_none(config):
    features, labels, groups = material(config)
    model = train(features, labels, groups, config)
    nobody = np.zeros(0, np.intp)
    metrics, constant = evaluate_model(
        model, SelectedTracks(features, nobody), labels.rows(nobody), groups[nobody]
    )
    assert metrics["n"] == constant["n"] == 0
    assert metrics["macro_ap"] is None
    assert metrics["bce_skill"] is None


@pytest.mark.tensorflow
def test_the_study_runs_as_its_recipe_says_with_its_own_network():
    features, labels, groups = planted_windows(40)
    study = recipe("seed-2019").training
    config = replace(study, epochs=3)
    reports = []
    model = train(features, labels, groups, config, on_epoch=reports.append)
    assert model.thresholds.tolist() == [0.5] * 3
    assert model.platt.slope.tolist() == [1.0] * 3
    assert [report.epoch for report in reports] == [1, 2, 3]
    for report in reports:
        assert 0 < report.binary_accuracy <= 1
        assert 0 < report.validation_binary_accuracy <= 1
    np.testing.assert_array_equal(model.scaler.centre, np.full(5, model.scaler.centre[0]))
