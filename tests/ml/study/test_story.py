"""The summary of several runs, on records whose answers are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from ml.evaluation.diagnosis import NO_BETTER, USEFUL
from ml.evaluation.record import EvaluationRecord, LabelName, RecordFileError
from ml.metrics.calibration import sigmoid
from ml.study.compact import STEPS
from ml.study.side import side_figures
from ml.study.store import (
    ExperimentFileError,
    StoredRun,
    folder_of,
    read_run,
    read_runs,
    write_run,
)
from ml.study.story import summarise_part
from ml.types import LabelMatrix

N_TRACKS, N_LABELS = 120, 30
SHARE = 2 / 30


def record(seed, quality, names=None, height=0.0):
    """Outputs around the label shares; `quality` is how far a positive stands out."""
    rng = np.random.default_rng(seed)
    labels = rng.random((N_TRACKS, N_LABELS)) < SHARE
    logits = np.log(SHARE / (1 - SHARE)) + height + quality * labels
    logits = logits + 0.05 * rng.normal(size=labels.shape)
    names = names or [f"label {index}" for index in range(N_LABELS)]
    return EvaluationRecord(
        track_uids=np.array([f"t{row}".encode() for row in range(N_TRACKS)], dtype="S36"),
        groups=np.arange(N_TRACKS, dtype=np.int64) // 2,
        reference=LabelMatrix(labels, np.ones_like(labels)),
        logits=logits.astype(np.float32),
        probabilities=(1 / (1 + np.exp(-logits))).astype(np.float32),
        thresholds=np.full((1, N_LABELS), 0.5),
        prior=np.full((1, N_LABELS), SHARE),
        part_of=np.zeros(N_TRACKS, dtype=np.intp),
        labels=tuple(LabelName(name, name) for name in names),
    )


def run_of(name, seed, held_out, **values):
    facts = {"n_tracks": 480, "seconds": 12.5}
    return StoredRun("recipes", name, name.title(), seed, "k", held_out, facts=facts, **values)


@pytest.fixture(scope="module")
def story():
    runs = [
        *(run_of("flat", seed, record(seed, 0.0)) for seed in (0, 1)),
        *(run_of("good", seed, record(seed, 8.0)) for seed in (0, 1)),
    ]
    return summarise_part(runs, first="flat")


def test_outputs_at_the_label_shares_are_the_studys_signature(story):
    flat = story["runs"][0]["held_out"]
    assert flat["verdicts"] == [NO_BETTER, NO_BETTER]
    assert [found["all"] for found in flat["signature"]] == [True, True]
    assert flat["outputs"]["small_labels"] == 30
    assert flat["outputs"]["share_small"] == 1.0
    assert flat["figures"]["bce_skill"]["mean"] == pytest.approx(0.0, abs=0.01)
    nothing = flat["figures"]["binary_accuracy"]
    assert nothing["mean"] == nothing["constant"] == pytest.approx(1 - SHARE, abs=0.01)


def test_outputs_that_stand_out_are_not(story):
    good = story["runs"][1]["held_out"]
    assert good["verdicts"] == [USEFUL, USEFUL]
    assert not any(found["all"] for found in good["signature"])
    assert good["figures"]["macro_ap"]["mean"] == 1.0
    assert good["outputs"]["small_labels"] == 0


def test_figures_are_means_over_the_seeds(story):
    flat = story["runs"][0]["held_out"]["figures"]["macro_ap"]
    expected = [
        average_precision_score(one.reference.labels, one.probabilities)
        for one in (record(0, 0.0), record(1, 0.0))
    ]
    assert flat["mean"] == pytest.approx(np.mean(expected), abs=1e-6)
    assert [flat["low"], flat["high"]] == pytest.approx(sorted(expected), abs=1e-6)
    assert flat["interval"][0] < flat["mean"] < flat["interval"][1]


def test_differences_are_paired_and_told_by_their_interval(story):
    first, other = story["runs"]
    assert story["first"] == "flat"
    assert first["differences"] is None
    gap = other["differences"]["macro_ap"]
    expected = other["held_out"]["figures"]["macro_ap"]["mean"]
    expected -= first["held_out"]["figures"]["macro_ap"]["mean"]
    assert gap["difference"] == pytest.approx(expected, abs=1e-6)
    assert 0 < gap["lo"] < gap["difference"] < gap["hi"]
    assert other["verdict"] == "better"


def test_only_common_labels_are_compared():
    names = [f"label {index}" for index in range(N_LABELS - 1)]
    a, b = record(0, 0.0, [*names, "Others"]), record(0, 8.0, [*names, "Rare"])
    told = summarise_part([run_of("flat", 0, a), run_of("good", 0, b)])
    kept = slice(0, N_LABELS - 1)
    expected = 1 - average_precision_score(
        a.reference.labels[:, kept], a.probabilities[:, kept]
    )
    gap = told["runs"][1]["differences"]["macro_ap"]["difference"]
    assert gap == pytest.approx(expected, abs=1e-6)


def test_a_run_that_failed_is_told_and_compared_with_nothing():
    failed = run_of("dead", 0, None, error="it diverged")
    dead = summarise_part([run_of("good", 0, record(0, 8.0)), failed])["runs"][1]
    assert dead["errors"] == {0: "it diverged"}
    assert dead["held_out"] is None
    assert dead["differences"] is None
    assert summarise_part([failed])["first"] == ""


def test_a_whole_run_comes_back_as_it_was(tmp_path):
    held_out = record(3, 1.0)
    logits = np.round(held_out.logits * STEPS) / STEPS
    held_out = replace(held_out, logits=logits, probabilities=sigmoid(logits).astype("f4"))
    run = run_of("flat", 3, held_out, validation=side_figures(record(4, 0.0)))
    write_run(tmp_path, run)
    found = read_run(tmp_path, "recipes", "flat", 3, key="k")
    assert found.facts == run.facts
    assert np.array_equal(found.held_out.logits, run.held_out.logits)
    assert np.array_equal(found.held_out.probabilities, run.held_out.probabilities)
    assert found.validation == run.validation
    for name, draws in run.validation.draws.items():
        assert np.allclose(found.validation.draws[name], draws, rtol=0, atol=0.0001)
    assert [one.name for one in read_runs(tmp_path)] == ["flat"]


def test_a_run_of_other_parameters_or_half_written_is_done_anew(tmp_path):
    run = run_of("flat", 3, record(3, 1.0))
    write_run(tmp_path, run)
    assert read_run(tmp_path, "recipes", "flat", 3, key="another") is None
    (folder_of(tmp_path, "recipes", "flat", 3) / "run.json").unlink()
    assert read_run(tmp_path, "recipes", "flat", 3) is None
    assert read_runs(tmp_path) == []


def test_changed_files_are_refused(tmp_path):
    write_run(tmp_path, run_of("flat", 3, record(3, 1.0)))
    folder = folder_of(tmp_path, "recipes", "flat", 3)
    (folder / "held_out.npz.xz").write_bytes(b"something else")
    with pytest.raises(RecordFileError, match="not the evaluation record"):
        read_run(tmp_path, "recipes", "flat", 3)
    (folder / "run.json").write_text("{")
    with pytest.raises(ExperimentFileError, match="remove the folder and run it again"):
        read_run(tmp_path, "recipes", "flat", 3)
