"""Trials that are run once and kept, and the report of the study in the small."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from ml.errors import CancelledError
from ml.evaluation.charts import new_figure
from ml.evaluation.pages import Heading, Picture, Table, Text, markdown, page
from ml.features.track_features import ArrayFeatures
from ml.networks.base import EpochReport
from ml.study.charts import CURVES, draw_fits
from ml.study.design import StudyDesign
from ml.study.experiments import Material
from ml.study.files import write_report
from ml.study.runner import RecipeTrial, Watcher, run_trials
from ml.study.side import side_figures
from ml.study.store import StoredRun
from ml.study.study_report import causes, imbalance, study_blocks, study_story, turning_text
from ml.study.text import gap, signature_blocks, verdicts
from ml.training.recipes import AUDIOTAG
from ml.training.selection_rules import SelectionRules
from ml.types import LabelMatrix, TrainingConfig
from tests.ml.study.test_story import record

FAST = replace(
    AUDIOTAG,
    training=TrainingConfig(network="pooled-numpy", epochs=3),
    selection=SelectionRules(min_support=2),
)


def material(shift=0.0):
    rng = np.random.default_rng(0)
    labels = rng.random((60, 3)) < 0.4
    summary = labels @ rng.normal(size=(3, 5)) + 0.3 * rng.normal(size=(60, 5)) + shift
    windows = list(np.repeat(summary[:, None, None], 2, axis=1).astype(np.float32))
    judged = LabelMatrix(labels, np.ones_like(labels))
    return Material(
        names=("a", "b", "c"),
        track_uids=np.array([f"{row}".encode() for row in range(60)]),
        features={"audiotag": ArrayFeatures(summary, windows)},
        said={"all": judged},
        groups=np.arange(60),
        held_out=np.arange(40, 60),
        reference=judged,
    )


def trial(name="fast", recipe=FAST, shift=0.0):
    return RecipeTrial("recipes", name, name, recipe, material(shift))


def test_what_is_kept_is_not_run_again(tmp_path):
    told = []
    watcher = Watcher(on_run=lambda run, is_kept: told.append((run.name, is_kept)))
    first = run_trials([trial()], 0, tmp_path, watcher)[0]
    again = run_trials([trial()], 0, tmp_path, watcher)[0]
    assert told == [("fast", False), ("fast", True)]
    assert np.array_equal(first.held_out.logits, again.held_out.logits)


def test_another_recipe_seed_or_library_is_another_run():
    other = replace(FAST, training=replace(FAST.training, epochs=4))
    keys = {
        trial().key(0),
        trial().key(1),
        trial(recipe=other).key(0),
        trial(shift=1.0).key(0),
    }
    assert len(keys) == 4
    assert trial().key(0) in keys


def test_a_trial_that_cannot_learn_is_kept_with_its_reason_and_the_others_go_on(tmp_path):
    hopeless = replace(FAST, selection=SelectionRules(min_support=1_000))
    found = run_trials([trial("hopeless", hopeless), trial()], 0, tmp_path)
    assert "0 labels have at least 1000" in found[0].error
    assert found[0].held_out is None
    assert found[1].held_out is not None


def test_stopping_keeps_what_is_whole(tmp_path):
    run_trials([trial()], 0, tmp_path)
    stopping = Watcher(should_stop=lambda: True)
    with pytest.raises(CancelledError):
        run_trials([trial(), trial("second")], 0, tmp_path, stopping)
    assert [path.name for path in (tmp_path / "runs/recipes").iterdir()] == ["fast"]


def stored(part, name, seed, quality):
    held_out = record(seed, quality)
    facts = {"n_tracks": 300, "seconds": 2.0}
    return StoredRun(part, name, name, seed, "k", held_out, side_figures(held_out), facts=facts)


@pytest.fixture(scope="module")
def runs():
    return [
        stored("recipes", "seed-2019", 0, 0.0),
        stored("recipes", "seed-next-both", 0, 0.05),
        stored("recipes", "seed-next", 0, 4.0),
        stored("turning", "both-25", 0, 4.0),
        stored("turning", "current-25", 0, 0.05),
        stored("turning", "both-400", 0, 0.05),
        stored("turning", "current-400", 0, 4.0),
        stored("turning", "four-400", 0, 0.05),
        stored("turning", "apart-400", 0, 4.0),
        stored("proposed", "both-800", 0, 4.0),
        stored("proposed", "current-800", 0, 4.0),
        stored("proposed", "both-1600", 0, 0.05),
        stored("proposed", "current-1600", 0, 4.0),
        stored("ablation", "sound", 0, 4.0),
        stored("ablation", "min-max", 0, 0.05),
        stored("ablation", "others", 0, 4.0),
    ]


@pytest.fixture(scope="module")
def story(runs):
    return study_story(runs, StudyDesign())


def test_the_report_tells_what_the_runs_say(runs, story, tmp_path):
    files = write_report(tmp_path, story, study_blocks(story), runs)
    assert json.loads(files[0].read_text()) == story
    page = files[1].read_text()
    assert story["one_curator"]["verdict"] == "better"
    assert "The study's signature appears for all 1 seeds." in page
    assert "Up to 25 tracks it is better to learn from both." in page
    assert "From 400 tracks on the current curator alone is better." in page
    assert "- min-max: ranking harmed (macro AP -0." in page
    assert "- others: ranking not changed significantly (macro AP" in page
    assert "![Loss and binary accuracy by epoch, the first seed](recipes-course.png)" in page
    names = [path.name for path in files]
    assert names[:3] == ["report.json", "report.md", "report.html"]
    assert "ablation-figures.png" in names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in files[3:])
    assert files[2].read_text().count("data:image/png;base64,") == 3


def test_four_networks_and_criteria_told_apart_are_set_beside_one(story):
    """At 400 tracks the four are what the one is, and telling apart is what alone is."""
    few, many = story["turning"]
    assert few["more"] == {}
    assert many["more"]["four"]["differences"]["macro_ap"]["difference"] == 0
    assert many["more"]["four"]["verdict"] == "not told apart"
    gain = many["more"]["apart"]["differences"]["macro_ap"]
    assert gain == many["differences"]["macro_ap"]
    assert gain["lo"] > 0
    page = markdown(study_blocks(story))
    table = page.split("Is leaving out needed?")[1].split("##")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows) == 2  # the heading, and the one size that has all four
    assert rows[1].startswith("| 400 | ")


def test_what_the_author_proposed_is_told_by_size(story):
    assert [row["size"] for row in story["proposed"]] == [800, 1600]
    assert [row["verdict"] for row in story["proposed"]] == ["not told apart", "better"]
    assert [row["size"] for row in story["turning"]] == [25, 400]
    page = markdown(study_blocks(story))
    told = page.split("The same two recipes with 600 tracks")[1].split("Our network")[0]
    assert "From 1600 tracks on the current curator alone is better." in told
    gain = gap(story["proposed"][1]["differences"]["macro_ap"])
    skill = gap(story["proposed"][1]["differences"]["bce_skill"])
    assert f"| {gain} | better | {skill} |" in told


def test_parts_that_did_not_run_are_left_out(runs):
    page = markdown(study_blocks(study_story(runs[:1], StudyDesign())))
    assert "## The recipes" in page
    assert "## Which cause" not in page
    assert "## One curator" not in page
    assert study_story([], StudyDesign())["recipes"] is None


def test_no_turn_is_said_plainly():
    assert said("not told apart") == NOWHERE


NOWHERE = "At none of these sizes is the current curator alone significantly better."
UP_TO_25 = "Up to 25 tracks it is better to learn from both."
FROM_200 = "From 200 tracks on the current curator alone is better."
NO_ORDER = "The verdicts have no order that would show a break-even point."


def said(*verdicts):
    sizes = (25, 50, 100, 200)
    rows = [
        {"size": size, "verdict": verdict}
        for size, verdict in zip(sizes, verdicts, strict=False)
    ]
    return turning_text(rows)


def test_a_turn_is_told_only_where_the_verdicts_have_an_order():
    assert said("worse", "not told apart", "better", "better") == (
        f"{UP_TO_25} From 100 tracks on the current curator alone is better."
    )
    assert said("better", "not told apart", "worse", "not told apart") == NO_ORDER
    assert said("not told apart", "worse", "better", "not told apart") == NO_ORDER
    assert said("worse", "not told apart", "worse", "better") == f"{UP_TO_25} {FROM_200}"
    assert said("worse", "not told apart") == f"{UP_TO_25} {NOWHERE}"


def test_another_library_is_told_beside_and_compared_with_nothing():
    sound = stored("ablation", "sound", 0, 4.0)
    balanced = stored("ablation", "balanced", 1, 4.0)
    story = study_story([sound, replace(balanced, seed=0)], StudyDesign())
    told = story["ablation"]["runs"][1]
    assert told["verdict"] == "not comparable"
    assert told["differences"]["macro_ap"]["difference"] is None
    assert causes(story["ablation"]) == []
    (sentence,) = imbalance(story["ablation"])
    figures = told["held_out"]["figures"]["macro_ap"]
    assert f"against macro AP {figures['mean']:.3f} where the baseline has" in sentence


def test_ranking_and_probabilities_are_told_each_by_itself():
    sound, bold = (stored("ablation", name, 0, 4.0) for name in ("sound", "bold"))
    logits = 3 * bold.held_out.logits
    bold = replace(
        bold,
        held_out=replace(bold.held_out, logits=logits, probabilities=1 / (1 + np.exp(-logits))),
    )
    (told,) = causes(study_story([sound, bold], StudyDesign())["ablation"])
    assert "ranking not changed significantly" in told
    assert "probabilities improved (BCE skill +0." in told


def test_labels_that_a_run_cannot_know_count_against_it():
    both, alone = stored("recipes", "seed-next-both", 0, 8.0), record(0, 8.0)
    kept = slice(0, 15)
    alone = replace(
        alone,
        reference=LabelMatrix(
            alone.reference.labels[:, kept], alone.reference.label_mask[:, kept]
        ),
        logits=alone.logits[:, kept],
        probabilities=alone.probabilities[:, kept],
        thresholds=alone.thresholds[:, kept],
        prior=alone.prior[:, kept],
        labels=alone.labels[kept],
    )
    run = StoredRun("recipes", "seed-next", "n", 0, "k", alone, facts=both.facts)
    told = study_story([both, run], StudyDesign())["one_curator"]
    constant = both.held_out.reference.labels[:, 15:].mean(axis=0)
    assert told["n_labels"] == 30
    assert told["first"]["mean"] == 1.0
    assert told["other"]["mean"] == pytest.approx((15 + constant.sum()) / 30, abs=1e-6)
    assert told["verdict"] == "worse"


def test_text_of_what_is_not_known():
    assert gap(None) == "–"
    assert gap({"difference": None, "lo": None, "hi": None}) == "–"
    assert gap({"difference": 0.25, "lo": None, "hi": None}) == "+0.250"
    assert verdicts(["useful", "useful"]) == "useful"
    assert verdicts(["useful", "cannot be judged"]) == (
        "useful (1 of 2); cannot be judged (1 of 2)"
    )
    told = signature_blocks({"title": "x", "validation": None, "held_out": None})
    assert "did not run" in told[0].text
    told = {"runs": [{"name": "balanced", "verdict": "not comparable"}]}
    assert causes(told) == []


def test_a_page_is_the_same_in_both_languages():
    blocks = [
        Heading("A <b>", 1),
        Text("one & two"),
        Table(["x", "y"], [["1", "a|b"]]),
        Picture("p.png", "what it shows"),
    ]
    assert markdown(blocks) == (
        "# A <b>\n\none & two\n\n| x | y |\n| --- | --- |\n| 1 | a\\|b |\n\n"
        "![what it shows](p.png)\n"
    )
    written = page(blocks, {"p.png": b"png"})
    assert "<h1>A &lt;b&gt;</h1>" in written
    assert "<td>a|b</td>" in written
    assert 'src="data:image/png;base64,cG5n"' in written
    assert "<figure>" not in page(blocks, {})


def test_the_course_shows_what_an_epoch_reports():
    known = {field.name for field in fields(EpochReport)}
    assert {prefix + name for name, _ in CURVES for prefix in ("", "validation_")} <= known


def fits(*stages):
    """Two epochs a stage, or as many as told: the loss falls from 1 in each, none is equal."""
    return [
        {"stage": stage, "loss": 1 / (epoch + 1) + 0.01 * number}
        for number, (stage, n_epochs) in enumerate(stages)
        for epoch in range(n_epochs)
    ]


def drawn(history):
    axes = new_figure(3, 2).add_subplot()
    draw_fits(axes, history, "loss", "training", "#000000", "--")
    return axes


def test_each_fit_of_a_training_is_a_line_of_its_own():
    history = fits(("fold 1 of 2", 3), ("fold 2 of 2", 2), ("all tracks", 1))
    lines = drawn(history).lines
    assert [line.get_xdata().tolist() for line in lines] == [[1, 2, 3], [4, 5], [6]]
    assert [line.get_ydata()[0] for line in lines] == [1.0, 1.01, 1.02]
    # A line through one point would not be seen.
    assert [line.get_marker() for line in lines] == ["", "", "."]
    assert drawn(history).get_legend_handles_labels()[1] == ["training"]


def test_the_scale_of_a_course_does_not_depend_on_its_fits():
    history = fits(("fold 1 of 2", 3), ("fold 2 of 2", 2), ("all tracks", 1))
    as_one = [{**epoch, "stage": "fit"} for epoch in history]
    assert len(drawn(as_one).lines) == 1
    assert drawn(history).get_ylim() == drawn(as_one).get_ylim()
    assert drawn(history).get_xlim() == drawn(as_one).get_xlim()
