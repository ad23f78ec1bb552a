from __future__ import annotations

import math

import numpy as np
import pytest

from ml.errors import CancelledError, NetworkDivergedError, ParameterError
from ml.networks import load_network
from ml.networks.base import FitData, Watch, plan_of
from ml.networks.inputs import SummaryInputs
from ml.networks.loop import Step, run_epochs, score_tracks, weighted_bce
from ml.networks.pooled_numpy import NumpyPooled, initial_weights, penalised
from ml.types import TrainingConfig

NETWORK = load_network("pooled-numpy")


def plan(**config):
    return plan_of(NETWORK, TrainingConfig(network="pooled-numpy", **config))


def fit_data(n_tracks=12, n_labels=2, n_validation=4, seed=0):
    rng = np.random.default_rng(seed)
    inputs = SummaryInputs(rng.normal(size=(n_tracks, 5)).astype(np.float32))
    targets = (inputs.values[:, :n_labels] > 0).astype(np.float32)
    cut = n_tracks - n_validation
    return FitData(
        inputs=inputs,
        targets=targets,
        weights=np.ones_like(targets),
        mask=np.ones(targets.shape, bool),
        training=np.arange(cut),
        validation=np.arange(cut, n_tracks),
        output_bias=np.zeros(n_labels, np.float32),
    )


