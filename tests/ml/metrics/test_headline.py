"""Headline figures: right on small audits, covered by their intervals, paired for models."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from benchmarks.headline import is_within_bars, simulated_pool, summarised
from ml.metrics.headline import (
    HEADLINE_KEYS,
    LEAST_LABELS,
    Predicted,
    frequent_labels,
    headline,
    headline_differences,
    yardstick,
)
from ml.metrics.jackknife import MOST_BLOCKS, jackknife, student_quantile
from ml.metrics.ranking import average_precision
from ml.types import LabelMatrix


@pytest.fixture(scope="module")
def pool():
    return simulated_pool()


@pytest.mark.parametrize(("n", "draws"), [(30, 500), (120, 250), (240, 250)])
def test_every_shown_figure_is_right_on_the_mean_and_covered(pool, n, draws):
    rows = {row["figure"]: row for row in summarised(pool, n, draws)}
    assert [row for row in rows.values() if not is_within_bars(row)] == []
    assert rows["skill"]["shown"] == 1.0
    assert rows["macro_ap_10"]["shown"] == (1.0 if n == 240 else 0.0)


def test_figures_over_the_labels_scored_by_chance_are_too_high(pool):
    rows = {row["figure"]: row for row in summarised(pool, 30, 60)}
    assert rows["old_macro_ap"]["error"] > 0.2
    assert rows["old_skill"]["error"] > 0.02


def planted(n=80, n_labels=6, seed=0, quality=2.0):
    rng = np.random.default_rng(seed)
    given = rng.random((n, n_labels)) < 0.3
    logits = quality * (given - 0.5) + rng.normal(size=given.shape) - 0.8
    labels = LabelMatrix(given, np.ones_like(given))
    return labels, Predicted(1 / (1 + np.exp(-logits)), np.full(given.shape, 0.3))


def test_ratios_are_over_all_judged_cells_whatever_is_given():
    labels, predicted = planted()
    labels.labels[:, 0] = False
    prior = np.full(6, 0.3)
    found = headline(predicted, yardstick(labels, prior, prior))
    p, y = predicted.probabilities, labels.labels
    loss = -np.where(y, np.log(p), np.log(1 - p)).sum()
    its = -np.where(y, np.log(0.3), np.log(0.7)).sum()
    assert found["skill"] == pytest.approx(1 - loss / its, abs=0.01)
    chosen = p >= 0.3
    assert found["micro_f1"] == pytest.approx(
        2 * (chosen & y).sum() / (chosen.sum() + y.sum()), abs=0.01
    )
    assert (found["labels"], found["labels_10"]) == (6, 5)
    assert found["baseline"]["skill"] == 0.0
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_cells_that_were_not_judged_change_nothing():
    labels, predicted = planted()
    more = LabelMatrix(
        np.concatenate([labels.labels, ~labels.labels]),
        np.concatenate([labels.label_mask, np.zeros_like(labels.label_mask)]),
    )
    twice = Predicted(
        np.tile(predicted.probabilities, (2, 1)), np.tile(predicted.thresholds, (2, 1))
    )
    prior = np.full(6, 0.3)
    once = headline(predicted, yardstick(labels, prior, prior, np.arange(80)))
    assert headline(twice, yardstick(more, prior, prior, np.arange(160))) == once


def test_macro_ap_needs_frequent_labels_and_covers_only_them():
    labels, predicted = planted()
    prior = np.array([0.3, 0.3, 0.3, 0.3, 0.3, 0.1])
    assert frequent_labels(labels, prior).tolist() == [True] * 5 + [False]
    found = headline(predicted, yardstick(labels, prior, prior))
    assert found["labels_10"] == LEAST_LABELS
    raw = [
        average_precision(predicted.probabilities[:, n], labels.labels[:, n]) for n in range(5)
    ]
    assert found["macro_ap_10"] == pytest.approx(np.mean(raw), abs=0.03)
    few = headline(predicted, yardstick(labels, prior, np.append(prior[:4], [0.1, 0.1])))
    assert few["macro_ap_10"] is None
    assert few["intervals"]["macro_ap_10"] is None
    assert few["labels_10"] == 4


def test_macro_ap_is_shown_when_all_of_few_labels_are_frequent():
    labels, predicted = planted(n_labels=2)
    found = headline(predicted, yardstick(labels, np.full(2, 0.3), np.full(2, 0.3)))
    assert found["macro_ap_10"] is not None


def test_the_jackknife_of_a_mean_is_its_t_interval():
    values = np.random.default_rng(1).normal(size=12)
    rest = [np.delete(values, n).mean() for n in range(12)]
    found = jackknife(np.array([values.mean(), *rest]))
    span = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    assert found == pytest.approx((values.mean(), *span))


@pytest.mark.parametrize("degrees", [1, 2, 3, 10, 50, MOST_BLOCKS - 1])
def test_the_quantile_is_that_of_scipy(degrees):
    assert student_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-5)


def test_two_groups_give_no_interval_and_no_correction():
    labels, predicted = planted()
    prior = np.full(6, 0.3)
    found = headline(predicted, yardstick(labels, prior, prior, np.arange(80) % 2))
    assert found["skill"] is not None
    assert set(found["intervals"].values()) == {None}


def test_many_groups_are_left_out_in_blocks():
    labels, predicted = planted(n=700)
    prior = np.full(6, 0.3)
    by = yardstick(labels, prior, prior)
    assert by.weights.shape == (700, 1 + MOST_BLOCKS)
    assert (by.weights[:, 1:].sum(axis=1) == MOST_BLOCKS - 1).all()
    assert headline(predicted, by)["intervals"]["skill"] is not None


def test_nothing_judged_gives_no_figure():
    nothing = LabelMatrix(np.zeros((4, 2), bool), np.zeros((4, 2), bool))
    half = np.full((4, 2), 0.5)
    found = headline(Predicted(half, half), yardstick(nothing, half, np.full(2, 0.5)))
    assert [found[name] for name in HEADLINE_KEYS] == [None] * 4
    assert found["n"] == found["labels"] == 0


def test_differences_are_paired():
    labels, predicted = planted()
    _, worse = planted(seed=0, quality=1.6)
    prior = np.full(6, 0.3)
    by = yardstick(labels, prior, prior)
    gap = headline_differences(predicted, worse, by)["skill"]
    assert gap["hi"] < 0
    alone = headline(predicted, by)["intervals"]["skill"]
    assert gap["hi"] - gap["lo"] < (alone[1] - alone[0]) / 2
    same = headline_differences(predicted, predicted, by)
    assert all(one == {"difference": 0.0, "lo": 0.0, "hi": 0.0} for one in same.values())
