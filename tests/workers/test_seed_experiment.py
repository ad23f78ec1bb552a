"""Recipes on a library with features: one report, nothing registered."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from django.core.management import CommandError, call_command

from labeling.models import Job, ModelVersion, TrainingRun
from ml.study import compact
from ml.training.recipes import AUDIOTAG, RECIPES
from ml.types import TrainingConfig
from tests.factories import make_library
from tests.planted_library import catalogue, plant

pytestmark = pytest.mark.django_db

FAST = replace(
    AUDIOTAG,
    name="fast",
    title="Fast",
    training=TrainingConfig(network="pooled-numpy"),
    selection=replace(AUDIOTAG.selection, min_support=2),
)
FOLDED = replace(
    FAST,
    name="folded",
    title="Folded",
    selection=replace(FAST.selection, top_labels=2, others="fold"),
)
PERSONS = replace(
    FAST,
    name="one",
    title="One label only",
    selection=replace(FAST.selection, min_support=50),
)


@pytest.fixture(autouse=True)
def recipes(monkeypatch):
    for found in (FAST, FOLDED, PERSONS):
        monkeypatch.setitem(RECIPES, found.name, found)


def call(*arguments):
    out, err = io.StringIO(), io.StringIO()
    call_command("seed_experiment", *map(str, arguments), "--json", stdout=out, stderr=err)
    return json.loads(out.getvalue()), err.getvalue()


def test_one_report_of_all_recipes_and_nothing_registered(tmp_path):
    library = plant().library
    out = tmp_path / "out"
    asked = ("--library", library.slug, "--out", out, "--recipes", "fast,folded", "--seeds", 2)
    answer, _ = call(*asked)
    assert {"report.json", "report.md", "report.html"} <= set(answer["files"])
    fast, folded = answer["recipes"]
    # Three labels whose features say what they are: above the baseline's macro AP of 0.4.
    assert fast["macro_ap"] > 0.8
    assert fast["bce_skill"] > 0.2
    story = json.loads((out / "report.json").read_text())
    first, other = story["recipes"]["runs"]
    assert story["recipes"]["seeds"] == [0, 1]
    assert [first["n_labels"], other["n_labels"]] == [3, 3]
    assert first["n_tracks"] == 44
    assert first["held_out"]["n"] == 16
    assert story["judged_by"] == "the current curator: catalogue"
    assert folded["errors"] == {}
    stored = out / "runs/recipes/folded/seed-0/held_out.npz.xz"
    assert "Others" in {label["name"] for label in _labels_of(stored)}
    assert not ModelVersion.objects.exists()
    assert not TrainingRun.objects.exists()
    assert not Job.objects.filter(state__in=Job.OPEN).exists()


def _labels_of(path):
    record = compact.from_bytes(path.read_bytes())
    return [{"name": label.name} for label in record.labels]


def test_what_is_done_is_not_done_again_until_an_answer_changes(tmp_path):
    planted = plant()
    asked = ("--library", planted.library.slug, "--out", tmp_path, "--recipes", "fast")
    call(*asked)
    assert "fast: was there" in call(*asked)[1]
    catalogue(planted, [50, 51], shift=1)
    assert "fast: was there" not in call(*asked)[1]


def test_a_recipe_without_enough_to_learn_from_is_told_and_the_others_go_on(tmp_path):
    library = plant().library
    answer = call("--library", library.slug, "--out", tmp_path, "--recipes", "one,fast")[0]
    hopeless, fast = answer["recipes"]
    assert hopeless["macro_ap"] is None
    assert list(hopeless["errors"]) == ["0"]
    assert fast["macro_ap"] > 0.8
    assert "Runs that failed:" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recipes", "nonsense"), "there is no recipe 'nonsense'; known: seed-2019"),
        (("--recipes", ","), "--recipes names none"),
        (("--seeds", "0"), "--seeds must be at least 1"),
    ],
)
def test_bad_options_write_nothing(tmp_path, arguments, message):
    library = plant().library
    out = tmp_path / "out"
    with pytest.raises(CommandError, match=message) as refused:
        call("--library", library.slug, "--out", out, *arguments)
    assert refused.value.returncode == 2
    assert not out.exists()


def test_a_library_without_sound_is_refused(tmp_path):
    library = make_library("silent")
    with pytest.raises(CommandError, match="no track of silent has audio") as refused:
        call("--library", library.slug, "--out", tmp_path)
    assert refused.value.returncode == 2
