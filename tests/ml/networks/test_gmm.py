"""Gaussian mixtures: equal to scikit-learn's, weighted tracks, pairs a label."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.mixture import GaussianMixture

from ml.errors import ParameterError
from ml.networks import load_network
from ml.networks.base import Watch, plan_of
from ml.networks.gmm import fit_mixture
from ml.types import TrainingConfig
from tests.ml.networks_at_work import check_network, summary_data

NETWORK = load_network("gmm")


def clouds(seed=0):
    rng = np.random.default_rng(seed)
    near, far = rng.normal(-2, 0.5, (60, 3)), rng.normal(2, 1.0, (140, 3))
    return np.concatenate([near, far])


def test_it_keeps_the_contract_of_networks(tmp_path):
    check_network("gmm", tmp_path, needs="summary", above=1.5)


def test_a_mixture_is_scikit_learns():
    items = clouds()
    ours = fit_mixture(items, np.ones(200), 2, 1e-9, seed=0)
    theirs = GaussianMixture(2, covariance_type="diag", random_state=0, tol=1e-6).fit(items)
    order, their_order = np.argsort(ours.means[:, 0]), np.argsort(theirs.means_[:, 0])
    np.testing.assert_allclose(ours.shares[order], theirs.weights_[their_order], atol=2e-3)
    np.testing.assert_allclose(ours.means[order], theirs.means_[their_order], atol=1e-2)
    np.testing.assert_allclose(
        ours.variances[order], theirs.covariances_[their_order], atol=2e-2
    )
    np.testing.assert_allclose(ours.log_density(items), theirs.score_samples(items), atol=0.05)


def test_a_track_of_weight_2_is_two_tracks():
    items = clouds()
    weights = np.where(np.arange(200) % 3 == 0, 2.0, 1.0)
    twice = np.concatenate([items, items[::3]])
    weighted = fit_mixture(items, weights, 1, 1e-9, seed=0)
    doubled = fit_mixture(twice, np.ones(len(twice)), 1, 1e-9, seed=0)
    np.testing.assert_allclose(weighted.means, doubled.means, atol=1e-9)
    np.testing.assert_allclose(weighted.variances, doubled.variances, atol=1e-9)


def test_a_variance_is_drawn_to_1_and_few_tracks_have_one_component():
    items = np.full((5, 2), 3.0)
    mixture = fit_mixture(items, np.ones(5), 3, shrinkage=5.0, seed=0)
    assert mixture.shares.tolist() == [1.0]
    np.testing.assert_allclose(mixture.means, 3.0)
    np.testing.assert_allclose(mixture.variances, 0.5)


def test_the_logit_is_the_tempered_ratio_of_the_two_densities():
    data = summary_data()
    options = (("components", 1), ("shrinkage", 5.0))
    plan = plan_of(NETWORK, TrainingConfig(options=options))
    fitted = NETWORK.fit(data, plan, Watch())
    read = data.inputs.values.astype(float)
    rows = data.training
    label = 1
    judged = data.mask[rows, label]
    given = data.targets[rows, label] > 0

    def density(side):
        mine = read[rows][judged & side]
        n = len(mine)
        variance = (n * mine.var(axis=0) + 5) / (n + 5)
        return norm.logpdf(read, mine.mean(axis=0), np.sqrt(variance)).sum(axis=1)

    elements = data.weights[rows, label]
    odds = np.log((elements @ given + 0.5) / (elements @ ~given + 0.5))
    expected = odds + (density(given) - density(~given)) / np.sqrt(6)
    ours = fitted.predictor.logits(data.inputs.values)[:, label]
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_a_label_without_a_track_on_one_side_keeps_its_odds():
    data = summary_data()
    data.targets[:, 2] = 0
    fitted = NETWORK.fit(data, plan_of(NETWORK, TrainingConfig()), Watch())
    logits = fitted.predictor.logits(data.inputs.values)
    assert np.ptp(logits[:, 2]) == 0
    assert logits[0, 2] < -3


@pytest.mark.parametrize("option", [("components", 0), ("shrinkage", 0.0)])
def test_impossible_options_are_refused(option):
    plan = plan_of(NETWORK, TrainingConfig(options=(option,)))
    with pytest.raises(ParameterError, match="components must be"):
        NETWORK.fit(summary_data(), plan, Watch())


def test_naming_networks_never_imports_scikit_learn():
    code = """
import sys
from ml.networks import feature_config_for, names
assert [feature_config_for(name, "own") for name in names()].count("timbral") == 3
assert not {"sklearn", "threadpoolctl", "scipy", "tensorflow"} & set(sys.modules), "imported"
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
