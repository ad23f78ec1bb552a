from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.errors import CancelledError, NothingToLearnError, ParameterError
from ml.evaluation.cross_validation import cross_validate, evaluate_model
from ml.features.track_features import ArrayFeatures, SelectedTracks
from ml.metrics.scores import evaluate
from ml.training import holdout
from ml.training.fit import train
from ml.types import LabelMatrix, TrainingConfig
from tests.ml.planted import planted_tracks

CONFIG = TrainingConfig(network="pooled-numpy")


def split(labels, share=0.75):
    cut = int(labels.n_tracks * share)
    return np.arange(cut), np.arange(cut, labels.n_tracks)


def train_rows(features, labels, groups, rows, config=CONFIG, **more):
    return train(
        SelectedTracks(features, rows), labels.rows(rows), groups[rows], config, **more
    )


def test_planted_labels_are_found_on_tracks_not_seen():
    features, labels, groups = planted_tracks(800)
    seen, unseen = split(labels)
    model = train_rows(features, labels, groups, seen)
    figures, constant = evaluate_model(
        model, SelectedTracks(features, unseen), labels.rows(unseen)
    )
    assert figures["macro_ap"] > 0.98
    assert figures["bce_skill"] > 0.7
    assert figures["macro_f1"] > 0.9
    assert constant["macro_ap"] == pytest.approx(0.3, abs=0.06)
    assert constant["bce_skill"] == 0


def test_shuffled_labels_teach_nothing_and_the_figures_say_so():
    features, labels, groups = planted_tracks(400)
    shuffled = labels.rows(np.random.default_rng(3).permutation(400))
    result = cross_validate(features, shuffled, groups, CONFIG, n_folds=4)
    assert result.metrics["bce_skill"] < 0.02
    assert result.metrics["macro_ap"] < 1.3 * result.baseline["macro_ap"]


def test_what_is_not_judged_changes_nothing():
    features, labels, groups = planted_tracks()
    mask = np.random.default_rng(1).random(labels.labels.shape) < 0.7
    other = labels.labels ^ (~mask)
    models = [
        train(features, LabelMatrix(values, mask), groups, CONFIG)
        for values in (labels.labels, other)
    ]
    np.testing.assert_array_equal(*(model.probabilities(features) for model in models))
    np.testing.assert_array_equal(*(model.thresholds for model in models))


def test_half_of_the_judgements_still_teach():
    features, labels, groups = planted_tracks(800)
    mask = np.random.default_rng(1).random(labels.labels.shape) < 0.5
    seen, unseen = split(labels)
    model = train_rows(features, LabelMatrix(labels.labels, mask), groups, seen)
    figures, _ = evaluate_model(model, SelectedTracks(features, unseen), labels.rows(unseen))
    assert figures["macro_ap"] > 0.95


