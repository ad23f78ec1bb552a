"""Figures out of fold: near those of unseen tracks, or none at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.features.track_features import SelectedTracks
from ml.metrics.headline import Predicted, headline, yardstick
from ml.training.fit import train
from ml.training.out_of_fold import out_of_fold
from ml.types import TrainingConfig
from tests.ml.planted import planted_tracks

CONFIG = TrainingConfig(network="pooled-numpy")


@pytest.fixture(scope="module")
def world():
    features, labels, groups = planted_tracks(700)
    seen = np.arange(200)
    model = train(SelectedTracks(features, seen), labels.rows(seen), groups[seen], CONFIG)
    return features, labels, groups, model


def test_the_skill_is_near_that_on_unseen_tracks(world):
    features, labels, groups, model = world
    found = out_of_fold(model)
    unseen = np.arange(200, 700)
    probabilities = model.probabilities(SelectedTracks(features, unseen))
    predicted = Predicted(probabilities, np.broadcast_to(model.thresholds, probabilities.shape))
    by = yardstick(labels.rows(unseen), model.prior, model.prior, groups[unseen])
    truth = headline(predicted, by)
    assert found["headline"]["n"] == 200
    low, high = found["headline"]["intervals"]["skill"]
    assert low <= truth["skill"] <= high
    assert found["headline"]["skill"] == pytest.approx(truth["skill"], abs=0.1)


def test_shuffled_labels_have_no_skill():
    features, labels, groups = planted_tracks(200)
    shuffled = labels.rows(np.random.default_rng(3).permutation(200))
    model = train(features, shuffled, groups, CONFIG)
    assert out_of_fold(model)["headline"]["skill"] < 0.03


def test_loaded_models_and_window_splits_have_none(world):
    model = world[-1]
    assert out_of_fold(replace(model, validation=None)) is None
    windows = replace(model, config=replace(model.config, split="windows"))
    assert out_of_fold(windows) is None


def test_one_split_group_has_none(world):
    model = world[-1]
    alone = replace(model.validation, groups=np.zeros(200))
    assert out_of_fold(replace(model, validation=alone)) is None
