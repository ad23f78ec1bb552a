"""What a report says of the choices of a training."""

from __future__ import annotations

from dataclasses import replace

from ml.choices import what_it_does
from ml.experiment_report import library_blocks, library_story
from ml.pages import markdown
from ml.recipes import AUDIOTAG, SEED_2019, SEED_NEXT
from tests.ml.test_experiment_story import record, run_of

ONE_WEIGHT = "each track gets one weight, that of its first label"


def test_the_study_is_told_what_its_choices_do():
    for recipe in (SEED_2019, SEED_NEXT):
        told = what_it_does(recipe.training.canonical())
        assert len(told) == 5
        assert ONE_WEIGHT in told[0]
        assert "both sides of the validation split" in told[1]


def test_there_is_nothing_to_say_of_ours():
    assert what_it_does(AUDIOTAG.training.canonical()) == []
    assert what_it_does({}) == []


def test_the_report_of_an_experiment_says_it():
    about = {"recipe": SEED_2019.canonical()}
    run = run_of("seed-2019", 0, replace(record(0, 0.0), about=about))
    page = markdown(library_blocks(library_story([run], "mine")))
    assert "Seed-2019, what its choices do:\n\n- class_weight of Keras" in page
    assert ONE_WEIGHT in page
    plain = run_of("audiotag", 0, record(0, 8.0))
    assert ONE_WEIGHT not in markdown(library_blocks(library_story([plain], "mine")))
