"""Sentences of a report about the choices of a training."""

from __future__ import annotations

from dataclasses import replace

from ml.evaluation.pages import Heading, Table, markdown
from ml.study.library_report import library_blocks, library_story
from ml.study.text import choices_section
from ml.training.choice_effects import explain_choices
from ml.training.recipes import AUDIOTAG, SEED_2019, SEED_NEXT
from tests.ml.study.test_story import record, run_of

ONE_WEIGHT = "each track gets one weight, that of its first label"
HEADING = "## What the choices of these runs do"


def ran(recipe):
    """Return a run of a recipe; its outputs do not matter here."""
    about = {"recipe": recipe.canonical()}
    return run_of(recipe.name, 0, replace(record(0, 8.0), about=about))


def test_the_study_is_told_what_its_choices_do():
    for recipe in (SEED_2019, SEED_NEXT):
        told = explain_choices(recipe.training.canonical())
        assert len(told) == 5
        assert ONE_WEIGHT in told[0]
        assert "both sides of the validation split" in told[1]
        assert "its validation figures are too good" in told[1]
        assert "not calibrated" in told[3]
        assert "threshold of every label is one half" in told[4]


def test_there_is_nothing_to_say_of_ours():
    assert explain_choices(AUDIOTAG.training.canonical()) == []
    assert explain_choices({}) == []


def test_the_report_of_an_experiment_says_it():
    runs = [ran(recipe) for recipe in (SEED_2019, SEED_NEXT, AUDIOTAG)]
    page = markdown(library_blocks(library_story(runs, "mine")))
    assert "| Seed-2019; Seed-Next | class_weight of Keras" in page
    assert page.count(ONE_WEIGHT) == 1
    assert HEADING not in markdown(library_blocks(library_story(runs[2:], "mine")))


def test_a_choice_names_every_run_of_every_part_that_made_it_once():
    uncalibrated = {"title": "A", "choices": ["not calibrated"]}
    both = {"title": "B", "choices": ["one weight", "not calibrated"]}
    parts = (
        {"runs": [uncalibrated, both]},
        None,
        {"runs": [both, {"title": "C", "choices": []}]},
    )
    assert choices_section(*parts) == [
        Heading("What the choices of these runs do"),
        Table(["runs", "what it does"], [["A; B", "not calibrated"], ["B", "one weight"]]),
    ]
    assert choices_section(None, {"runs": []}) == []
