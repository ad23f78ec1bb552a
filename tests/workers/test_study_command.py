"""Input that the command of the study in the small refuses."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from django.core.management import CommandError, call_command

from ml.study import trials
from ml.study.store import write_run
from ml.types import TrainingConfig
from tests.ml.study.test_study_report import stored


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--parts", "recipes,nonsense"), "--parts must be of .*, ablation, proposed"),
        (("--parts", ""), "--parts must be of"),
        (("--seeds", "0"), "--seeds must be at least 1"),
        (("--tracks", "100"), "--tracks must be at least 200"),
    ],
)
def test_bad_options_write_nothing(tmp_path, arguments, message):
    out = tmp_path / "study"
    with pytest.raises(CommandError, match=message) as refused:
        call_command("study_in_small", "--out", str(out), *arguments)
    assert refused.value.returncode == 2
    assert not out.exists()


def test_runs_that_were_not_asked_for_are_in_no_report(tmp_path, monkeypatch):
    fast = TrainingConfig(network="pooled-numpy", epochs=2)
    quick = replace(trials.AUDIOTAG, training=fast)
    for name in ("SEED_2019", "SEED_NEXT", "SEED_NEXT_BOTH", "AUDIOTAG"):
        recipe = replace(quick, name=getattr(trials, name).name)
        if name == "SEED_NEXT":
            recipe = replace(recipe, training=replace(fast, loss="keras-class-weight"))
        monkeypatch.setattr(trials, name, recipe)
    write_run(tmp_path, stored("recipes", "seed-2019", 1, 0.0))
    write_run(tmp_path, stored("turning", "both-25", 0, 0.0))
    call_command(
        "study_in_small", "--out", str(tmp_path), "--tracks", "200", "--seeds", "1",
        "--parts", "recipes", stdout=io.StringIO(), stderr=io.StringIO(),
    )  # fmt: skip
    story = json.loads((tmp_path / "report.json").read_text())
    assert story["recipes"]["seeds"] == [0]
    assert story["turning"] is None
    page = (tmp_path / "report.md").read_text()
    title = next(run["title"] for run in story["recipes"]["runs"] if run["name"] == "seed-next")
    assert f"| {title} | class_weight of Keras on targets with several labels" in page
