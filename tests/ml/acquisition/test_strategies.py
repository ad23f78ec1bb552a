"""Strategies: the tracks chosen, their order and reasons; and how the strata interleave."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.acquisition.distances import farthest_traversal, nearest_labelled, standardised
from ml.acquisition.strategies import (
    STRATEGIES,
    Pool,
    binary_entropy,
    choose_tracks,
    label_entropy,
    label_mismatch,
    margin,
    max_entropy,
    shares,
)
from ml.errors import ParameterError
from ml.types import LabelMatrix


def make_pool(n=200, n_labels=4, n_labelled=30, seed=0, albums=None):
    rng = np.random.default_rng(seed)
    labels = rng.random((n, n_labels)) < 0.3
    mask = np.zeros(n, bool)
    mask[rng.permutation(n)[:n_labelled]] = True
    return Pool(
        labelled_mask=mask,
        probabilities=rng.random((n, n_labels)),
        features=rng.normal(size=(n, 5)).astype(np.float32),
        labels=LabelMatrix(labels, np.broadcast_to(mask[:, None], labels.shape)),
        thresholds=np.full(n_labels, 0.4),
        albums=albums,
    )


def test_scores_by_hand():
    p = np.array([[0.5, 0.0], [0.9, 0.1]])
    h = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    np.testing.assert_allclose(binary_entropy(p), [[np.log(2), 0], [h, h]], atol=2e-6)
    np.testing.assert_allclose(label_entropy(p), [np.log(2) / 2, h], atol=2e-6)
    np.testing.assert_allclose(max_entropy(p), [np.log(2), h], atol=2e-6)
    np.testing.assert_allclose(margin(p, np.array([0.5, 0.2])), [0.0, -0.1], atol=1e-12)


def test_margin_at_one_half_orders_as_max_entropy():
    p = np.random.default_rng(1).random((50, 3))
    by_margin = np.argsort(margin(p, np.full(3, 0.5)))
    np.testing.assert_array_equal(by_margin, np.argsort(max_entropy(p)))


def test_the_nearest_labelled_equals_an_exhaustive_search():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(4_200, 6)).astype(np.float32)
    b = rng.normal(size=(37, 6)).astype(np.float32)
    rows, distances = nearest_labelled(a, b)
    everything = np.linalg.norm(a[:, None] - b[None], axis=2)
    np.testing.assert_array_equal(rows, everything.argmin(axis=1))
    np.testing.assert_allclose(distances, everything.min(axis=1), rtol=1e-5)


def test_a_constant_feature_does_not_blow_up():
    features = np.array([[1.0, 5.0], [3.0, 5.0]])
    np.testing.assert_allclose(standardised(features), [[-1, 0], [1, 0]])


def test_mismatch_is_the_jaccard_distance_over_what_was_asked():
    predicted = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
    labels = np.array([[1, 0, 0], [1, 0, 1], [0, 0, 0]], bool)
    mask = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1]], bool)
    degree, differs = label_mismatch(predicted, LabelMatrix(labels, mask))
    assert degree.tolist() == [0.5, 0.0, 0.0]
    assert np.argwhere(differs).tolist() == [[0, 1]]


def test_farthest_traversal_on_a_line():
    points = np.array([[0.0], [1.0], [5.0], [9.0], [10.0]], dtype=np.float32)
    distances = points[:, 0]  # the only labelled point lies at 0
    alone, one_tier = np.full(5, -1), np.zeros(5, int)
    assert farthest_traversal(points, distances, one_tier, alone, 3, 2) == [4, 2, 1]


def test_a_higher_tier_comes_first_and_albums_take_turns():
    points = np.arange(6, dtype=np.float32)[:, None]
    tiers = np.array([0, 1, 1, 0, 0, 0])
    walk = farthest_traversal(points, points[:, 0], tiers, np.full(6, -1), 6, 1)
    assert set(walk[:2]) == {1, 2}
    albums = np.array([0, 0, 0, 1, 1, -1])
    walk = farthest_traversal(points, points[:, 0], np.zeros(6, int), albums, 6, 1)
    assert sorted(walk) == list(range(6))
    assert {0, 1} == {int(albums[row]) for row in walk[:3]} - {-1}


def test_mismatched_tracks_come_before_all_others():
    """One feature, two labelled tracks: only the tracks near the second are mispredicted."""
    features = np.array([[0], [10], [1], [2], [8], [9]], dtype=np.float32)
    labels = np.array([[1], [0], [0], [0], [0], [0]], bool)
    mask = np.array([[1], [1], [0], [0], [0], [0]], bool)
    pool = Pool(
        labelled_mask=mask[:, 0],
        probabilities=np.full((6, 1), 0.8),
        features=features,
        labels=LabelMatrix(labels, mask),
    )
    chosen = choose_tracks(pool, 4)
    assert [choice.index for choice in chosen[:2]] == [4, 5]
    assert [choice.score for choice in chosen] == [1.0, 1.0, 0.0, 0.0]
    assert [choice.reason["neighbour"] for choice in chosen] == [1, 1, 0, 0]
    assert chosen[0].reason["mismatch"] == [0]


def test_the_reason_names_the_most_uncertain_labels_and_the_novelty():
    pool = make_pool()
    chosen = choose_tracks(pool, 5)
    for choice in chosen:
        row = pool.probabilities[choice.index]
        nearest_to_half = np.argsort(np.abs(row - 0.5))[:3].tolist()
        assert [part["label"] for part in choice.reason["uncertain"]] == nearest_to_half
        assert choice.reason["uncertain"][0]["probability"] == row[nearest_to_half[0]]
        assert 0 <= choice.reason["novelty"] <= 1
        assert choice.reason["strategy"] == "mismatch-first"
    assert json.loads(json.dumps(chosen[0].reason)) == chosen[0].reason


@pytest.mark.parametrize("strategy", [*STRATEGIES, "default"])
def test_every_strategy_chooses_distinct_unlabelled_tracks_and_repeats(strategy):
    pool = make_pool()
    chosen = [choice.index for choice in choose_tracks(pool, 60, strategy=strategy, seed=3)]
    assert len(set(chosen)) == 60
    assert not pool.labelled_mask[chosen].any()
    assert chosen == [c.index for c in choose_tracks(pool, 60, strategy=strategy, seed=3)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_empties_the_pool_in_the_end(strategy):
    chosen = choose_tracks(
        make_pool(albums=np.repeat(np.arange(4), 50)), 999, strategy=strategy
    )
    assert len({choice.index for choice in chosen}) == 170


@pytest.mark.parametrize("strategy", ["mismatch-first", "entropy", "max-entropy", "margin"])
def test_no_album_sends_more_than_its_cap_while_others_wait(strategy):
    albums = np.repeat(np.arange(40), 5)
    pool = make_pool(albums=albums)
    chosen = [choice.index for choice in choose_tracks(pool, 40, strategy=strategy)]
    assert np.bincount(albums[chosen]).max() <= 2


@pytest.mark.parametrize("unknown", ["", -1])
def test_tracks_without_an_album_are_not_capped(unknown):
    pool = make_pool(albums=np.full(200, unknown))
    assert len(choose_tracks(pool, 100)) == 100
    scores = [c.score for c in choose_tracks(pool, 100, strategy="max-entropy")]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("missing", ["probabilities", "features", "labels"])
def test_a_cold_pool_is_drawn_from_at_random(missing):
    parts = vars(make_pool()) | {missing: None}
    chosen = choose_tracks(Pool(**parts), 10, seed=1)
    assert len(chosen) == 10
    assert all(choice.reason["strategy"] == "random" for choice in chosen)
    assert all(choice.reason["is_cold_start"] for choice in chosen)
    assert all(choice.probability == pytest.approx(10 / 170) for choice in chosen)


def test_the_random_strategy_is_uniform():
    pool = make_pool(n=20, n_labelled=0)
    counts = np.zeros(20)
    for seed in range(600):
        counts[[c.index for c in choose_tracks(pool, 5, strategy="random", seed=seed)]] += 1
    assert ((counts - 150) ** 2 / 150).sum() < 43.8  # chi-squared, 19 degrees, p = .001


def test_a_large_pool_is_ranked_on_a_random_part():
    pool = make_pool(n=400, n_labelled=10)
    first = {c.index for c in choose_tracks(pool, 20, seed=1, max_candidates=40)}
    second = {c.index for c in choose_tracks(pool, 20, seed=2, max_candidates=40)}
    assert len(first & second) < 10


def test_nothing_left_or_nothing_wanted_is_an_empty_choice():
    assert choose_tracks(make_pool(n=30, n_labelled=30), 5) == []
    assert choose_tracks(make_pool(), 0) == []


def test_bad_arguments_are_refused():
    with pytest.raises(ParameterError, match="mismatch-first"):
        choose_tracks(make_pool(), 3, strategy="clever")
    with pytest.raises(ParameterError, match="cap_per_album"):
        choose_tracks(make_pool(), 3, cap_per_album=0)
    with pytest.raises(ParameterError, match="features"):
        Pool(labelled_mask=np.zeros(3, bool), features=np.zeros((2, 2), np.float32))


DEFAULTS = {"audit": 0.2, "overlap": 0.08, "repeat": 0.04, "explore": 0.1}


def test_the_strata_of_a_thousand_slots_are_exactly_their_shares():
    slots = shares(1_000, **DEFAULTS)
    counts = {name: slots.count(name) for name in set(slots)}
    assert counts == {"audit": 200, "overlap": 80, "repeat": 40, "explore": 100, "acquire": 580}


thousandths = st.integers(0, 250).map(lambda part: part / 1_000)


@given(thousandths, thousandths, thousandths, thousandths)
def test_every_beginning_is_within_one_of_the_shares(audit, overlap, repeat, explore):
    wanted = {"audit": audit, "overlap": overlap, "repeat": repeat, "explore": explore}
    slots = np.array(shares(120, **wanted))
    for name, share in wanted.items():
        seen = np.cumsum(slots == name)
        assert np.abs(seen - share * np.arange(1, 121)).max() < 1 + 1e-9


def test_the_sequence_goes_on_where_the_last_batch_ended():
    whole = shares(2_300, **DEFAULTS)
    pieces = [name for at in range(0, 2_300, 10) for name in shares(10, start=at, **DEFAULTS)]
    assert pieces == whole


def test_shares_above_one_are_refused():
    with pytest.raises(ParameterError, match="at most 1"):
        shares(10, audit=0.5, overlap=0.5, repeat=0.1, explore=0.0)


def planted_mismatch(n=400, n_labelled=40, seed=4):
    """A pool whose candidates have the mismatch 1, or 0, as planted."""
    pool = make_pool(n=n, n_labels=2, n_labelled=n_labelled, seed=seed)
    differs = np.random.default_rng(seed).random(n) < 0.3
    pool.labels.labels[:] = [True, False]
    pool.probabilities[:] = np.where(differs[:, None], [[0.1, 0.9]], [[0.9, 0.1]])
    return pool, differs


def test_a_batch_comes_from_the_shortlist_of_the_largest_mismatch():
    pool, differs = planted_mismatch()
    n_differing = int((differs & ~pool.labelled_mask).sum())
    whole = [c.index for c in choose_tracks(pool, 60, seed=1)]
    batched = [c.index for c in choose_tracks(pool, n_differing, seed=1, batch=10)]
    assert differs[batched].all()
    first = choose_tracks(pool, 10, seed=1, batch=10)
    assert [c.index for c in first] == batched[:10]
    # A shortlist of 50 of more than 100 that differ: the choice is not farthest-first over all.
    assert batched[:10] != whole[:10]


def test_batches_go_on_where_the_one_before_ended():
    pool, _ = planted_mismatch()
    long = [c.index for c in choose_tracks(pool, 300, seed=1, batch=20)]
    short = [c.index for c in choose_tracks(pool, 45, seed=1, batch=20)]
    assert len(set(long)) == 300
    assert long[:45] == short


def test_a_batch_keeps_away_from_what_those_before_chose():
    """Two clusters of twins: the second batch does not take the twin of a chosen track."""
    pool = make_pool(n=30, n_labels=2, n_labelled=10, seed=2)
    rows = np.flatnonzero(~pool.labelled_mask)
    pool.features[:] = 0
    pool.features[rows, 0] = np.repeat(np.arange(1, 11), 2)
    pool.labels.labels[:] = [True, False]
    pool.probabilities[:] = [0.1, 0.9]
    chosen = [c.index for c in choose_tracks(pool, 4, batch=2, cap_per_album=9)]
    assert len(set(pool.features[chosen, 0].tolist())) == 4


def test_a_batch_below_one_is_refused():
    with pytest.raises(ParameterError, match="batch is 0"):
        choose_tracks(make_pool(), 3, batch=0)
