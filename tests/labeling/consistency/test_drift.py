from __future__ import annotations

import datetime
from collections import Counter

import pytest

from labeling.loop.consistency import agreement, drift
from labeling.loop.consistency.drift import Period, periods
from labeling.models import EraCut, GuidelineVersion
from ml.consistency.drift import label_rate_change
from tests.factories import make_annotator, make_labels, make_library, make_track
from tests.labeling.histories import at, offer, say

pytestmark = pytest.mark.django_db
DAY = datetime.date


@pytest.fixture
def studio():
    library = make_library()
    labels = make_labels(library)
    return library, make_annotator(library, "ana"), labels, offer(labels)


def answer(studio, n, n_yes, when, **over):
    """Give `n` answers at a time, `n_yes` of them Ambient."""
    library, ana, labels, offered = studio
    for number in range(n):
        yes = [labels[0]] if number < n_yes else [labels[2]]
        say(ana, make_track(library), yes, offered=offered, when=when, **over)


def ambient(studio):
    rows = agreement.report(studio[0])["drift"]
    return [row for row in rows if row["label"] == "Ambient"]


def test_planted_change_is_found_between_two_years(studio):
    answer(studio, 60, 30, "2023-06-01")
    answer(studio, 60, 5, "2024-06-01")
    (row,) = ambient(studio)
    assert (row["rate_before"], row["rate_after"]) == (0.5, pytest.approx(5 / 60))
    assert (row["n_before"], row["n_after"], row["stratum"]) == (60, 60, "audit")
    assert row["p"] == label_rate_change(30, 60, 5, 60)
    assert row["p"] <= row["q"] < 0.001
    assert row["is_tested"] is True
    assert row["verdict"] == "changed: x0.17"


def test_steady_rate_says_what_would_have_been_seen(studio):
    answer(studio, 60, 20, "2023-06-01")
    answer(studio, 60, 20, "2024-06-01")
    (row,) = ambient(studio)
    assert row["p"] == pytest.approx(1.0)
    assert row["verdict"].startswith("no change seen: smallest change visible x")


def test_little_data_says_how_many_tracks_are_missing(studio):
    answer(studio, 60, 12, "2023-06-01")
    answer(studio, 10, 1, "2024-06-01")
    (row,) = ambient(studio)
    assert row["verdict"].startswith("not enough data: smallest change visible ")
    assert (row["is_tested"], row["q"]) == (False, 1.0)
    assert "more tracks would show x2" in row["verdict"] or "longer" in row["verdict"]


def test_periods_are_cut_at_guidelines_and_the_annotators_own_eras(studio):
    library, ana, *_ = studio
    GuidelineVersion.objects.create(
        library=library, number=1, text="a", published_at=at("2023-07-01")
    )
    EraCut.objects.create(annotator=ana, at=at("2024-02-01"), reason="new ears")
    other = make_annotator(library, "ben")
    EraCut.objects.create(annotator=other, at=at("2023-09-09"))
    answer(studio, 3, 1, "2023-06-01")
    answer(studio, 3, 1, "2023-12-01")
    answer(studio, 3, 1, "2024-06-01")
    assert [(row["period_before"], row["period_after"]) for row in ambient(studio)] == [
        ("2023-06-01/2023-06-30", "2023-07-01/2024-01-31"),
        ("2023-07-01/2024-01-31", "2024-02-01/2024-06-01"),
    ]


def test_a_label_too_rare_for_a_verdict_is_not_tested(studio):
    answer(studio, 60, 1, "2023-06-01")
    answer(studio, 60, 0, "2024-06-01")
    (row,) = ambient(studio)
    assert row["verdict"].startswith("not enough data: smallest change visible ")
    assert (row["is_tested"], row["q"]) == (False, 1.0)


def test_what_acquisition_served_says_nothing_about_a_person(studio):
    answer(studio, 60, 30, "2023-06-01", stratum="acquire")
    answer(studio, 60, 5, "2024-06-01", stratum="acquire")
    assert ambient(studio) == []


def test_imported_answers_stand_in_where_nothing_was_served(studio):
    answer(studio, 60, 30, "2023-06-01", kind="imported")
    answer(studio, 60, 5, "2024-06-01", kind="imported")
    (row,) = ambient(studio)
    assert (row["stratum"], row["verdict"]) == ("imported", "changed: x0.17")


def test_served_answers_replace_imported_ones_and_overlap_joins_audit(studio):
    answer(studio, 60, 60, "2023-06-01", kind="imported")
    answer(studio, 30, 15, "2023-06-01")
    answer(studio, 30, 15, "2024-06-01", stratum="overlap")
    (row,) = ambient(studio)
    assert (row["stratum"], row["n_before"], row["n_after"]) == ("audit+overlap", 30, 30)


def test_undated_answers_take_no_part(studio):
    answer(studio, 5, 5, None, kind="imported")
    assert ambient(studio) == []


def test_label_that_appears_is_new_not_a_factor(studio):
    answer(studio, 60, 0, "2023-06-01")
    answer(studio, 60, 30, "2024-06-01")
    (row,) = ambient(studio)
    assert row["verdict"] == "changed: new"


@pytest.mark.parametrize(
    ("days", "cuts", "expected"),
    [
        (
            [DAY(2023, 3, 1), DAY(2024, 5, 1)],
            [],
            ["2023-03-01/2023-12-31", "2024-01-01/2024-05-01"],
        ),
        (
            [DAY(2023, 3, 1), DAY(2023, 3, 9)],
            [],
            ["2023-03-01/2023-03-08", "2023-03-09/2023-03-09"],
        ),
        ([DAY(2023, 3, 1)], [], ["2023-03-01/2023-03-01"]),
        (
            [DAY(2023, 3, 1), DAY(2024, 5, 1)],
            [DAY(2023, 3, 1), DAY(2023, 4, 1), DAY(2025, 1, 1)],
            ["2023-03-01/2023-03-31", "2023-04-01/2024-05-01"],
        ),
    ],
)
def test_periods(days, cuts, expected):
    assert [str(one) for one in periods(Counter(days), cuts)] == expected


def test_a_period_says_its_days():
    assert str(Period(DAY(2023, 1, 1), DAY(2023, 1, 31))) == "2023-01-01/2023-01-31"


def test_cuts_are_named_and_in_order(studio):
    library, ana, *_ = studio
    EraCut.objects.create(annotator=ana, at=at("2024-02-01"), reason="new ears")
    GuidelineVersion.objects.create(
        library=library, number=1, text="a", published_at=at("2023-07-01")
    )
    GuidelineVersion.objects.create(library=library, number=2, text="draft")
    assert [(cut.day, cut.reason) for cut in drift.criteria_changes_of(library)] == [
        (DAY(2023, 7, 1), "guideline 1"),
        (DAY(2024, 2, 1), "ana: new ears"),
    ]
