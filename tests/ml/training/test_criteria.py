"""Criteria-conditioned training on answers by earlier and by current criteria."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.errors import ParameterError
from ml.features.track_features import ArrayFeatures, SelectedTracks
from ml.metrics.ranking import average_precision
from ml.networks.inputs import (
    CRITERIA_OFFSET,
    CRITERIA_SHARE,
    SummaryInputs,
    condition_on_criteria,
)
from ml.training.fit import train
from ml.training.trained_model import TrainedModel
from ml.types import LabelMatrix, TrainingConfig
from tests.ml.planted import planted_windows

APART = TrainingConfig(network="pooled-numpy", criteria="apart")
SAME = replace(APART, criteria="same")


def two_criteria(n_tracks=700, n_present=200, n_values=20, seed=3):
    """Both give label 0 where value 0 is high; label 1 the current curator where value 1 is
    high, the one before where value 2 is, and three times as often."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_tracks, n_values)).astype(np.float32)
    heard = values + 0.5 * rng.normal(size=values.shape)
    by_present = np.column_stack([heard[:, 0] > 1, heard[:, 1] > 1.5])
    by_before = np.column_stack([heard[:, 0] > 1, heard[:, 2] > 0.8])
    is_present = np.arange(n_tracks) < n_present
    said = np.where(is_present[:, None], by_present, by_before)
    return ArrayFeatures(values), said, by_present, is_present


@pytest.fixture(scope="module")
def trained():
    """Models on 500 tracks, 150 of them by the current criteria; 200 to judge on, by these."""
    features, said, by_present, is_present = two_criteria()
    seen = np.arange(50, 550)
    unseen = np.setdiff1d(np.arange(700), seen)
    labels = LabelMatrix(said[seen], np.ones_like(said[seen]))
    models = {
        config.criteria: train(
            SelectedTracks(features, seen),
            labels,
            np.arange(len(seen)),
            config,
            is_present=is_present[seen],
        )
        for config in (SAME, APART)
    }
    found = {
        name: model.probabilities(SelectedTracks(features, unseen))
        for name, model in models.items()
    }
    return models, found, by_present[unseen]


def test_items_hold_the_values_the_contrast_and_the_side():
    values = np.array([[1.0, -2.0], [3.0, 4.0]], dtype=np.float32)
    items = condition_on_criteria(SummaryInputs(values), np.array([True, False])).values
    share, offset = CRITERIA_SHARE, CRITERIA_OFFSET
    wanted = [
        [1, -2, share, -2 * share, offset],
        [3, 4, -3 * share, -4 * share, -offset],
    ]
    np.testing.assert_allclose(items, np.array(wanted, dtype=np.float32))


def test_it_answers_as_the_present_criteria_would(trained):
    """The conditioned model ranks as the current curator would, where the two differ."""
    _, found, truth = trained
    parted = {name: average_precision(p[:, 1], truth[:, 1]) for name, p in found.items()}
    assert parted["apart"] > parted["same"] + 0.05
    agreed = {name: average_precision(p[:, 0], truth[:, 0]) for name, p in found.items()}
    assert agreed["apart"] > agreed["same"] - 0.05


def test_its_probabilities_are_as_frequent_as_the_present_curator_gives_the_label(trained):
    _, found, truth = trained
    share = 0.09  # of a normal deviate of variance 1.25 above 1.5
    assert truth[:, 1].mean() == pytest.approx(share, abs=0.03)
    assert found["same"][:, 1].mean() > share + 0.04
    assert found["apart"][:, 1].mean() == pytest.approx(share, abs=0.04)


def test_it_comes_back_from_files(trained, tmp_path):
    model, features = trained[0]["apart"], two_criteria()[0]
    saved = model.save(tmp_path / "model")
    loaded = TrainedModel.load(saved.folder, saved.sha256)
    assert loaded.config.criteria == "apart"
    assert loaded.item_shape == (2 * 20 + 1,)
    np.testing.assert_allclose(loaded.logits(features), model.logits(features), atol=1e-6)


