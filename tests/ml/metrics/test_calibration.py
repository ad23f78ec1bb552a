"""Platt scaling against an independent optimiser; cuts against an exhaustive search."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import f1_score

from ml.errors import ParameterError
from ml.metrics.calibration import (
    INTERCEPT_RIDGE,
    SLOPE_RIDGE,
    PlattScaling,
    expected_calibration_error,
    fit_platt,
    logit,
    sigmoid,
    tune_thresholds,
)
from ml.types import LabelMatrix


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def everything(labels):
    labels = np.asarray(labels, dtype=bool)
    return LabelMatrix(labels, np.ones_like(labels))


def shifted(rng, n, slope=2.0, shift=1.5, base=-2.0):
    """Logits whose true probability is sigmoid of the unshifted ones."""
    honest = base + 1.5 * rng.normal(size=(n, 1))
    labels = rng.random((n, 1)) < sigmoid(honest)
    return slope * honest + shift, everything(labels), honest


def test_sigmoid_and_logit_are_inverse_and_do_not_overflow():
    values = np.array([-800.0, -3.0, 0.0, 3.0, 800.0])
    assert sigmoid(values).tolist()[::4] == [0.0, 1.0]
    np.testing.assert_allclose(logit(sigmoid(values[1:4])), values[1:4], atol=1e-12)


def test_it_finds_the_minimum_an_independent_optimiser_finds(rng):
    logits, labels, _ = shifted(rng, 400)
    x, y = logits[:, 0], labels.labels[:, 0]

    def objective(p):
        z = p[0] * x + p[1]
        ridge = SLOPE_RIDGE * (p[0] - 1) ** 2 + INTERCEPT_RIDGE * p[1] ** 2
        return np.logaddexp(0, z).sum() - z[y].sum() + ridge / 2

    expected = minimize(objective, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8}).x
    fitted = fit_platt(logits, labels)
    assert [fitted.slope[0], fitted.intercept[0]] == pytest.approx(expected, abs=1e-4)


def test_it_recovers_a_known_distortion_and_lowers_the_calibration_error(rng):
    logits, labels, _ = shifted(rng, 5_000)
    fitted = fit_platt(logits, labels)
    assert fitted.slope[0] == pytest.approx(0.5, abs=0.05)
    assert fitted.intercept[0] == pytest.approx(-0.75, abs=0.1)
    before = expected_calibration_error(sigmoid(logits), labels)
    after = expected_calibration_error(fitted.apply(logits), labels)
    assert before > 0.08
    assert after < 0.015


def test_few_positives_move_the_intercept_only(rng):
    logits, labels, _ = shifted(rng, 80, slope=1.0, base=-4.0)
    assert 0 < labels.labels.sum() < 20
    fitted = fit_platt(logits, labels)
    assert fitted.slope[0] == 1.0
    assert -1.5 < fitted.intercept[0] < 0


def test_no_positive_shrinks_but_stays_finite_and_nothing_judged_is_the_identity(rng):
    logits = rng.normal(size=(200, 2))
    mask = np.array([True, False]) & np.ones((200, 2), bool)
    fitted = fit_platt(logits, LabelMatrix(np.zeros((200, 2), bool), mask))
    assert fitted.slope.tolist() == [1.0, 1.0]
    assert -8 < fitted.intercept[0] < -2
    assert fitted.intercept[1] == 0.0


def test_perfectly_separated_labels_do_not_diverge():
    logits = np.repeat([[-4.0], [4.0]], 50, axis=0)
    fitted = fit_platt(logits, everything(logits > 0))
    assert 1 < fitted.slope[0] < 3


def test_extreme_logits_stay_finite():
    logits = np.repeat([[-400.0], [400.0]], 50, axis=0)
    labels = everything(np.arange(100)[:, None] % 2)
    fitted = fit_platt(logits, labels)
    assert np.isfinite(fitted.apply(logits)).all()
    assert fitted.apply(logits)[-1, 0] == pytest.approx(0.5, abs=0.2)


def test_cells_that_were_not_judged_change_nothing(rng):
    logits, labels, _ = shifted(rng, 300)
    mask = rng.random(logits.shape) < 0.5
    masked = LabelMatrix(labels.labels & mask, mask)
    other = np.where(mask, logits, np.nan)
    first, second = fit_platt(logits, masked), fit_platt(other, masked)
    assert first.to_dict() == second.to_dict()


def test_it_travels_through_json_and_keeps_the_dtype(rng):
    logits, labels, _ = shifted(rng, 300)
    fitted = fit_platt(logits, labels)
    again = PlattScaling.from_dict(json.loads(json.dumps(fitted.to_dict())))
    single = logits.astype(np.float32)
    np.testing.assert_array_equal(again.apply(single), fitted.apply(single))
    assert again.apply(single).dtype == np.float32
    np.testing.assert_allclose(PlattScaling.identity(1).apply(logits), sigmoid(logits))


def test_bad_input_is_refused():
    with pytest.raises(ParameterError, match="must be"):
        fit_platt(np.zeros((2, 3)), everything(np.zeros((2, 2))))
    with pytest.raises(ParameterError, match="finite"):
        fit_platt(np.array([[np.nan]]), everything([[1]]))
    with pytest.raises(ParameterError, match="probabilities"):
        tune_thresholds(np.zeros((2, 3)), everything(np.zeros((2, 2))))


@pytest.mark.parametrize("digits", [1, 3])
def test_cuts_reach_the_best_f1_of_an_exhaustive_search(rng, digits):
    labels = rng.random((200, 4)) < [0.05, 0.1, 0.3, 0.6]
    scores = np.round(np.clip(0.3 * labels + 0.7 * rng.random((200, 4)), 0, 1), digits)
    cuts = tune_thresholds(scores, everything(labels))
    for index in range(4):
        truth = labels[:, index]
        best = max(f1_score(truth, scores[:, index] >= cut) for cut in scores[:, index])
        assert f1_score(truth, scores[:, index] >= cuts[index]) == pytest.approx(best)


def test_the_cut_of_a_constant_is_the_constant():
    labels = everything(np.arange(20)[:, None] % 2)
    assert tune_thresholds(np.full((20, 1), 0.37), labels).tolist() == [0.37]


def test_few_positives_get_the_prevalence_cut():
    scores = np.linspace(0, 0.5, 11)[:, None]
    labels = np.zeros((11, 1), bool)
    labels[[0, 10]] = True
    cut = tune_thresholds(scores, everything(labels))[0]
    assert (scores >= cut).sum() == 2
    assert cut == pytest.approx(0.425)


@pytest.mark.parametrize(("highest", "expected"), [(0.2, 0.6), (0.9, 0.95), (1.0, 1.0)])
def test_without_a_positive_nothing_judged_is_chosen(highest, expected):
    scores = np.array([[0.1], [highest]])
    cut = tune_thresholds(scores, everything(np.zeros((2, 1))))[0]
    assert cut == pytest.approx(expected)
    assert cut > highest


def test_an_unjudged_label_is_cut_at_one_half():
    nothing = LabelMatrix(np.zeros((3, 1), bool), np.zeros((3, 1), bool))
    assert tune_thresholds(np.full((3, 1), 0.9), nothing).tolist() == [0.5]
