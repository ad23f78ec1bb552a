"""The figures of the study in docs/experiments.md match the records in docs/study/runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from ml.constants import GENRE_COUNTS, N_TOP_GENRES
from ml.study import trials
from ml.study.design import StudyDesign
from ml.study.store import read_runs
from ml.study.study_report import study_story
from ml.training.recipes import AUDIOTAG, SEED_2019, SEED_NEXT

DOCS = Path(__file__).resolve().parents[2] / "docs"
SEEDS = (0, 1, 2)
TOP_GENRES = sorted(GENRE_COUNTS, key=lambda name: -GENRE_COUNTS[name])[:N_TOP_GENRES]
#: macro AP as the tables say, the mean of three seeds, by part and run.
SAID = {
    ("recipes", "seed-2019"): 0.166,
    ("recipes", "seed-next"): 0.176,
    ("recipes", "seed-next-both"): 0.191,
    ("recipes", "audiotag"): 0.198,
    ("ablation", "sound"): 0.156,
    ("ablation", "window-leak"): 0.157,
    ("ablation", "balanced"): 0.199,
}


@pytest.fixture(scope="module")
def runs():
    return {(run.part, run.name, run.seed): run for run in read_runs(DOCS / "study")}


@pytest.fixture(scope="module")
def records(runs):
    return {key: run.held_out for key, run in runs.items()}


def macro_ap(record):
    labels = record.reference.labels
    assert record.reference.label_mask.all()
    has_both = labels.any(axis=0) & ~labels.all(axis=0)
    return average_precision_score(labels[:, has_both], record.probabilities[:, has_both])


@pytest.mark.parametrize("key", SAID, ids="/".join)
def test_macro_ap_is_that_of_the_records(records, key):
    found = np.mean([macro_ap(records[*key, seed]) for seed in SEEDS])
    assert found == pytest.approx(SAID[key], abs=0.0005)
    text = f"{SAID[key]:.3f}".lstrip("0")
    assert re.search(rf"(?<!\d){re.escape(text)}", (DOCS / "experiments.md").read_text())


@pytest.mark.parametrize(
    ("names", "said"), [(GENRE_COUNTS, 0.185), (TOP_GENRES, 0.204)], ids=["all", "the study's"]
)
def test_the_skill_is_that_of_the_records(records, names, said):
    """Against how often the current curator gives each label."""
    skills = []
    for seed in SEEDS:
        record = records["recipes", "audiotag", seed]
        labels = record.reference.labels
        is_asked = np.array([label.name in names for label in record.labels])
        has_both = labels.any(axis=0) & ~labels.all(axis=0) & is_asked

        def bce(p, labels=labels, columns=has_both):
            p = np.clip(p.astype(float), 1e-7, 1 - 1e-7)
            return -np.where(labels, np.log(p), np.log(1 - p))[:, columns].mean()

        skills.append(1 - bce(record.probabilities) / bce(record.constant))
    assert np.mean(skills) == pytest.approx(said, abs=0.0005)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_studys_outputs_stay_small(records, seed):
    raw = 1 / (1 + np.exp(-records["recipes", "seed-2019", seed].logits))
    assert (raw.max(axis=0) < 0.5).sum() >= 24
    accuracy = ((raw > 0.5) == records["recipes", "seed-2019", seed].reference.labels).mean()
    nothing = 1 - records["recipes", "seed-2019", seed].reference.labels.mean()
    assert accuracy == pytest.approx(nothing, abs=0.01)


def test_what_the_author_proposed_pays_with_many_tracks():
    """Over the labels that either run knows, as the table says it."""
    runs = [run for run in read_runs(DOCS / "study") if run.part == "proposed"]
    (row,) = study_story(runs, StudyDesign())["proposed"]
    assert row["size"] == 1_600
    text = (DOCS / "experiments.md").read_text()
    gains = [
        "{difference:+.3f} [{lo:+.3f}, {hi:+.3f}]".format(**row["differences"][name])
        for name in ("macro_ap", "bce_skill")
    ]
    macro_ap, skill = (gain.replace("0.", ".") for gain in gains)
    assert f"| {macro_ap} | {row['verdict']} | {skill} |" in text
    assert row["differences"]["macro_ap"]["lo"] > 0


@pytest.mark.parametrize(
    ("name", "reported", "held_out"),
    [("sound", ".270", ".156"), ("window-leak", ".356", ".157")],
)
def test_what_a_run_reports_about_itself_is_stored(runs, name, reported, held_out):
    own = np.mean(
        [runs["ablation", name, seed].validation.figures["macro_ap"] for seed in SEEDS]
    )
    assert f"{own:.3f}".lstrip("0") == reported
    text = (DOCS / "experiments.md").read_text()
    assert f"{reported} and {held_out}" in text or re.search(
        rf"{re.escape(reported)},\s+while held-out tracks give {re.escape(held_out)}", text
    )


def test_the_signature_on_the_validation_set_is_stored(runs):
    """Accuracy and outputs agree for 27, 27 and 26 labels; the third verdict has a skill."""
    sides = [runs["recipes", "seed-2019", seed].validation for seed in SEEDS]
    assert [side.outputs["small_labels"] for side in sides] == [27, 27, 26]
    assert all(side.signature["accuracy"] and side.signature["outputs"] for side in sides)
    (other,) = (side for side in sides if not side.signature["verdict"])
    assert other.figures["bce_skill"] == pytest.approx(0.032, abs=0.0005)
    text = (DOCS / "experiments.md").read_text()
    assert "(27, 27, 26" in text
    assert "a skill of .032" in text


def test_todays_recipes_are_those_of_the_stored_runs(runs):
    """The wording of a recipe is part of the key of its runs: others would be run again."""
    ablation = {name: recipe for name, _, recipe in trials.ablation_recipes()}
    recipes = {
        "recipes": {
            recipe.name: recipe
            for recipe in (SEED_2019, SEED_NEXT, trials.SEED_NEXT_BOTH, AUDIOTAG)
        },
        "ablation": {**ablation, "balanced": trials.SOUND},
        "proposed": {"both-1600": trials.SEED_NEXT_BOTH, "current-1600": SEED_NEXT},
    }
    assert len(runs) == 43
    for (part, name, _), run in runs.items():
        today = json.dumps(recipes[part][name].canonical(), sort_keys=True)
        assert json.dumps(run.held_out.about["recipe"], sort_keys=True) == today


def test_the_records_stay_small():
    files = [path for path in (DOCS / "study").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {
        "held_out.npz.xz",
        "run.json",
        "validation_draws.npz.xz",
    }
    assert sum(path.stat().st_size for path in files) < 1_000_000
