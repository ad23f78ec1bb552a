"""The scripted office: shares, times, and a planted change that the drift test must find."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ml.consistency.agreement import consecutive_pairs
from ml.consistency.drift import benjamini_hochberg, label_rate_change
from ml.errors import ParameterError
from ml.simulation.answers import scripted_answers
from ml.simulation.library import SimulationConfig, demo_curators, simulate_tracks

START, CHANGED, END = (datetime(year, 3, 1, tzinfo=UTC) for year in (2022, 2023, 2024))


@pytest.fixture(scope="module")
def tracks():
    return simulate_tracks(SimulationConfig(n_tracks=6_000))


@pytest.fixture(scope="module")
def audit_mask():
    return np.random.default_rng(9).random(6_000) < 0.4


def script(tracks, audit_mask, seed=0, **values):
    arguments = {"period": (START, END), "answers_per_week": 12.0, "audit_mask": audit_mask}
    return scripted_answers(
        tracks, demo_curators(CHANGED), rng=np.random.default_rng(seed), **(arguments | values)
    )


@pytest.fixture(scope="module")
def answers(tracks, audit_mask):
    return script(tracks, audit_mask)


def test_answers_come_in_order_on_working_hours_inside_the_period(answers):
    moments = [answer.answered_at for answer in answers]
    assert moments == sorted(moments)
    assert moments[0] >= START
    assert moments[-1] < END
    assert all(moment.weekday() < 5 and 9 <= moment.hour < 17 for moment in moments)
    assert len(answers) == pytest.approx(3 * 12 * 104.4, rel=0.05)
    assert set(Counter(answer.annotator for answer in answers)) == {"Ana", "Ben", "Cora"}


def test_the_strata_have_their_shares(answers):
    counts = Counter(answer.stratum for answer in answers)
    total = len(answers)
    assert counts["audit"] / total == pytest.approx(0.2, abs=0.03)
    assert counts["overlap"] / total == pytest.approx(0.1, abs=0.02)
    assert counts["repeat"] / total == pytest.approx(0.04, abs=0.015)


def test_audit_and_overlap_are_audit_tracks_and_explore_is_not(answers, audit_mask):
    for answer in answers:
        if answer.stratum != "repeat":
            assert audit_mask[answer.track] == (answer.stratum in ("audit", "overlap"))


def test_overlap_is_judged_by_all_and_the_rest_by_one(answers):
    judges: dict[int, set[str]] = {}
    stratum: dict[int, str] = {}
    for answer in answers:
        judges.setdefault(answer.track, set()).add(answer.annotator)
        stratum.setdefault(answer.track, answer.stratum)
    numbers = Counter((stratum[track], len(names)) for track, names in judges.items())
    assert numbers["overlap", 3] > 100
    assert numbers["audit", 2] == numbers["explore", 2] == 0


def test_repeats_are_own_and_at_least_two_weeks_old(answers):
    for name in ("Ana", "Ben", "Cora"):
        own = [answer for answer in answers if answer.annotator == name]
        times = np.array([answer.answered_at.timestamp() for answer in own])
        earlier, later = consecutive_pairs([answer.track for answer in own], times)
        assert len(later) == sum(answer.stratum == "repeat" for answer in own) > 20
        assert (times[later] - times[earlier]).min() >= timedelta(days=14).total_seconds()
        assert {own[row].stratum for row in later} == {"repeat"}


def test_it_repeats_with_the_seed(tracks, audit_mask, answers):
    again = script(tracks, audit_mask)
    assert [a.track for a in again] == [a.track for a in answers]
    assert all((a.labels == b.labels).all() for a, b in zip(again, answers, strict=True))


def test_without_an_audit_side_there_is_overlap_all_the_same(tracks):
    found = script(tracks, None, answers_per_week=3.0)
    assert {answer.stratum for answer in found} == {"overlap", "repeat", "explore"}


def test_a_small_library_runs_dry_without_an_error():
    small = simulate_tracks(SimulationConfig(n_tracks=40))
    found = script(small, None, repeats=0.0)
    explored = [answer.track for answer in found if answer.stratum == "explore"]
    assert len(explored) == len(set(explored)) == 32


def test_bad_arguments_are_refused(tracks):
    with pytest.raises(ParameterError, match="period"):
        script(tracks, None, period=(END, START))
    with pytest.raises(ParameterError, match="at most 1"):
        script(tracks, None, overlap=0.9, audit=0.3)


def called(tracks, answers, name):
    """Labels that the test calls changed at the known date, on audit and overlap answers."""
    own = [a for a in answers if a.annotator == name and a.stratum in ("audit", "overlap")]
    before = np.array([a.labels for a in own if a.answered_at < CHANGED])
    after = np.array([a.labels for a in own if a.answered_at >= CHANGED])
    p = [
        label_rate_change(int(before[:, label].sum()), len(before), int(count), len(after))
        for label, count in enumerate(after.sum(axis=0))
    ]
    return {
        tracks.config.names[label] for label in np.flatnonzero(benjamini_hochberg(p) <= 0.05)
    }


def test_the_planted_change_is_found_and_nothing_else(tracks, audit_mask):
    """Ana's three changed labels (and what she now hears Electronica as) against all others."""
    names = tracks.config.names
    heard_as = names[tracks.neighbours()[names.index("Electronica")]]
    planted = {"Atmosphere", "Ambient, Chill", "Electronica"}
    n_found, n_false, n_windows = 0, 0, 0
    for seed in range(20):
        answers = script(tracks, audit_mask, seed, audit=0.6, answers_per_week=14.0)
        found = called(tracks, answers, "Ana")
        n_found += len(found & planted)
        n_false += bool(found - planted - {heard_as})
        n_false += sum(bool(called(tracks, answers, name)) for name in ("Ben", "Cora"))
        n_windows += 3
    assert n_found >= 57  # of 60
    assert n_false / n_windows <= 0.05
