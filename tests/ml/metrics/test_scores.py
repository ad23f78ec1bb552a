"""Metrics against scikit-learn, against hand-made cases, and where nothing can be said."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    label_ranking_average_precision_score,
    log_loss,
)

from ml.errors import ParameterError
from ml.metrics.calibration import expected_calibration_error, reliability_diagram
from ml.metrics.intervals import resampling_weights
from ml.metrics.judged_groups import can_be_resampled
from ml.metrics.paired import paired_bootstrap
from ml.metrics.ranking import average_precision
from ml.metrics.scores import baseline, evaluate
from ml.types import LabelMatrix

SUMMARY = ("macro_ap", "lwlrap", "bce", "bce_skill", "macro_f1", "micro_f1", "binary_accuracy")


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def draw(rng, n=300, n_labels=6, judged=1.0, digits=2):
    """Ties on purpose: probabilities are rounded."""
    labels = rng.random((n, n_labels)) < np.linspace(0.05, 0.5, n_labels)
    scores = np.clip(labels * 0.25 + rng.random((n, n_labels)) * 0.7, 0, 1)
    mask = rng.random((n, n_labels)) < judged
    return np.round(scores, digits), LabelMatrix(labels & mask, mask)


def everything(labels):
    labels = np.asarray(labels, dtype=bool)
    return LabelMatrix(labels, np.ones_like(labels))


@pytest.mark.parametrize("digits", [1, 2, 8])
def test_average_precision_equals_sklearn_with_and_without_ties(rng, digits):
    scores, labels = draw(rng, digits=digits)
    for index in range(labels.n_labels):
        expected = average_precision_score(labels.labels[:, index], scores[:, index])
        ours = average_precision(scores[:, index], labels.labels[:, index])
        assert ours == pytest.approx(expected, abs=1e-12)


def test_average_precision_of_a_constant_is_the_prevalence():
    positives = np.array([True, False, False, False, True])
    assert average_precision(np.full(5, 0.3), positives) == pytest.approx(0.4)


@pytest.mark.parametrize("positives", [[True, True], [False, False]])
def test_average_precision_with_one_class_only_is_none(positives):
    assert average_precision(np.array([0.1, 0.9]), np.array(positives)) is None


def test_lwlrap_equals_sklearn_weighted_by_the_positives_of_a_track(rng):
    scores, labels = draw(rng, digits=1)
    expected = label_ranking_average_precision_score(
        labels.labels, scores, sample_weight=labels.labels.sum(axis=1)
    )
    figures = evaluate(scores, labels, np.full(6, 0.5), prior=np.full(6, 0.2), n_bootstrap=0)
    assert figures["lwlrap"] == pytest.approx(expected, abs=1e-12)


def test_lwlrap_ranks_among_judged_labels_only():
    scores = np.array([[0.9, 0.8, 0.1], [0.2, 0.6, 0.4]])
    labels = np.array([[0, 1, 0], [1, 0, 1]], dtype=bool)
    mask = np.array([[0, 1, 1], [1, 1, 1]], dtype=bool)
    figures = evaluate(
        scores, LabelMatrix(labels, mask), np.full(3, 0.5), prior=np.full(3, 0.5), n_bootstrap=0
    )
    # Label 0 has one judged row only and is not scored: track 1 keeps label 1 at rank 1 of 2,
    # track 2 label 2 at rank 2 of 2 with one hit: (1 + 1/2) / 2.
    assert figures["labels_scored"] == 2
    assert figures["lwlrap"] == pytest.approx(0.75)


def test_bce_and_its_skill_equal_sklearn_log_loss(rng):
    scores, labels = draw(rng)
    scores = np.clip(scores, 0.01, 0.99)
    prior = labels.labels.mean(axis=0)
    figures = evaluate(scores, labels, np.full(6, 0.5), prior=prior, n_bootstrap=0)
    flat = labels.labels.ravel()
    loss = log_loss(flat, scores.ravel())
    constant = log_loss(flat, np.tile(prior, (300, 1)).ravel())
    assert figures["bce"] == pytest.approx(loss, abs=1e-9)
    assert figures["bce_skill"] == pytest.approx(1 - loss / constant, abs=1e-9)


def test_f1_equals_sklearn_at_the_thresholds_given(rng):
    scores, labels = draw(rng)
    thresholds = np.linspace(0.3, 0.6, 6)
    figures = evaluate(scores, labels, thresholds, prior=np.full(6, 0.2), n_bootstrap=0)
    chosen = scores >= thresholds
    for average in ("macro", "micro"):
        expected = f1_score(labels.labels, chosen, average=average)
        assert figures[f"{average}_f1"] == pytest.approx(expected)


def test_binary_accuracy_is_at_one_half_over_judged_cells():
    scores = np.array([[0.6, 0.4], [0.4, 0.4], [0.1, 0.9]])
    labels = LabelMatrix(
        np.array([[1, 0], [1, 1], [0, 0]], bool), np.array([[1, 1], [1, 1], [1, 0]], bool)
    )
    figures = evaluate(scores, labels, np.full(2, 0.2), prior=np.full(2, 0.5), n_bootstrap=0)
    assert figures["binary_accuracy"] == pytest.approx(3 / 5)


def test_cells_that_were_not_judged_change_nothing(rng):
    scores, labels = draw(rng, judged=0.6)
    other = np.where(labels.label_mask, scores, rng.random(scores.shape))
    arguments = {"prior": np.full(6, 0.2), "n_bootstrap": 50}
    first = evaluate(scores, labels, np.full(6, 0.5), **arguments)
    assert evaluate(other, labels, np.full(6, 0.5), **arguments) == first
    assert first["n"] == int(labels.label_mask.any(axis=1).sum())


def test_what_cannot_be_computed_is_none_never_zero():
    labels = everything(np.zeros((4, 2)))
    figures = evaluate(np.full((4, 2), 0.3), labels, np.full(2, 0.5), prior=np.full(2, 0.5))
    assert figures["n"] == 4
    assert figures["labels_scored"] == 0
    assert {figures[name] for name in SUMMARY} == {None}
    assert figures["interval"] == {"macro_ap": None}
    assert [row["f1"] for row in figures["labels"]] == [None, None]
    assert figures["labels"][0]["negatives"] == 4


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (5, 0)])
def test_empty_input_gives_none_everywhere(shape):
    labels = LabelMatrix(np.zeros(shape, bool), np.zeros(shape, bool))
    cuts = np.full(shape[1], 0.5)
    figures = evaluate(np.zeros(shape), labels, cuts, prior=cuts)
    assert figures["n"] == 0
    assert {figures[name] for name in SUMMARY} == {None}
    assert expected_calibration_error(np.zeros(shape), labels) is None


def test_precision_without_a_prediction_is_none_and_f1_is_zero():
    labels = everything([[1], [0]])
    figures = evaluate(np.array([[0.2], [0.1]]), labels, np.array([0.9]), prior=np.array([0.5]))
    row = figures["labels"][0]
    assert row["precision"] is None
    assert (row["recall"], row["f1"], row["ap"], row["ap_ratio"]) == (0.0, 0.0, 1.0, 2.0)


def test_figures_are_json_able(rng):
    scores, labels = draw(rng)
    figures = evaluate(
        scores.astype(np.float32), labels, np.full(6, 0.5), prior=np.full(6, 0.2)
    )
    assert json.loads(json.dumps(figures)) == figures


@pytest.mark.parametrize("bad", [math.nan, -0.1, 1.1])
def test_probabilities_outside_the_unit_interval_are_refused(bad):
    with pytest.raises(ParameterError, match="finite"):
        evaluate(np.array([[bad]]), everything([[1]]), np.ones(1), prior=np.ones(1))


def test_shapes_that_differ_are_refused():
    with pytest.raises(ParameterError, match="shape"):
        evaluate(np.ones((2, 2)), everything([[1]]), np.ones(1), prior=np.ones(1))
    with pytest.raises(ParameterError, match="thresholds"):
        evaluate(np.ones((1, 1)), everything([[1]]), np.ones(2), prior=np.ones(1))


def test_the_baseline_has_prevalence_as_ap_and_no_skill(rng):
    _, labels = draw(rng)
    prior = np.linspace(0.05, 0.5, 6)
    figures = baseline(prior, labels)
    prevalence = labels.labels.mean(axis=0)
    assert figures["macro_ap"] == pytest.approx(prevalence.mean())
    assert figures["bce_skill"] == 0.0
    assert all(row["ap_ratio"] == pytest.approx(1) for row in figures["labels"])
    # It says yes to everything, so recall is 1 and F1 is 2p / (1 + p).
    assert figures["macro_f1"] == pytest.approx((2 * prevalence / (1 + prevalence)).mean())


def test_the_constant_reproduces_the_study_with_two_labels_a_track():
    """30 labels, 2 a track: accuracy .933, the study reports .93 (learning note, section 4)."""
    rng = np.random.default_rng(0)
    prior = np.full(30, 2 / 30)
    labels = everything(rng.random((4000, 30)) < prior)
    figures = baseline(prior, labels)
    assert figures["binary_accuracy"] == pytest.approx(0.9333, abs=0.003)
    assert figures["macro_ap"] == pytest.approx(2 / 30, abs=0.002)


def test_the_interval_holds_the_figure_and_repeats_with_the_seed(rng):
    scores, labels = draw(rng, n=120)
    cuts, prior = np.full(6, 0.5), np.full(6, 0.2)
    first = evaluate(scores, labels, cuts, prior=prior, seed=3)
    low, high = first["interval"]["macro_ap"]
    assert low < first["macro_ap"] < high
    assert evaluate(scores, labels, cuts, prior=prior, seed=3) == first


def test_the_interval_covers_the_truth_at_about_its_level():
    """Scores drawn from known densities: the AP of 20,000 tracks counts as the truth."""
    rng = np.random.default_rng(11)

    def sample(n):
        positives = rng.random((n, 1)) < 0.3
        scores = 1 / (1 + np.exp(-(rng.normal(size=(n, 1)) + 1.2 * positives)))
        return scores, everything(positives)

    scores, labels = sample(20_000)
    truth = average_precision(scores[:, 0], labels.labels[:, 0])
    inside = 0
    for seed in range(100):
        scores, labels = sample(150)
        figures = evaluate(scores, labels, np.ones(1), prior=np.full(1, 0.3), seed=seed)
        low, high = figures["interval"]["macro_ap"]
        inside += low <= truth <= high
    assert 85 <= inside <= 100


def test_groups_are_resampled_as_wholes():
    groups = np.array(["b", "a", "b", "c", "a"])
    weights = np.concatenate(list(resampling_weights(5, groups, 50, seed=1)), axis=1)
    assert weights.shape == (5, 50)
    np.testing.assert_array_equal(weights[0], weights[2])
    np.testing.assert_array_equal(weights[1], weights[4])
    np.testing.assert_array_equal(weights[[0, 1, 3]].sum(axis=0), 3)


def test_intervals_widen_when_tracks_come_in_identical_groups(rng):
    scores, labels = draw(rng, n=40)
    copies = np.repeat(np.arange(40), 10)
    wide_scores, wide = scores[copies], labels.rows(copies)
    cuts, prior = np.full(6, 0.5), np.full(6, 0.2)
    alone = evaluate(wide_scores, wide, cuts, prior=prior)["interval"]["macro_ap"]
    together = evaluate(wide_scores, wide, cuts, prior=prior, groups=copies)["interval"]
    low, high = together["macro_ap"]
    assert high - low > 2 * (alone[1] - alone[0])


@pytest.mark.parametrize("statistic", ["macro_ap", "lwlrap", "bce"])
def test_paired_bootstrap_of_a_model_with_itself_is_zero(rng, statistic):
    scores, labels = draw(rng)
    found = paired_bootstrap(scores, scores, labels, statistic, n_resamples=50)
    assert found == {"difference": 0.0, "lo": 0.0, "hi": 0.0}


def test_paired_bootstrap_names_the_statistics_it_knows(rng):
    scores, labels = draw(rng)
    with pytest.raises(ParameterError, match="lwlrap"):
        paired_bootstrap(scores, scores, labels, "accuracy")


@pytest.mark.parametrize(("n_groups", "is_told"), [(1, False), (2, False), (3, True)])
def test_tracks_of_a_few_groups_have_no_interval(rng, n_groups, is_told):
    _, labels = draw(rng, n=12)
    groups = np.arange(12) % n_groups
    good, bad = labels.labels * 0.8 + 0.1, 0.9 - labels.labels * 0.8
    found = paired_bootstrap(bad, good, labels, groups=groups)
    assert found["difference"] < 0
    assert (found["lo"] is None, found["hi"] is None) == (not is_told, not is_told)
    figures = evaluate(good, labels, np.full(6, 0.5), prior=np.full(6, 0.2), groups=groups)
    assert (figures["interval"]["macro_ap"] is not None) == is_told


def test_only_the_groups_of_judged_tracks_count(rng):
    _, labels = draw(rng, n=24)
    labels.label_mask[12:] = False
    groups = np.append(np.zeros(12), np.arange(12))
    good, bad = labels.labels * 0.8 + 0.1, 0.9 - labels.labels * 0.8
    found = paired_bootstrap(bad, good, labels, groups=groups)
    assert (found["lo"], found["hi"]) == (None, None)


def test_folds_of_a_single_group_each_cannot_be_resampled():
    labels, folds = everything(np.zeros((8, 1))), np.arange(8) // 2
    assert not can_be_resampled(labels, folds, folds)
    assert not can_be_resampled(labels, np.array([0, 1, 2, 2, 3, 3, 4, 4]), folds)
    assert can_be_resampled(labels, np.array([0, 1, 2, 3, 4, 4, 5, 5]), folds)
    assert can_be_resampled(labels, None, folds)
    assert not can_be_resampled(labels.rows(np.arange(0)), None, folds[:0])


def test_reliability_bins_and_calibration_error_by_hand():
    scores = np.array([[0.05], [0.15], [0.15], [0.95], [1.0]])
    labels = everything([[0], [0], [1], [1], [1]])
    rows = reliability_diagram(scores, labels)
    assert [row["n"] for row in rows] == [1, 2, 2]
    assert rows[1]["observed_rate"] == 0.5
    assert (rows[2]["lower"], rows[2]["upper"]) == (0.9, 1.0)
    expected = (1 * 0.05 + 2 * 0.35 + 2 * 0.025) / 5
    assert expected_calibration_error(scores, labels) == pytest.approx(expected)