@pytest.mark.parametrize("side", [None, True, False])
def test_where_there_is_one_side_only_nothing_is_told_apart(side):
    features, said, _, _ = two_criteria(120, 90)
    labels, groups = LabelMatrix(said, np.ones_like(said)), np.arange(120)
    short = replace(APART, epochs=3)
    is_present = None if side is None else np.full(120, side)
    model = train(features, labels, groups, short, is_present=is_present)
    assert model.config == replace(short, criteria="same")
    same = train(features, labels, groups, replace(short, criteria="same"))
    np.testing.assert_array_equal(model.logits(features), same.logits(features))


def test_tracks_without_an_answer_count_for_no_side():
    features, said, _, is_present = two_criteria(120, 90)
    mask = np.broadcast_to(is_present[:, None], said.shape)
    model = train(
        features,
        LabelMatrix(said, mask),
        np.arange(120),
        replace(APART, epochs=2),
        is_present=is_present,
    )
    assert model.config.criteria == "same"


@pytest.mark.parametrize(("n_present", "rule"), [(74, "same"), (75, "apart")])
def test_few_tracks_by_the_present_criteria_are_not_enough(n_present, rule):
    features, said, _, is_present = two_criteria(120, n_present)
    labels, short = LabelMatrix(said, np.ones_like(said)), replace(APART, epochs=2)
    model = train(features, labels, np.arange(120), short, is_present=is_present)
    assert model.config.criteria == rule


def test_networks_of_windows_refuse_it():
    features, labels, groups = planted_windows(100)
    config = TrainingConfig(network="seed-cnn", criteria="apart", epochs=1)
    with pytest.raises(ParameterError, match="networks of summaries only"):
        train(features, labels, groups, config, is_present=np.arange(100) < 80)


def test_sides_of_other_tracks_are_refused():
    features, said, _, _ = two_criteria(60, 30)
    labels = LabelMatrix(said, np.ones_like(said))
    with pytest.raises(ParameterError, match="of 60 tracks"):
        train(features, labels, np.arange(60), APART, is_present=np.ones(59, dtype=bool))


def test_an_unknown_rule_is_refused():
    with pytest.raises(ParameterError, match="criteria is 'both'"):
        TrainingConfig(criteria="both")


def test_the_constant_is_how_often_the_present_curator_gives_a_label(trained):
    """Against the share in all answers, knowing a rate would pass for skill."""
    _, said, _, is_present = two_criteria()
    seen = np.arange(50, 550)
    present = said[seen][is_present[seen]]
    np.testing.assert_allclose(trained[0]["apart"].prior, present.mean(axis=0))
    np.testing.assert_allclose(trained[0]["same"].prior, said[seen].mean(axis=0))
    assert trained[0]["same"].prior[1] > trained[0]["apart"].prior[1] + 0.05


def prior_of(n_judged, n_present=100):
    """Return the baseline of label 1, which the current curator judged on so many tracks."""
    features, said, _, is_present = two_criteria(300, n_present)
    mask = np.ones_like(said)
    mask[n_judged:n_present, 1] = False
    labels = LabelMatrix(said & mask, mask)
    short = replace(APART, epochs=2)
    model = train(features, labels, np.arange(300), short, is_present=is_present)
    assert model.config.criteria == "apart"
    by_all = said[mask[:, 1], 1].mean()
    return model.prior[1], by_all, said[:n_judged, 1]


def test_of_a_label_that_the_present_curator_never_judged_the_constant_is_by_all():
    """One half there, which is what knowing nothing gives, would pass for skill."""
    found, by_all, _ = prior_of(0)
    assert found == pytest.approx(by_all)
    assert found < 0.4


def test_of_a_label_judged_little_the_constant_is_in_between():
    found, by_all, present = prior_of(30)
    assert 0 < present.mean() < by_all
    assert found == pytest.approx(0.4 * present.mean() + 0.6 * by_all)


def test_with_as_many_as_telling_apart_takes_the_constant_is_the_present_curators():
    found, _, present = prior_of(75)
    assert found == pytest.approx(present.mean())
