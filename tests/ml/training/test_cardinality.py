"""Cardinality potential: against sums over all sets, and planted numbers of labels."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from ml.errors import ParameterError
from ml.features.track_features import ArrayFeatures
from ml.metrics.calibration import logit
from ml.metrics.scores import evaluate
from ml.training import cardinality
from ml.training.cardinality import (
    MINIMUM_FOR_COUNTS,
    FacetCounts,
    LabelCounts,
    fit_label_counts,
)
from ml.training.fit import train
from ml.training.trained_model import TrainedModel
from ml.types import LabelMatrix, TrainingConfig


def of_one_facet(*weights, n_labels=5):
    return LabelCounts((FacetCounts(np.arange(n_labels), np.array(weights, float)),))


def by_all_sets(p, weights):
    """The definition: every set of labels with its probability."""
    found, total = np.zeros(len(p)), 0.0
    for members in itertools.product((0, 1), repeat=len(p)):
        has = np.array(members, dtype=bool)
        chance = np.where(has, p, 1 - p).prod() * weights[min(has.sum(), len(weights) - 1)]
        found, total = found + chance * has, total + chance
    return found / total


@pytest.mark.parametrize(
    "weights", [(0.2, 1, 0.7, 0.1), (1, 1e-6), (0.1, 0.2, 0.3, 0.4, 0.5, 1.0)]
)
def test_it_is_the_sum_over_all_sets(weights):
    p = np.random.default_rng(0).random((7, 5))
    found = of_one_facet(*weights).apply(p)
    assert found == pytest.approx(np.array([by_all_sets(row, weights) for row in p]))


def test_one_of_two_is_a_ratio_of_odds():
    """Of exactly one label: its odds over the sum of the odds. 3 : 1/3 is 9 : 1."""
    exactly_one = LabelCounts((FacetCounts(np.arange(2), np.array([1e-12, 1.0, 1e-12])),))
    found = exactly_one.apply(np.array([[0.75, 0.25]]))
    assert found == pytest.approx(np.array([[0.9, 0.1]]), abs=1e-9)


def test_equal_weights_and_no_facet_change_nothing():
    p = np.random.default_rng(1).random((6, 5))
    assert of_one_facet(1, 1, 1).apply(p) == pytest.approx(p)
    assert np.array_equal(LabelCounts().apply(p), p)


def test_what_is_certain_stays_certain():
    p = np.array([[1.0, 0.0, 0.4, 0.4, 0.4]])
    found = of_one_facet(0.01, 1, 0.5, 0.01).apply(p)
    assert found[0, :2].tolist() == [1.0, 0.0]
    assert np.isfinite(found).all()


def test_facets_do_not_know_of_each_other():
    p = np.random.default_rng(2).random((4, 5))
    weights = np.array([0.1, 1.0, 0.2])
    both = LabelCounts((FacetCounts(np.array([0, 2]), weights),))
    found = both.apply(p)
    assert np.array_equal(found[:, [1, 3, 4]], p[:, [1, 3, 4]])
    alone = LabelCounts((FacetCounts(np.arange(2), weights),)).apply(p[:, [0, 2]])
    assert np.array_equal(found[:, [0, 2]], alone)


def test_many_tracks_are_weighed_in_parts(monkeypatch):
    p = np.random.default_rng(3).random((50, 5))
    whole = of_one_facet(0.2, 1, 0.7).apply(p)
    monkeypatch.setattr(cardinality, "_BATCH", 7)
    assert np.array_equal(of_one_facet(0.2, 1, 0.7).apply(p), whole)


def planted(n_tracks=2_000, sizes=(0.0, 0.7, 0.3), seed=0):
    """Tracks with one of six labels or two, and a network that is not sure which."""
    rng = np.random.default_rng(seed)
    numbers = rng.choice(len(sizes), size=n_tracks, p=sizes)
    order = rng.random((n_tracks, 6)).argsort(axis=1)
    labels = order < numbers[:, None]
    scores = 1.5 * labels + rng.normal(size=labels.shape) - 2.0
    return 1 / (1 + np.exp(-scores)), LabelMatrix(labels, np.ones_like(labels))


def fitted(p, labels, facets=("genre",) * 6, is_learnt=None):
    known = np.ones(6, bool) if is_learnt is None else np.array(is_learnt)
    return fit_label_counts(p, labels, facets, known)


def test_the_numbers_that_are_expected_become_the_numbers_that_are_there():
    p, labels = planted()
    (facet,) = fitted(p, labels).facets
    assert facet.weights.shape == (4,)  # 0, 1, 2, 3 or more
    assert facet.weights.max() == 1
    expected = cardinality._numbers(p, 3) * facet.weights
    expected /= expected.sum(axis=1, keepdims=True)
    seen = np.bincount(labels.labels.sum(axis=1), minlength=4)
    # Of 2,000 tracks the one of each number that is added is hardly to be seen.
    assert expected.sum(axis=0) == pytest.approx(seen, abs=2)
    assert expected.mean(axis=0)[[1, 2]] == pytest.approx([0.7, 0.3], abs=0.02)


def test_a_number_of_which_tracks_say_nothing_keeps_its_weight():
    """Two of six were never seen: a reason where they were to be expected, else none."""
    labels = LabelMatrix(np.eye(6, dtype=bool)[np.arange(60) % 6], np.ones((60, 6), bool))
    sure = np.where(labels.labels, 0.98, 0.02)
    assert of_two_to_one(fitted(sure, labels)) > 0.1
    assert of_two_to_one(fitted(np.full((60, 6), 0.4), labels)) < 0.01


def of_two_to_one(counts):
    _, one, more = counts.facets[0].weights
    return more / one


def test_knowing_the_number_says_which():
    p, labels = planted()
    other, there = planted(seed=1)
    found = fitted(p, labels).apply(other)
    prior = labels.labels.mean(axis=0)
    figures = [
        evaluate(one, there, prior, prior=prior, n_bootstrap=0) for one in (other, found)
    ]
    before, after = (one["bce"] for one in figures)
    assert after < 0.96 * before
    assert figures[1]["macro_ap"] > figures[0]["macro_ap"]
    assert found.sum(axis=1).mean() == pytest.approx(1.3, abs=0.02)


def test_a_label_that_came_late_leaves_the_others_counted():
    """Judged on the last 39 of 2,000 tracks only: the number of the others is known on all."""
    p, labels = planted()
    mask = labels.label_mask.copy()
    mask[:-39, 5] = False
    (late,) = fitted(p, LabelMatrix(labels.labels & mask, mask)).facets
    (whole,) = fitted(p, labels).facets
    assert late.columns.tolist() == [0, 1, 2, 3, 4, 5]
    assert late.weights[1:3] == pytest.approx(whole.weights[1:3], rel=0.3)
    assert late.weights[[0, 3]].max() < 0.2


def test_where_only_what_applies_was_written_down_nothing_is_counted():
    p, labels = planted(200)
    only_yes = LabelMatrix(labels.labels, labels.labels)
    assert fitted(p, only_yes).facets == ()


def test_few_tracks_are_not_enough():
    p, labels = planted(200)
    for n_tracks, n_facets in ((MINIMUM_FOR_COUNTS - 1, 0), (MINIMUM_FOR_COUNTS, 1)):
        mask = labels.label_mask & (np.arange(200) < n_tracks)[:, None]
        assert len(fitted(p, LabelMatrix(labels.labels & mask, mask)).facets) == n_facets


def posteriors(n_tracks, seed):
    """Outputs of the best possible network for one label of six: it knows that there is one."""
    rng = np.random.default_rng(seed)
    genre = rng.integers(6, size=n_tracks)
    points = np.eye(6)[genre] * 2 + rng.normal(size=(n_tracks, 6))
    chance = np.exp(2 * points)
    labels = np.eye(6, dtype=bool)[genre]
    return chance / chance.sum(axis=1, keepdims=True), LabelMatrix(labels, np.ones_like(labels))


def test_a_network_that_knows_it_already_is_left_alone():
    """Counted in full its answers would become much too sure (review of decision 0013)."""
    p, labels = posteriors(2_000, 0)
    other, there = posteriors(2_000, 1)
    prior = labels.labels.mean(axis=0)

    def bce(probabilities):
        return evaluate(probabilities, there, prior, prior=prior, n_bootstrap=0)["bce"]

    counts = fitted(p, labels)
    assert all(facet.strength <= 0.1 for facet in counts.facets)
    assert bce(counts.apply(other)) == pytest.approx(bce(other), rel=0.005)
    weights = cardinality._weights(p, labels)
    in_full = LabelCounts((FacetCounts(np.arange(6), weights),))
    assert bce(in_full.apply(other)) > 1.03 * bce(other)


def test_half_the_strength_is_half_the_way_in_log_odds():
    p = np.random.default_rng(4).random((6, 5))
    weights = np.array([0.1, 1.0, 0.4])
    full, half = (
        logit(LabelCounts((FacetCounts(np.arange(5), weights, strength),)).apply(p))
        for strength in (1.0, 0.5)
    )
    assert half == pytest.approx((logit(p) + full) / 2)


def test_labels_that_were_not_learnt_are_not_counted():
    p, labels = planted(300)
    (facet,) = fitted(p, labels, is_learnt=[True, True, False, True, False, False]).facets
    assert facet.columns.tolist() == [0, 1, 3]
    assert fitted(p, labels, is_learnt=[True] + [False] * 5).facets == ()


def test_each_facet_has_its_own_weights():
    p, labels = planted(500)
    names = ("genre", "mood", "genre", "mood", "genre", "mood")
    first, second = fitted(p, labels, facets=names).facets
    assert (first.columns.tolist(), second.columns.tolist()) == ([0, 2, 4], [1, 3, 5])
    alone = fit_label_counts(
        p[:, ::2],
        LabelMatrix(labels.labels[:, ::2], labels.label_mask[:, ::2]),
        ["genre"] * 3,
        np.ones(3, bool),
    )
    assert np.array_equal(alone.facets[0].weights, first.weights)


def test_weights_survive_json():
    counts = fitted(*planted(100))
    again = LabelCounts.from_dict(json.loads(json.dumps(counts.to_dict())))
    p = planted(10)[0]
    assert np.array_equal(again.apply(p), counts.apply(p))


def test_what_does_not_fit_is_refused():
    p, labels = planted(50)
    with pytest.raises(ParameterError, match="5 facets"):
        fitted(p, labels, facets=("genre",) * 5)
    with pytest.raises(ParameterError, match="do not fit"):
        fit_label_counts(p[:, :5], labels, ("genre",) * 6, np.ones(6, bool))


# --- in a training --------------------------------------------------------------------------

CONFIG = TrainingConfig(network="pooled-numpy", epochs=20, label_counts="learnt")


def library(n_tracks=240, seed=0):
    rng = np.random.default_rng(seed)
    genre = rng.integers(6, size=n_tracks)
    labels = np.eye(6, dtype=bool)[genre]
    summary = 1.2 * labels @ np.random.default_rng(9).normal(size=(6, 8))
    features = ArrayFeatures(summary + rng.normal(size=summary.shape))
    return features, LabelMatrix(labels, np.ones_like(labels))


def trained(config=CONFIG, **more):
    features, labels = library()
    return train(features, labels, np.arange(240), config, **more)


def test_a_training_that_learns_it_is_better_where_tracks_have_one_label():
    features, labels = library(seed=1)
    bce = {}
    for rule in ("free", "learnt"):
        model = trained(replace(CONFIG, label_counts=rule))
        figures = evaluate(
            model.probabilities(features),
            labels,
            model.thresholds,
            prior=model.prior,
            n_bootstrap=0,
        )
        bce[rule] = figures["bce"]
    assert bce["learnt"] < 0.95 * bce["free"]


def test_a_model_keeps_what_it_learnt(tmp_path):
    model, features = trained(), library(seed=1)[0]
    assert len(model.counts.facets) == 1
    saved = model.save(tmp_path / "m")
    again = TrainedModel.load(tmp_path / "m", saved.sha256)
    assert np.array_equal(again.probabilities(features), model.probabilities(features))
    assert again.config.label_counts == "learnt"


def test_facets_are_those_that_are_told():
    model = trained(facets=("a", "a", "a", "b", "b", "c"))
    assert [facet.columns.tolist() for facet in model.counts.facets] == [[0, 1, 2], [3, 4]]
    with pytest.raises(ParameterError, match="2 facets for 6 labels"):
        trained(facets=("a", "b"))


def test_with_criteria_apart_the_present_curators_numbers_count():
    """Before, tracks had two labels; today's curator gives one."""
    features, labels = library()
    is_present = np.arange(240) < 120
    two = labels.labels | np.roll(labels.labels, 1, axis=1)
    both = LabelMatrix(np.where(is_present[:, None], labels.labels, two), labels.label_mask)
    config = replace(CONFIG, criteria="apart")
    model = train(features, both, np.arange(240), config, is_present=is_present)
    assert model.config.criteria == "apart"
    p = model.probabilities(library(seed=1)[0])
    assert p.sum(axis=1).mean() == pytest.approx(1.0, abs=0.1)


def test_labels_that_cannot_be_learnt_stay_at_their_share():
    features, labels = library()
    rare = np.zeros((240, 1), dtype=bool)
    with_rare = LabelMatrix(
        np.hstack([labels.labels, rare]), np.hstack([labels.label_mask, ~rare])
    )
    model = train(features, with_rare, np.arange(240), CONFIG)
    assert (model.probabilities(features)[:, 6] == np.float32(model.prior[6])).all()
    assert model.counts.facets[0].columns.tolist() == [0, 1, 2, 3, 4, 5]
