"""Majority and one-coin Dawid-Skene: who is right, and when nobody can know."""

from __future__ import annotations

import numpy as np
import pytest

from ml.consistency.aggregation import majority, one_coin
from ml.errors import ParameterError
from ml.types import LabelMatrix


def everything(labels):
    labels = np.asarray(labels, dtype=bool)
    return LabelMatrix(labels, np.ones_like(labels))


def simulate(accuracies, n_tracks=400, answers_each=3, rate=0.4, seed=0):
    """One label; `answers_each` random annotators a track with the given accuracies."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n_tracks) < rate
    tracks = np.repeat(np.arange(n_tracks), answers_each)
    annotators = np.concatenate(
        [rng.permutation(len(accuracies))[:answers_each] for _ in range(n_tracks)]
    )
    right = rng.random(len(tracks)) < np.asarray(accuracies)[annotators]
    said = np.where(right, truth[tracks], ~truth[tracks])
    return truth, everything(said[:, None]), tracks, annotators


def test_majority_counts_votes_and_leaves_ties_open():
    answers = LabelMatrix(
        np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0]], bool),
        np.array([[1, 1, 1], [1, 1, 1], [1, 0, 1], [1, 1, 0]], bool),
    )
    found = majority(answers, np.array([0, 0, 0, 2]), 3)
    assert found.labels.tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert found.label_mask.tolist() == [[1, 0, 1], [0, 0, 0], [1, 1, 0]]


def test_one_answer_keeps_the_answer():
    answers = everything([[1, 0], [0, 1]])
    found = one_coin(answers, np.array([0, 1]), np.array([0, 1]), 3, 2)
    assert found.probabilities.tolist() == [[1, 0], [0, 1], [0, 0]]
    assert found.hard().labels[:2].tolist() == answers.labels.tolist()
    assert found.label_mask.tolist() == [[True, True], [True, True], [False, False]]
    assert np.isnan(found.accuracy).all()


def test_one_answer_is_kept_even_from_one_who_is_usually_wrong():
    _, answers, tracks, annotators = simulate([0.9, 0.9, 0.9, 0.1])
    extra = LabelMatrix(
        np.append(answers.labels, [[True]], axis=0), np.ones((len(tracks) + 1, 1), bool)
    )
    found = one_coin(extra, np.append(tracks, 400), np.append(annotators, 3), 401, 4)
    assert found.accuracy[3, 0] < 0.3
    assert found.probabilities[400, 0] == 1.0


def test_it_beats_the_majority_when_some_answer_badly():
    """Three good, three poor annotators, as in the crowd set that the default came from."""
    accuracies = [0.92, 0.9, 0.9, 0.4, 0.35, 0.4]
    truth, answers, tracks, annotators = simulate(accuracies, answers_each=4, seed=2)
    votes = majority(answers, tracks, 400)
    by_vote = np.where(votes.label_mask[:, 0], votes.labels[:, 0] == truth, 0.5).mean()
    found = one_coin(answers, tracks, annotators, 400, 6)
    by_coin = (found.hard().labels[:, 0] == truth).mean()
    assert by_vote < 0.8
    assert by_coin > 0.9
    np.testing.assert_allclose(found.accuracy[:, 0], accuracies, atol=0.08)


def test_soft_targets_are_calibrated():
    truth, answers, tracks, annotators = simulate([0.8, 0.75, 0.7], n_tracks=4_000, seed=5)
    p = one_coin(answers, tracks, annotators, 4_000, 3).probabilities[:, 0]
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.0)):
        inside = (p >= low) & (p <= high)
        assert truth[inside].mean() == pytest.approx(p[inside].mean(), abs=0.06)


def test_labels_do_not_switch_with_two_answers_of_even_quality():
    truth, answers, tracks, annotators = simulate([0.75] * 5, answers_each=2, seed=7)
    found = one_coin(answers, tracks, annotators, 400, 5).hard()
    assert (found.labels[:, 0] == truth).mean() > 0.7


def test_each_label_is_judged_on_its_own():
    _, answers, tracks, annotators = simulate([0.9, 0.9, 0.2], seed=3)
    both = LabelMatrix(
        np.hstack([answers.labels, np.roll(answers.labels, 0)]),
        np.hstack([answers.label_mask, np.zeros_like(answers.label_mask)]),
    )
    found = one_coin(both, tracks, annotators, 400, 3)
    assert not found.label_mask[:, 1].any()
    assert np.isnan(found.accuracy[:, 1]).all()
    alone = one_coin(answers, tracks, annotators, 400, 3)
    np.testing.assert_array_equal(found.probabilities[:, 0], alone.probabilities[:, 0])


def test_bad_indices_are_refused():
    answers = everything([[1], [0]])
    with pytest.raises(ParameterError, match="tracks"):
        majority(answers, np.array([0, 3]), 2)
    with pytest.raises(ParameterError, match="one per answer"):
        majority(answers, np.array([0]), 2)
    with pytest.raises(ParameterError, match="annotators"):
        one_coin(answers, np.array([0, 1]), np.array([0, 5]), 2, 2)


def test_no_answers_at_all():
    nothing = everything(np.zeros((0, 2)))
    empty = np.zeros(0, dtype=int)
    assert not majority(nothing, empty, 3).label_mask.any()
    assert not one_coin(nothing, empty, empty, 3, 2).label_mask.any()
