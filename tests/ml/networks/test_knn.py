"""Nearest neighbours: votes by hand and by scikit-learn; what was not judged has no vote."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsRegressor

from ml.errors import ParameterError
from ml.features.summaries import summary_size
from ml.networks import load_network
from ml.networks.base import Watch, plan_of
from ml.networks.knn import NearestNeighbours
from ml.networks.one_pass import statistics_read
from ml.types import TrainingConfig
from tests.ml.networks_at_work import check_network, summary_data

NETWORK = load_network("knn")


def plan(**options):
    values = {"pull": 1e-9, "parts": 0, **options}
    return plan_of(NETWORK, TrainingConfig(options=tuple(values.items())))


def shares(logits):
    return 1 / (1 + np.exp(-logits.astype(float)))


def test_it_keeps_the_contract_of_networks(tmp_path):
    check_network("knn", tmp_path, needs="summary")


def test_votes_are_scikit_learns():
    rng = np.random.default_rng(0)
    items = rng.normal(size=(120, 5)).astype(np.float32)
    targets = (rng.random((120, 3)) < 0.4).astype(np.float32)
    asked = rng.normal(size=(30, 5)).astype(np.float32)
    ours = NearestNeighbours(items, targets, np.ones_like(targets), plan(neighbours=7))
    for label in range(3):
        theirs = KNeighborsRegressor(7, weights="distance").fit(items, targets[:, label])
        expected = theirs.predict(asked)
        np.testing.assert_allclose(shares(ours.logits(asked))[:, label], expected, atol=2e-3)


@pytest.mark.parametrize("n_judged", [110, 40, 3], ids=["nearly all", "few", "too few"])
def test_each_label_asks_only_tracks_that_were_judged_for_it(n_judged):
    rng = np.random.default_rng(1)
    items = rng.normal(size=(120, 4)).astype(np.float32)
    targets = (rng.random((120, 2)) < 0.5).astype(np.float32)
    elements = np.ones_like(targets)
    elements[rng.permutation(120)[n_judged:], 0] = 0
    asked = rng.normal(size=(25, 4)).astype(np.float32)
    ours = NearestNeighbours(items, targets, elements, plan(neighbours=5))
    judged = elements[:, 0] > 0
    theirs = KNeighborsRegressor(min(5, n_judged), weights="distance")
    expected = theirs.fit(items[judged], targets[judged, 0]).predict(asked)
    np.testing.assert_allclose(shares(ours.logits(asked))[:, 0], expected, atol=2e-3)


def test_a_heavier_element_has_a_heavier_vote():
    items = np.array([[1.0], [-1.0]], np.float32)
    targets = np.array([[1.0], [0.0]], np.float32)
    elements = np.array([[3.0], [1.0]], np.float32)
    found = NearestNeighbours(items, targets, elements, plan(neighbours=2))
    assert shares(found.logits(np.zeros((1, 1), np.float32)))[0, 0] == pytest.approx(0.75)


def test_a_label_nobody_judged_stays_at_even_odds():
    data = summary_data()
    data.weights[:, 1], data.mask[:, 1] = 0, False
    fitted = NETWORK.fit(data, plan_of(NETWORK, TrainingConfig()), Watch())
    logits = fitted.predictor.logits(data.inputs.gather(data.inputs.fixed(np.arange(5))))
    assert logits[:, 1] == pytest.approx(0, abs=1e-6)


def test_it_reads_means_and_deviations():
    assert statistics_read(summary_size(24), 2) == 48
    assert statistics_read(summary_size(13), 3) == 39
    assert statistics_read(summary_size(13), 0) == summary_size(13)
    assert statistics_read(160, 2) == 160  # no summary of `ml.features.summaries`


def test_no_neighbours_are_refused():
    with pytest.raises(ParameterError, match="neighbours"):
        NETWORK.fit(summary_data(), plan(neighbours=0), Watch())