class Scripted:
    """A trainable whose output, the same for every item, follows a script, one an epoch."""

    def __init__(self, logits):
        self.script = list(logits)
        self.epoch = 0

    def logits(self, items):
        return np.full((len(items), 2), self.script[self.epoch - 1], np.float32)

    def step(self, items, targets, weights):
        self.epoch += 1
        return Step(1.0, targets.size // 2)

    def weights(self):
        return {"epoch": np.array([self.epoch], np.float32)}

    def set_weights(self, weights):
        self.epoch = int(weights["epoch"][0])


def test_the_gradient_is_that_of_the_loss():
    rng = np.random.default_rng(1)
    items = rng.normal(size=(6, 5)).astype(np.float32)
    targets = (rng.random((6, 3)) < 0.5).astype(np.float32)
    weights = rng.random((6, 3)).astype(np.float32)
    first = initial_weights(5, 4, np.zeros(3, np.float32), seed=3)
    wide = {name: value.astype(np.float64) for name, value in first.items()}
    twin = NumpyPooled(wide, 0.0, 0.03)
    _, gradients = twin._gradients(items, targets, weights)
    for name, value in wide.items():
        for place in np.ndindex(*value.shape):
            losses = []
            for shift in (1e-5, -1e-5):
                moved = {key: array.copy() for key, array in wide.items()}
                moved[name][place] += shift
                step = NumpyPooled(moved, 0.0, 0.03).step(items, targets, weights)
                losses.append(step.loss)
            slope = (losses[0] - losses[1]) / 2e-5
            assert gradients[name][place] == pytest.approx(slope, abs=2e-5)


def test_the_first_step_of_adam_moves_every_weight_by_the_learning_rate():
    first = initial_weights(3, 2, np.zeros(1, np.float32), seed=0)
    twin = NumpyPooled(first, 0.01, 0.0)
    items = np.ones((4, 3), np.float32)
    twin.step(items, np.ones((4, 1), np.float32), np.full((4, 1), 0.25, np.float32))
    assert twin.weights()["output.bias"][0] == pytest.approx(0.01, rel=1e-4)


def test_the_first_outputs_are_the_log_odds():
    bias = np.array([-2.0, 1.0], np.float32)
    twin = NumpyPooled(initial_weights(3, 4, bias, seed=0), 0.01, 0.0)
    np.testing.assert_allclose(twin.logits(np.zeros((1, 3), np.float32)), [bias])


def test_l2_shrinks_as_tracks_grow():
    assert penalised(plan(), 40).options["l2"] == 0.01
    assert penalised(plan(), 1_000).options["l2"] == pytest.approx(0.001)


def test_weighted_bce_of_known_values():
    logits = np.array([[0.0, 2.0]], np.float32)
    targets = np.array([[1.0, 0.0]], np.float32)
    weights = np.array([[3.0, 1.0]], np.float32)
    expected = (3 * math.log(2) + math.log(1 + math.exp(2))) / 2
    assert weighted_bce(logits, targets, weights, 2) == pytest.approx(expected)
    assert math.isnan(weighted_bce(logits, targets, weights, 0))


def test_a_tracks_score_is_the_mean_over_its_windows():
    class Windows:
        item_shape = (1,)

        def fixed(self, tracks):
            return np.array([[5, 0], [5, 1], [2, 0]])

        def gather(self, items):
            return (10.0 * items[:, :1] + items[:, 1:]).astype(np.float32)

    class Echo:
        def logits(self, items):
            return items

    scores = score_tracks(Echo(), Windows(), np.array([5, 3, 2]), 1)
    np.testing.assert_array_equal(scores, [[50.5], [np.nan], [20.0]])


def test_training_stops_after_patience_and_goes_back_to_the_best_epoch():
    data = fit_data(n_tracks=6, n_validation=2)
    ones = FitData(**{**data.__dict__, "targets": np.ones_like(data.targets)})
    trainable = Scripted([0.0, 1.0, 3.0, 2.0, 2.5, 2.9, 9.0])
    fitted = run_epochs(trainable, ones, plan(epochs=7, options=(("patience", 3),)), Watch())
    assert fitted.best_epoch == 3
    assert len(fitted.history) == 6
    assert trainable.epoch == 3
    assert fitted.history[0].validation_loss == pytest.approx(math.log(2))


def test_without_validation_all_epochs_run_and_the_last_stays():
    data = fit_data(n_tracks=6, n_validation=0)
    fitted = run_epochs(Scripted([0.0] * 5), data, plan(epochs=5), Watch())
    assert fitted.best_epoch == 5
    assert math.isnan(fitted.history[-1].validation_loss)


def test_reports_carry_place_stage_and_curves():
    reports = []
    watch = Watch(on_epoch=reports.append, first_epoch=20, epochs=60, stage="fold 2 of 5")
    NETWORK.fit(fit_data(), plan(epochs=3), watch)
    assert [(r.epoch, r.epochs, r.stage) for r in reports] == [
        (21, 60, "fold 2 of 5"),
        (22, 60, "fold 2 of 5"),
        (23, 60, "fold 2 of 5"),
    ]
    assert reports[2].loss < reports[0].loss
    assert 0 <= reports[2].validation_macro_ap <= 1


def test_every_epoch_is_kept_where_asked():
    fitted = NETWORK.fit(fit_data(), plan(epochs=3), Watch(keeps_every_epoch=True))
    assert len(fitted.by_epoch) == 3
    kernels = [weights["hidden.kernel"] for weights in fitted.by_epoch]
    assert not np.array_equal(kernels[0], kernels[2])


def test_asking_to_stop_ends_the_training():
    asked = iter([False, False, True])
    watch = Watch(should_stop=lambda: next(asked))
    with pytest.raises(CancelledError):
        NETWORK.fit(fit_data(), plan(epochs=50), watch)


def test_a_learning_rate_beyond_reason_is_reported_as_diverged():
    with pytest.raises(NetworkDivergedError):
        NETWORK.fit(fit_data(), plan(epochs=5, learning_rate=1e30), Watch())


def test_restoring_gives_the_same_outputs_and_refuses_other_shapes():
    fitted = NETWORK.fit(fit_data(), plan(epochs=2), Watch())
    items = fit_data().inputs.values
    weights = fitted.predictor.weights()
    again = NETWORK.restore(plan(), (5,), 2, weights)
    np.testing.assert_array_equal(again.logits(items), fitted.predictor.logits(items))
    with pytest.raises(ParameterError, match=r"output\.kernel"):
        NETWORK.restore(plan(), (5,), 3, weights)
