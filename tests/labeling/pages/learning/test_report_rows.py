"""Labels of a report under names that distinguish them."""

from __future__ import annotations

import pytest

from labeling.views.learning import report_rows

LABELS = [
    {"uid": "a", "name": "Piano", "facet": "genre", "support": 3},
    {"uid": "b", "name": "Tense", "facet": "mood", "support": 2},
    {"uid": "c", "name": "piano", "facet": "instrumentation", "support": 1},
]
NAMES = ["Piano (genre)", "Tense", "piano (instrumentation)"]


@pytest.fixture
def report():
    never = {"raw_at_half": [], "at_half": ["c", "b"], "tuned": ["a"]}
    said = {"index": 0, "n": 1, "share": 1.0}
    return {
        "labels": LABELS,
        "diagnosis": {"never": never},
        "confusions": [{"index": 2, "missed": 2, "instead": [said]}],
        "precision_recall": {"a": [[1, 1]], "b": [], "c": [[1, 1]]},
    }


def test_a_name_that_two_facets_have_says_its_facet():
    assert report_rows.telling_names(LABELS) == NAMES


def test_without_a_facet_the_name_is_all_there_is():
    nowhere = [{**row, "facet": ""} for row in LABELS]
    assert report_rows.telling_names(nowhere) == ["Piano", "Tense", "piano"]


def test_never_predicted_labels_are_told_apart(report):
    names = [row["names"] for row in report_rows.never_rows(report)]
    assert names == [[], ["piano (instrumentation)", "Tense"], ["Piano (genre)"]]


def test_confusions_are_told_apart(report):
    (row,) = report_rows.confusion_rows(report)
    assert row["name"] == "piano (instrumentation)"
    assert row["instead"] == [{"name": "Piano (genre)", "n": 1, "share": 0.5}]


def test_curves_are_told_apart(report):
    rows = report_rows.curve_rows(report, report_rows.ReportQuery())
    assert [row["name"] for row in rows] == ["Piano (genre)", "piano (instrumentation)"]


def test_compared_curves_are_told_apart(report):
    rows = report_rows.compared_curves(report)
    assert [row["name"] for row in rows] == ["Piano (genre)", "piano (instrumentation)"]


def test_the_table_of_labels_has_the_facet_beside_the_plain_name(report):
    rows = report_rows.report_label_rows(report, report_rows.ReportQuery())
    assert [(row["name"], row["facet"]) for row in rows] == [
        ("Piano", "genre"),
        ("Tense", "mood"),
        ("piano", "instrumentation"),
    ]