def test_a_seed_gives_one_result_and_another_seed_another():
    features, labels, groups = planted_tracks(120, noise=1.0)
    first, again, other = (
        train(features, labels, groups, replace(CONFIG, seed=seed)).probabilities(features)
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_probabilities_are_calibrated_out_of_fold():
    features, labels, groups = planted_tracks(1_600, noise=1.0)
    seen, unseen = split(labels, 0.5)
    model = train_rows(features, labels, groups, seen)
    probabilities = model.probabilities(SelectedTracks(features, unseen))
    for low, high in ((0.05, 0.25), (0.25, 0.5), (0.5, 0.75)):
        chosen = (probabilities >= low) & (probabilities < high)
        share = labels.labels[unseen][chosen].mean()
        assert share == pytest.approx(probabilities[chosen].mean(), abs=0.08)


def test_labels_without_a_positive_or_a_negative_stay_as_the_constant_prior():
    features, labels, groups = planted_tracks(100)
    values = np.column_stack([labels.labels, np.zeros(100, bool), np.ones(100, bool)])
    model = train(features, LabelMatrix(values, np.ones_like(values)), groups, CONFIG)
    probabilities = model.probabilities(features)
    assert model.is_learnt.tolist() == [True] * 4 + [False, False]
    np.testing.assert_allclose(probabilities[:, 4], 0.5 / 101, rtol=1e-6)
    np.testing.assert_allclose(probabilities[:, 5], 100.5 / 101, rtol=1e-6)
    np.testing.assert_allclose(model.logits(features)[:, 4], np.log(0.5 / 100.5), rtol=1e-5)
    np.testing.assert_allclose(model.prior[:4], labels.labels.mean(axis=0))


def test_nothing_to_learn_is_said():
    features, labels, groups = planted_tracks(20)
    nothing = LabelMatrix(np.zeros_like(labels.labels), labels.label_mask)
    with pytest.raises(NothingToLearnError, match="20 tracks"):
        train(features, nothing, groups, CONFIG)


def test_a_single_group_trains_without_calibration():
    features, labels, _ = planted_tracks(40)
    model = train(features, labels, np.zeros(40), replace(CONFIG, epochs=5))
    assert model.platt.slope.tolist() == [1.0] * 4
    assert [report.stage for report in model.history] == ["all tracks"] * 5


def test_two_groups_and_five_tracks_are_enough_to_end():
    features, _, _ = planted_tracks(40)
    rows = np.array([0, 1, 2, 3, 4])
    values = np.array([[1], [0], [1], [0], [0]], bool)
    model = train(
        SelectedTracks(features, rows),
        LabelMatrix(values, np.ones_like(values)),
        np.array([0, 0, 1, 1, 1]),
        CONFIG,
    )
    assert np.isfinite(model.probabilities(features)).all()


def test_features_that_are_not_numbers_are_refused():
    features, labels, groups = planted_tracks(40)
    broken = features.summaries().copy()
    broken[7, 2] = np.nan
    with pytest.raises(ParameterError, match="not finite"):
        train(ArrayFeatures(broken), labels, groups, CONFIG)


@pytest.mark.parametrize("share", [0.0, 0.7])
def test_an_impossible_validation_share_is_refused(share):
    features, labels, groups = planted_tracks(40)
    with pytest.raises(ParameterError, match="validation_share"):
        train(features, labels, groups, replace(CONFIG, validation_share=share))


def test_tracks_that_do_not_match_are_refused():
    features, labels, groups = planted_tracks(40)
    with pytest.raises(ParameterError, match="39"):
        train(features, labels, groups[:39], CONFIG)
    with pytest.raises(ParameterError, match="label_uids"):
        train(features, labels, groups, CONFIG, label_uids=["a"])


def test_progress_counts_up_over_all_folds_and_the_last_fit():
    features, labels, groups = planted_tracks(60)
    reports = []
    train(features, labels, groups, replace(CONFIG, epochs=4), on_epoch=reports.append)
    places = [report.epoch for report in reports]
    assert places == sorted(set(places))
    assert places[-1] <= reports[0].epochs == 24
    assert reports[0].stage == "fold 1 of 5"
    assert reports[-1].stage == "all tracks"


def test_many_tracks_need_fewer_folds_for_their_calibration(monkeypatch):
    features, labels, groups = planted_tracks(100)
    monkeypatch.setattr(holdout, "ENOUGH_UNSEEN", 30)
    model = train(features, labels, groups, replace(CONFIG, epochs=2))
    assert {report.stage for report in model.history} == {
        "fold 1 of 2",
        "fold 2 of 2",
        "all tracks",
    }
    assert (model.platt.intercept != 0).all()


def test_cancelling_keeps_nothing():
    features, labels, groups = planted_tracks(60)
    calls = []

    def should_stop():
        calls.append(1)
        return len(calls) > 10

    with pytest.raises(CancelledError):
        train(features, labels, groups, CONFIG, should_stop=should_stop)
    assert len(calls) == 11


def test_no_group_is_on_both_sides_of_a_fold():
    features, labels, groups = planted_tracks(120)
    result = cross_validate(features, labels, groups, CONFIG, n_folds=3)
    for group in np.unique(groups):
        assert len(np.unique(result.fold_of[groups == group])) == 1
    assert set(result.fold_of) == {0, 1, 2}


def test_cross_validation_reports_means_over_folds_beside_the_constant():
    features, labels, groups = planted_tracks(160, noise=0.5)
    seen = []
    result = cross_validate(features, labels, groups, CONFIG, 4, on_progress=seen.append)
    per_fold = [fold["metrics"]["macro_ap"] for fold in result.folds]
    assert result.metrics["macro_ap"] == pytest.approx(np.mean(per_fold))
    prevalences = [labels.labels[result.fold_of == fold].mean() for fold in range(4)]
    assert result.baseline["macro_ap"] == pytest.approx(np.mean(prevalences))
    assert result.metrics["n"] == 160
    assert result.metrics["labels_scored"] == 4
    low, high = result.metrics["interval"]["macro_ap"]
    assert low < result.metrics["macro_ap"] < high
    assert {(p.fold, p.folds) for p in seen} == {(1, 4), (2, 4), (3, 4), (4, 4)}
    assert set(result.metrics) == set(result.baseline)


def test_the_figures_can_be_recomputed_from_the_out_of_fold_probabilities():
    features, labels, groups = planted_tracks(160, noise=0.5)
    result = cross_validate(features, labels, groups, CONFIG, 4)
    for fold in range(4):
        held = np.flatnonzero(result.fold_of == fold)
        figures = evaluate(
            result.probabilities[held],
            labels.rows(held),
            np.full(4, 0.5),
            prior=np.full(4, 0.3),
            n_bootstrap=0,
        )
        stored = result.folds[fold]["metrics"]
        assert figures["macro_ap"] == pytest.approx(stored["macro_ap"])
        assert figures["bce"] == pytest.approx(stored["bce"])
