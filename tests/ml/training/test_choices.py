"""The choices of a TrainingConfig that the study made otherwise than we do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml import networks
from ml.errors import ParameterError
from ml.features.track_features import ArrayFeatures
from ml.networks.base import EpochReport, plan_of
from ml.networks.inputs import DrawnByLabel, SummaryInputs, WindowInputs, fit_scaler
from ml.networks.loop import score_tracks
from ml.training.fit import train
from ml.training.losses import log_odds
from ml.training.trained_model import TrainedModel
from ml.training.window_split import split_windows
from ml.types import LabelMatrix, TrainingConfig
from tests.ml import tiny_windows
from tests.ml.planted import planted_tracks, planted_windows

CONFIG = TrainingConfig(network="pooled-numpy", epochs=6)
WINDOWS = TrainingConfig(network="tiny-windows", epochs=6)


@pytest.fixture(autouse=True)
def _with_a_network_of_windows(monkeypatch):
    where = f"{tiny_windows.__name__}:NETWORK"
    monkeypatch.setitem(networks.REGISTRY, "tiny-windows", where)


def numbered(counts):
    """Window w of track t is filled with 10 t + w."""
    return ArrayFeatures(
        None,
        [
            np.array([np.full((3, 2), 10 * track + window) for window in range(count)], float)
            if count
            else np.zeros((0, 3, 2))
            for track, count in enumerate(counts)
        ],
    )


# --- split ----------------------------------------------------------------------------------


def test_a_split_of_windows_puts_every_window_on_one_side_and_tracks_on_both():
    counts = [4, 3, 0, 5, 2]
    rows = split_windows(numbered(counts), np.arange(5), 0.3, seed=0)
    given = rows.window_counts()
    every = np.repeat(np.arange(rows.n_tracks), given)
    within = np.arange(len(every)) - np.repeat(np.cumsum(given) - given, given)
    values = rows.windows(every, within)[:, 0, 0]
    is_training = every < 5
    both = sorted(values.tolist())
    assert both == sorted(10 * t + w for t, n in enumerate(counts) for w in range(n))
    assert (~is_training).sum() == round(0.3 * 14)
    assert (given[5:] == 1).all(), "a validation row is one window"
    np.testing.assert_array_equal(rows.track_of[every], values // 10)
    assert rows.training.tolist() == [t for t in range(5) if given[t]]
    assert rows.validation.tolist() == list(range(5, 9))
    assert set(rows.track_of[rows.validation]) & set(rows.training)


def test_a_split_of_windows_takes_those_of_the_given_tracks_only_and_is_by_its_seed():
    features = numbered([6] * 8)
    first, again, other = (
        split_windows(features, np.array([1, 4]), 0.25, seed).held.tolist()
        for seed in (1, 1, 2)
    )
    assert first == again != other
    rows = split_windows(features, np.array([1, 4]), 0.25, 1)
    assert set(rows.track_of[rows.validation]) | set(rows.training) == {1, 4}
    assert rows.window_counts().sum() == 12


@pytest.mark.parametrize(("count", "held_out"), [(0, 0), (1, 0), (2, 1)])
def test_of_a_single_window_nothing_is_held_out(count, held_out):
    rows = split_windows(numbered([count]), np.arange(1), 0.5, seed=0)
    assert len(rows.validation) == held_out
    assert len(rows.training) == min(1, count)


def trained_by(split, **more):
    features, labels, groups = planted_windows(60)
    model = train(features, labels, groups, replace(WINDOWS, split=split, **more))
    return model, tiny_windows.NETWORK.data, groups


def test_each_split_holds_out_what_its_name_says():
    _, data, groups = trained_by("grouped")
    assert not set(groups[data.training]) & set(groups[data.validation])
    _, data, groups = trained_by("tracks")
    assert not set(data.training) & set(data.validation)
    assert set(groups[data.training]) & set(groups[data.validation])
    _, data, _ = trained_by("windows")
    rows = data.inputs.features
    assert len(data.targets) == rows.n_tracks > 60
    assert set(rows.track_of[data.training]) & set(rows.track_of[data.validation])
    np.testing.assert_array_equal(data.targets, data.targets[:60][rows.track_of])


def test_windows_of_known_tracks_are_easier_than_those_of_unknown_ones():
    """Labels by chance: only memory of the tracks themselves can tell them."""
    rng = np.random.default_rng(0)
    own = rng.normal(size=(40, 1, 1, 30))
    windows = list(own + 0.1 * rng.normal(size=(40, 8, 3, 30)))
    values = rng.random((40, 3)) < 0.4
    labels = LabelMatrix(values, np.ones_like(values))
    seen = {}
    for split in ("windows", "tracks"):
        config = replace(WINDOWS, split=split, epochs=40)
        model = train(ArrayFeatures(None, windows), labels, np.arange(40), config)
        seen[split] = max(report.validation_macro_ap for report in model.history)
    assert seen["windows"] > 0.95
    assert seen["tracks"] < 0.85


def test_a_cheap_network_folds_single_tracks_where_it_is_asked_to():
    features, labels, _ = planted_tracks(40)
    one_group = np.zeros(40)
    model = train(features, labels, one_group, replace(CONFIG, split="tracks"))
    assert {report.stage for report in model.history} >= {"fold 1 of 5", "all tracks"}


def test_a_network_of_summaries_has_no_windows_to_split():
    features, labels, groups = planted_tracks(40)
    with pytest.raises(ParameterError, match=r"'pooled-numpy' reads one summary"):
        train(features, labels, groups, replace(CONFIG, split="windows"))


# --- sampling -------------------------------------------------------------------------------


def test_tracks_are_drawn_as_often_as_they_have_labels():
    targets = np.array([[1, 1], [1, 0], [0, 1], [0, 0], [1, 1]], np.float32)
    counts = np.array([1_000, 3_000, 2_000, 500, 0])
    drawn = DrawnByLabel(SummaryInputs(np.zeros((5, 1), np.float32)), counts, 0, targets)
    items = drawn.draw(np.arange(5), np.random.default_rng(0))
    assert len(items) == 6_500, "as many draws as there are windows"
    shares = np.bincount(items[:, 0], minlength=5) / len(items)
    # Two labels with two tracks each: .5 x (.5 + .5), .5 x .5, .5 x .5; never without a label
    # or without a window.
    np.testing.assert_allclose(shares, [0.5, 0.25, 0.25, 0, 0], atol=0.02)
    assert (items[:, 1] < counts[items[:, 0]]).all()
    windows_of_1 = items[items[:, 0] == 1, 1]
    assert windows_of_1.mean() == pytest.approx(1_500, abs=70)


def test_a_limit_on_windows_shortens_the_epoch_and_not_the_choice():
    targets = np.ones((2, 1), np.float32)
    drawn = DrawnByLabel(
        SummaryInputs(np.zeros((2, 1), np.float32)), np.array([40, 2]), 4, targets
    )
    items = [drawn.draw(np.arange(2), np.random.default_rng(seed)) for seed in range(40)]
    assert {len(epoch) for epoch in items} == {6}
    assert np.concatenate(items)[:, 1].max() > 30


def test_only_the_tracks_asked_for_are_drawn_and_without_labels_all_alike():
    targets = np.ones((4, 2), np.float32)
    inputs = SummaryInputs(np.zeros((4, 1), np.float32))
    drawn = DrawnByLabel(inputs, np.full(4, 50), 0, targets)
    items = drawn.draw(np.array([3, 1]), np.random.default_rng(0))
    assert set(items[:, 0]) == {1, 3}
    nothing = DrawnByLabel(inputs, np.full(4, 50), 0, np.zeros((4, 2), np.float32))
    assert sorted(nothing.draw(np.arange(4), np.random.default_rng(0))[:, 0]) == [0, 1, 2, 3]


def test_a_config_that_samples_by_label_draws_by_label():
    features, labels, groups = planted_windows(60)
    few = replace(WINDOWS, sampling="label-distribution", options=(("train_windows", 2),))
    train(features, labels, groups, few)
    data = tiny_windows.NETWORK.data
    assert isinstance(data.inputs, DrawnByLabel)
    counts = features.window_counts()
    assert len(data.inputs.draw(data.training, np.random.default_rng(0))) == (
        np.minimum(counts, 2)[data.training].sum()
    )
    drawn = data.inputs.draw(data.training, np.random.default_rng(0))[:, 0]
    assert labels.labels[drawn].any(axis=1).all()


def test_a_network_of_summaries_samples_tracks_by_label():
    features, labels, groups = planted_tracks(60)
    by_label = train(features, labels, groups, replace(CONFIG, sampling="label-distribution"))
    uniform = train(features, labels, groups, CONFIG)
    assert by_label.history[0].loss != uniform.history[0].loss
    assert np.isfinite(by_label.probabilities(features)).all()


@pytest.mark.parametrize("network", ["gmm", "knn"])
@pytest.mark.parametrize("members", [1, 2])
def test_a_network_of_one_pass_draws_nothing_by_label(network, members):
    features, labels, groups = planted_tracks(60)
    config = TrainingConfig(network, sampling="label-distribution", members=members)
    seen = []
    with pytest.raises(ParameterError, match=r"reads every track once .* take 'uniform'"):
        train(features, labels, groups, config, on_epoch=seen.append)
    assert not seen


def test_sampling_leaves_the_split_of_windows_alone():
    _, data, _ = trained_by("windows", sampling="label-distribution")
    drawn = data.inputs.draw(data.training, np.random.default_rng(0))
    counts = data.inputs.counts
    assert len(drawn) == np.minimum(counts, 4)[data.training].sum()
    assert (drawn[:, 1] < counts[drawn[:, 0]]).all()
    assert drawn[:, 0].max() < 60


# --- outputs --------------------------------------------------------------------------------


def test_without_calibration_the_outputs_are_the_probabilities():
    features, labels, groups = planted_tracks(120, noise=1.0)
    plain = train(features, labels, groups, replace(CONFIG, calibration="none"))
    logits = plain.logits(features)
    np.testing.assert_allclose(
        plain.probabilities(features), 1 / (1 + np.exp(-logits)), rtol=1e-5
    )
    fitted = train(features, labels, groups, CONFIG)
    np.testing.assert_array_equal(fitted.logits(features), logits)
    assert not np.allclose(fitted.probabilities(features), plain.probabilities(features))
    assert len(set(plain.thresholds)) == 4, "thresholds are tuned on what came out"


def test_half_is_one_half_for_every_label_whatever_was_learnt():
    features, labels, groups = planted_tracks(120, noise=1.0)
    values = np.column_stack([labels.labels, np.zeros(120, bool)])
    matrix = LabelMatrix(values, np.ones_like(values))
    model = train(features, matrix, groups, replace(CONFIG, thresholds="half"))
    assert model.thresholds.tolist() == [0.5] * 5
    alone = train(features, matrix, np.zeros(120), replace(CONFIG, thresholds="half"))
    assert alone.thresholds.tolist() == [0.5] * 5


@pytest.mark.parametrize("bias", ["prior", "zero"])
def test_the_output_bias_starts_where_it_is_told(bias):
    features, labels, groups = planted_windows(60)
    train(features, labels, groups, replace(WINDOWS, bias=bias))
    data = tiny_windows.NETWORK.data
    prior = labels.labels[data.training].mean(axis=0)
    expected = log_odds(prior) if bias == "prior" else np.zeros(3)
    np.testing.assert_allclose(data.output_bias, expected, rtol=1e-6)


def test_the_mean_over_windows_is_of_logits_or_of_probabilities():
    inputs = WindowInputs(
        numbered([2, 1]),
        fit_scaler(numbered([2, 1]), np.arange(2), "windows", plan_with("none")),
        np.array([2, 1]),
        train_windows=0,
        predict_windows=0,
    )

    class Known:
        """Logits 0 and 3 for the windows of the first track, 2 for that of the second."""

        def logits(self, items):
            return np.where(items[:, 0, :1] >= 10, 2.0, 3 * items[:, 0, :1]).astype(np.float32)

    of_logits = score_tracks(Known(), inputs, np.arange(2), 1)
    np.testing.assert_allclose(of_logits[:, 0], [1.5, 2.0])
    of_probabilities = score_tracks(
        Known(), inputs, np.arange(2), 1, pooling="mean-probability"
    )
    mean = (0.5 + 1 / (1 + np.exp(-3))) / 2
    np.testing.assert_allclose(
        of_probabilities[:, 0], [np.log(mean / (1 - mean)), 2], rtol=1e-6
    )


def plan_with(scaling):
    return plan_of(tiny_windows.NETWORK, replace(WINDOWS, options=(("scaling", scaling),)))


def test_an_unknown_pooling_is_refused():
    features, labels, groups = planted_windows(20)
    with pytest.raises(ParameterError, match=r"pooling is 'max'; known: mean-logit"):
        train(features, labels, groups, replace(WINDOWS, options=(("pooling", "max"),)))


def test_a_model_pools_as_it_was_trained_and_after_it_was_loaded(tmp_path):
    features, labels, groups = planted_windows(60)
    logit_model, probability_model = (
        train(
            features,
            labels,
            groups,
            replace(WINDOWS, calibration="none", options=(("pooling", pooling),)),
        )
        for pooling in ("mean-logit", "mean-probability")
    )
    saved = probability_model.save(tmp_path / "m")
    again = TrainedModel.load(saved.folder, saved.sha256)
    expected = probability_model.probabilities(features)
    np.testing.assert_array_equal(again.probabilities(features), expected)
    assert not np.allclose(logit_model.probabilities(features), expected, atol=1e-3)


# --- the study's curve ----------------------------------------------------------------------


def test_every_epoch_reports_loss_and_binary_accuracy_of_both_sides():
    features, labels, groups = planted_windows(120)
    config = replace(WINDOWS, epochs=25, calibration="none", loss="bce")
    model = train(features, labels, groups, config)
    first, last = model.history[0], model.history[-1]
    for name in ("binary_accuracy", "validation_binary_accuracy"):
        assert 0 < getattr(first, name) < getattr(last, name) <= 1
    assert last.loss < first.loss
    held = tiny_windows.NETWORK.data.validation
    best = min(model.history, key=lambda report: report.validation_loss)
    right = (model.probabilities(features)[held] > 0.5) == labels.labels[held]
    assert best.validation_binary_accuracy == pytest.approx(right.mean(), abs=1e-6)


def test_accuracy_counts_judged_elements_only():
    features, labels, groups = planted_windows(60)
    mask = np.random.default_rng(0).random(labels.labels.shape) < 0.5
    histories = [
        train(features, LabelMatrix(values, mask), groups, WINDOWS).history
        for values in (labels.labels, labels.labels ^ ~mask)
    ]
    for one, other in zip(*histories, strict=True):
        assert one.binary_accuracy == other.binary_accuracy
        assert one.validation_binary_accuracy == other.validation_binary_accuracy


def test_validation_is_not_weighted_by_class_as_in_keras():
    features, labels, groups = planted_windows(60)
    config = replace(WINDOWS, loss="keras-class-weight", calibration="none", thresholds="half")
    model = train(features, labels, groups, config)
    data = tiny_windows.NETWORK.data
    assert (data.weights[data.validation] == 1).all()
    assert len(np.unique(data.weights[data.training])) > 1
    held = data.validation
    chance = np.clip(model.probabilities(features)[held], 1e-7, 1 - 1e-7)
    plain = -np.log(np.where(labels.labels[held], chance, 1 - chance)).mean()
    best = min(report.validation_loss for report in model.history)
    assert best == pytest.approx(plain, rel=1e-4)


def test_reports_of_older_models_have_no_accuracy():
    report = EpochReport(
        epoch=1,
        epochs=2,
        loss=0.5,
        validation_loss=0.4,
        validation_macro_ap=0.3,
        seconds=1.0,
    )
    assert np.isnan(report.binary_accuracy)
    assert np.isnan(report.validation_binary_accuracy)
