"""The change test, its correction, and what it could have seen."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2_contingency, false_discovery_control

from benchmarks.drift import found_shares
from ml.consistency.drift import (
    benjamini_hochberg,
    corrected_changes,
    detection_power,
    drift_verdict,
    label_rate_change,
    smallest_attainable_p,
    smallest_visible_change,
    tracks_needed,
    within_reach,
)
from ml.constants import study_labels
from ml.errors import ParameterError


@pytest.mark.parametrize(
    "counts",
    [(30, 200, 60, 200), (1, 50, 9, 40), (0, 80, 5, 90), (5, 5, 2, 9), (3, 900, 4, 800)],
)
def test_p_equals_the_g_test_of_scipy(counts):
    a, n, b, m = counts
    result = chi2_contingency(
        [[a, n - a], [b, m - b]], correction=False, lambda_="log-likelihood"
    )
    assert label_rate_change(*counts) == pytest.approx(result.pvalue, rel=1e-9)


def test_equal_rates_have_p_one_and_an_empty_period_none():
    assert label_rate_change(10, 100, 20, 200) == 1.0
    assert label_rate_change(0, 100, 0, 200) == 1.0
    assert label_rate_change(100, 100, 7, 7) == 1.0
    assert label_rate_change(0, 0, 7, 70) is None


@pytest.mark.parametrize("counts", [(-1, 5, 0, 5), (6, 5, 0, 5), (0, 5, 9, 5)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ParameterError, match="positives"):
        label_rate_change(*counts)


def test_correction_equals_scipy_and_skips_what_was_not_tested():
    p = np.random.default_rng(0).random(40) ** 3
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p), rtol=1e-12)
    holes = np.insert(p, [3, 17], np.nan)
    adjusted = benjamini_hochberg(holes)
    assert np.isnan(adjusted).sum() == 2
    np.testing.assert_allclose(adjusted[~np.isnan(adjusted)], false_discovery_control(p))
    assert benjamini_hochberg(np.array([])).shape == (0,)


def test_correction_of_the_published_example():
    """Benjamini & Hochberg 1995, section 3.2: 15 tests, the first four are called at .05."""
    p = [.0001, .0004, .0019, .0095, .0201, .0278, .0298, .0344, .0459, .3240, .4262, .5719,
         .6528, .7590, 1.0]  # fmt: skip
    assert (benjamini_hochberg(np.array(p)) <= 0.05).sum() == 4


def test_power_equals_a_simulation_of_the_test():
    rng = np.random.default_rng(1)
    before, after = rng.binomial(400, 0.1, 4_000), rng.binomial(300, 0.18, 4_000)
    found = [
        label_rate_change(int(a), 400, int(b), 300) < 0.05
        for a, b in zip(before, after, strict=True)
    ]
    assert detection_power(0.1, 0.18, 400, 300) == pytest.approx(np.mean(found), abs=0.02)


def test_the_smallest_visible_change_has_the_power_asked_for():
    change = smallest_visible_change(0.1, 400, 300)
    assert detection_power(0.1, 0.1 * change.rise, 400, 300) == pytest.approx(0.8)
    assert detection_power(0.1, 0.1 * change.fall, 400, 300) == pytest.approx(0.8)
    assert 1.5 < change.rise < 2.0
    assert 0.3 < change.fall < 0.6


def test_more_tracks_show_smaller_changes_and_few_show_none():
    rises = [smallest_visible_change(0.05, 500, n).rise for n in (50, 200, 1_000)]
    assert rises == sorted(rises, reverse=True)
    assert smallest_visible_change(0.01, 60, 60).fall is None
    assert smallest_visible_change(0.3, 2, 1).rise is None
    assert smallest_visible_change(0.3, 0, 10).rise is None
    with pytest.raises(ParameterError, match="rate"):
        smallest_visible_change(0.0, 10, 10)


def test_tracks_needed_is_the_first_number_with_the_power():
    needed = tracks_needed(0.1, 1.9, 400)
    assert detection_power(0.1, 0.19, 400, needed) >= 0.8
    assert detection_power(0.1, 0.19, 400, needed - 1) < 0.8
    assert tracks_needed(0.01, 1.1, 100) is None


@pytest.mark.parametrize(
    ("n_before", "n_after", "q", "verdict"),
    [
        (200, 200, 0.01, "changed"),
        (200, 200, 0.2, "no change seen"),
        (200, 49, 0.01, "not enough data"),
        (200, 200, None, "not enough data"),
        (200, 200, math.nan, "not enough data"),
    ],
)
def test_verdicts(n_before, n_after, q, verdict):
    assert drift_verdict(n_before, n_after, q) == verdict


def test_steady_criteria_raise_an_alarm_in_at_most_one_window_in_twenty():
    """400 windows of 30 labels at the study's rates, 300 tracks each, nothing changed."""
    rng = np.random.default_rng(6)
    rates = np.array([count for _, count in study_labels()]) / 48_411
    before = rng.binomial(2_000, rates, (400, 30))
    after = rng.binomial(300, rates, (400, 30))
    alarms = 0
    for old, new in zip(before.tolist(), after.tolist(), strict=True):
        counts = [(a, 2_000, b, 300) for a, b in zip(old, new, strict=True)]
        alarms += bool((corrected_changes(counts).q <= 0.05).any())
    assert alarms / 400 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 400)


@pytest.mark.parametrize("counts", [(3, 40, 2, 60), (0, 50, 1, 50), (30, 40, 50, 60)])
def test_the_smallest_attainable_p_is_that_of_all_tables_with_these_totals(counts):
    before, n, after, m = counts
    total = before + after
    tables = [
        label_rate_change(k, n, total - k, m)
        for k in range(max(0, total - m), min(total, n) + 1)
    ]
    assert smallest_attainable_p(*counts) == min(tables)
    assert smallest_attainable_p(0, 0, 2, 9) is None


def test_tests_out_of_reach_are_those_of_tarone():
    attainable = np.array([1e-6, 0.001, 0.012, 0.02, 0.03, 0.2, np.nan])
    # Level / 3 = .0167: three tests reach it. At level / 2 = .025 four do, more than two.
    assert within_reach(attainable).tolist() == [True] * 3 + [False] * 4
    assert within_reach(np.array([0.5, 0.9])).tolist() == [False, False]
    assert within_reach(np.array([])).shape == (0,)


def test_tests_without_a_verdict_do_not_enter_the_correction():
    change = (10, 150, 30, 150)
    alone = corrected_changes([change])
    rare = [(1, 150, 1, 150)] * 500
    short = [(4, 20, 6, 20)] * 500
    beside = corrected_changes([change, *rare, *short, (0, 0, 3, 9)])
    assert beside.q[0] == alone.q[0] == label_rate_change(*change)
    assert (beside.n_tests, beside.is_tested.sum()) == (1, 1)
    assert set(beside.q[1:-1]) == {1.0}
    assert math.isnan(beside.q[-1])


def test_a_change_is_found_as_often_beside_sixty_people_of_few_answers():
    found = found_shares(100, seed=3)
    assert abs(found["alone"] - found["beside"]) <= 0.03
    assert found["beside"] > found["all_beside"] + 0.2
