"""The compact form of a record keeps every order, every decision and so every figure."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from ml.evaluation.record import RecordFileError, write_record
from ml.evaluation.report import build_report
from ml.files import atomic_write
from ml.metrics.calibration import logit
from ml.study.compact import (
    STEPS,
    arrays_from_npz,
    decode,
    encode,
    from_bytes,
    to_bytes,
    whole_steps,
)
from ml.study.side import side_figures
from ml.study.store import StoredRun, folder_of, read_run, rewrite_runs, write_run
from ml.study.story import summarise_part
from tests.ml.records import history, make_record


def crowded(n=300, n_labels=6, seed=0):
    """A record whose outputs lie closer together than the steps."""
    found = make_record(n=n, n_labels=n_labels, seed=seed, mask=0.0)
    logits = (-3 + 0.02 * np.random.default_rng(seed).normal(size=found.logits.shape)).astype(
        np.float32
    )
    return replace(
        found,
        logits=logits,
        probabilities=(1 / (1 + np.exp(-logits.astype(float)))).astype(np.float32),
        thresholds=np.full((1, n_labels), 1 / (1 + np.exp(3.01))),
    )


def calibrated(**over):
    """A record with probabilities that do not follow from its logits."""
    found = make_record(parts=2, history=history(), about={"seed": 3}, **over)
    probabilities = 1 / (1 + np.exp(-1.7 * found.logits.astype(float) - 0.3))
    return replace(found, probabilities=probabilities.astype(np.float32))


RECORDS = {"crowded": crowded(), "calibrated": calibrated()}


@pytest.fixture(params=RECORDS, ids=list(RECORDS))
def record(request):
    return RECORDS[request.param]


def test_everything_but_the_outputs_comes_back_as_it_was(record):
    found = from_bytes(to_bytes(record))
    for name in ("track_uids", "groups", "thresholds", "prior", "part_of"):
        np.testing.assert_array_equal(getattr(found, name), getattr(record, name))
    np.testing.assert_array_equal(found.reference.labels, record.reference.labels)
    np.testing.assert_array_equal(found.reference.label_mask, record.reference.label_mask)
    for name in ("labels", "side", "judged_by", "about"):
        assert getattr(found, name) == getattr(record, name)
    for epoch, expected in zip(found.history, record.history, strict=True):
        assert epoch.keys() == expected.keys()
        assert epoch["epoch"] == expected["epoch"]
        assert epoch["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    assert found.logits.dtype == found.probabilities.dtype == np.float32


def test_tracks_keep_their_order_under_each_label(record):
    found = from_bytes(to_bytes(record))
    for before, after in (
        (record.logits, found.logits),
        (record.probabilities, found.probabilities),
    ):
        for column in range(before.shape[1]):
            ranks = [
                np.unique(side[:, column], return_inverse=True)[1] for side in (before, after)
            ]
            np.testing.assert_array_equal(*ranks)


def test_decisions_stay_what_they_were(record):
    found = from_bytes(to_bytes(record))
    decided = record.probabilities >= record.cuts
    assert 0 < decided.mean() < 1
    np.testing.assert_array_equal(found.probabilities >= found.cuts, decided)
    np.testing.assert_array_equal(found.raw >= 0.5, record.raw >= 0.5)
    np.testing.assert_array_equal(found.probabilities >= 0.5, record.probabilities >= 0.5)


def test_the_report_is_the_same():
    record = replace(RECORDS["calibrated"], part_of=np.zeros(200, dtype=np.intp))
    before, after = (build_report(one) for one in (record, from_bytes(to_bytes(record))))
    for name in ("macro_ap", "macro_f1", "binary_accuracy"):
        assert after["figures"][name] == before["figures"][name]
        if name in before["intervals"]:
            assert after["intervals"][name] == before["intervals"][name]
    for name in ("bce", "bce_skill"):
        assert after["figures"][name] == pytest.approx(before["figures"][name], abs=1e-4)
    assert after["figures"]["lwlrap"] == pytest.approx(before["figures"]["lwlrap"], abs=0.005)
    assert after["verdict"]["text"] == before["verdict"]["text"]


def test_average_precision_by_another_program_is_the_same(record):
    found = from_bytes(to_bytes(record))
    for column in range(record.reference.n_labels):
        judged = record.reference.label_mask[:, column]
        truth = record.reference.labels[judged, column]
        expected = average_precision_score(truth, record.probabilities[judged, column])
        got = average_precision_score(truth, found.probabilities[judged, column])
        assert got == pytest.approx(expected, abs=1e-12)


def test_no_output_moves_by_more_than_a_step(record):
    found = from_bytes(to_bytes(record))
    assert np.abs(found.logits - record.logits).max() <= 1 / STEPS
    assert (
        np.abs(logit(found.probabilities) - logit(record.probabilities)).max() <= 1.01 / STEPS
    )


def test_it_is_a_third_of_the_whole_record_or_less():
    record = make_record(n=300, n_labels=30, mask=0.0, prior=np.full(30, 0.06))
    assert len(to_bytes(record)) < len(record.to_bytes()) / 3
    arrays = arrays_from_npz(to_bytes(record))
    assert {"calibrated_low", "label_mask", "logits_missing"}.isdisjoint(arrays)


def test_what_is_not_known_and_what_is_certain_come_back():
    record = calibrated()
    logits, probabilities = record.logits.copy(), record.probabilities.copy()
    logits[3], probabilities[3] = np.nan, record.prior[0]
    probabilities[4], probabilities[5] = 0.0, 1.0
    logits[6], logits[7] = -np.inf, 1e30
    found = from_bytes(to_bytes(replace(record, logits=logits, probabilities=probabilities)))
    np.testing.assert_array_equal(np.isnan(found.logits), np.isnan(logits))
    assert np.allclose(found.probabilities[3], record.prior[0], atol=0.001)
    assert (found.probabilities[4] == 0).all()
    assert (found.probabilities[5] == 1).all()
    assert (found.raw[6] == 0).all()
    assert (found.raw[7] == 1).all()


def test_a_training_that_diverged_leaves_no_outputs():
    record = make_record(n=20)
    nothing = np.full_like(record.logits, np.nan)
    found = from_bytes(to_bytes(replace(record, logits=nothing, probabilities=nothing)))
    assert np.isnan(found.logits).all()
    assert np.isnan(found.probabilities).all()


def test_no_tracks_at_all():
    record = make_record(n=0)
    found = from_bytes(to_bytes(record))
    assert found.n_tracks == 0
    assert found.labels == record.labels


def test_more_tracks_than_steps():
    values = np.random.default_rng(1).normal(-3, 1, 5_000)
    steps = 1 << 13
    found = whole_steps(values, steps, np.array([-4.0, 0.0]))
    np.testing.assert_array_equal(np.argsort(found), np.argsort(values))
    np.testing.assert_array_equal(found >= -4 * steps, values >= -4)
    assert np.abs(found / steps - values).max() < 0.01


def test_where_the_steps_do_not_suffice_neighbours_share_one():
    values = np.linspace(0.01, 0.24, 24)
    found = whole_steps(values, 4, np.array([0.0, 0.25]))
    assert (found < 1).all()
    assert (np.diff(found) <= 1).all()


def test_columns_without_thresholds_are_rounded():
    values = np.array([[0.1, 2.0], [0.30001, np.nan], [-0.2, 70.0]])
    found = decode("x", encode("x", values, 1024))
    assert np.allclose(found, values, rtol=0, atol=0.5 / 1024, equal_nan=True)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"\xfd7zXZ", make_record(n=4).to_bytes()], ids=len
)
def test_anything_else_is_refused(content):
    with pytest.raises(RecordFileError, match="not a compact evaluation record"):
        from_bytes(content)


def write_whole(root, run, held_out, validation):
    """Write a run in format 1, as earlier versions did."""
    folder = folder_of(root, run.part, run.name, run.seed)
    checksums = {
        name: write_record(folder / name, record).sha256
        for name, record in (("held_out.npz", held_out), ("validation.npz", validation))
    }
    facts = {name: getattr(run, name) for name in ("part", "name", "title", "seed", "key")}
    facts |= {"format": 1, "error": "", "facts": run.facts, "sha256": checksums}
    atomic_write(folder / "run.json", json.dumps(facts).encode())
    return folder


def test_runs_of_earlier_versions_are_read_and_made_small(tmp_path):
    held_out, validation = crowded(seed=1), make_record(n=120, seed=2)
    run = StoredRun("recipes", "a", "A", 0, "key", facts={"n_tracks": 7, "seconds": 1.0})
    folder = write_whole(tmp_path, run, held_out, validation)
    before = read_run(tmp_path, "recipes", "a", 0, key="key")
    np.testing.assert_array_equal(before.held_out.logits, held_out.logits)
    assert before.validation == side_figures(validation)

    assert rewrite_runs(tmp_path) == 1
    assert rewrite_runs(tmp_path) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "held_out.npz.xz",
        "run.json",
        "validation_draws.npz.xz",
    ]
    after = read_run(tmp_path, "recipes", "a", 0, key="key")
    assert after.validation == before.validation
    assert after.facts == before.facts
    for side in ("held_out", "validation"):
        expected, got = (
            summarise_part([one])["runs"][0][side]["figures"] for one in (before, after)
        )
        for name, figure in expected.items():
            allowed = 0.005 if name == "lwlrap" else 1e-4
            assert got[name]["mean"] == pytest.approx(figure["mean"], abs=allowed)
            assert (got[name]["interval"] or ()) == pytest.approx(
                figure["interval"] or (), abs=allowed
            )


def test_a_run_that_replaces_one_of_an_earlier_version_leaves_nothing_of_it(tmp_path):
    run = StoredRun("recipes", "a", "A", 0, "key")
    folder = write_whole(tmp_path, run, crowded(), crowded())
    write_run(tmp_path, replace(run, error="it diverged"))
    assert [path.name for path in folder.iterdir()] == ["run.json"]
    assert read_run(tmp_path, "recipes", "a", 0).held_out is None


def test_a_rewriting_that_is_killed_leaves_the_earlier_run(tmp_path, monkeypatch):
    run = StoredRun("recipes", "a", "A", 0, "key", facts={"n_tracks": 7, "seconds": 1.0})
    held_out = crowded(seed=1)
    folder = write_whole(tmp_path, run, held_out, make_record(n=120, seed=2))

    def killed(path, content):
        if path.name == "run.json":
            raise KeyboardInterrupt
        return atomic_write(path, content)

    monkeypatch.setattr("ml.study.store.atomic_write", killed)
    with pytest.raises(KeyboardInterrupt):
        rewrite_runs(tmp_path)
    monkeypatch.undo()
    np.testing.assert_array_equal(
        read_run(tmp_path, "recipes", "a", 0, key="key").held_out.logits, held_out.logits
    )
    assert rewrite_runs(tmp_path) == 1
    assert not (folder / "validation.npz").exists()
