"""Evaluation records on disk, and figures under resampling."""

from __future__ import annotations

import numpy as np
import pytest

from ml.errors import ParameterError
from ml.evaluation.record import EvaluationRecord, RecordFileError, read_record, write_record
from ml.evaluation.report import build_report
from ml.evaluation.resampling import HEADLINES, headline_figures, label_average_precision
from ml.metrics.scores import evaluate
from tests.ml.records import make_record


class TestRecord:
    def test_what_is_written_is_read_back(self, record, tmp_path):
        stored = write_record(tmp_path / "a" / "evaluation.npz", record)
        again = read_record(stored.path, stored.sha256)
        assert again.to_bytes() == record.to_bytes()
        assert stored.size_bytes == stored.path.stat().st_size
        assert [path.name for path in stored.path.parent.iterdir()] == ["evaluation.npz"]
        assert build_report(again, n_resamples=20) == build_report(record, n_resamples=20)

    def test_another_file_is_refused_before_it_is_parsed(self, record, tmp_path):
        stored = write_record(tmp_path / "evaluation.npz", record)
        with pytest.raises(RecordFileError, match="not the evaluation record"):
            read_record(stored.path, "0" * 64)
        with pytest.raises(RecordFileError, match="missing"):
            read_record(tmp_path / "nowhere.npz", stored.sha256)

    def test_a_pickle_is_never_unpacked(self, tmp_path):
        path = tmp_path / "evaluation.npz"
        np.savez(path, track_uids=np.array([{"a": 1}], dtype=object))
        with pytest.raises(RecordFileError, match="does not hold"):
            EvaluationRecord.from_bytes(path.read_bytes())

    @pytest.mark.parametrize(
        "over",
        [
            {"groups": np.zeros(3, dtype=int)},
            {"side": "training"},
            {"track_uids": np.array([b"same"] * 200)},
            {"part_of": np.full(200, 1)},
            {"labels": ()},
        ],
    )
    def test_what_does_not_fit_together_is_refused(self, over):
        with pytest.raises(ParameterError):
            make_record(**over)

    def test_a_label_of_a_recipe_needs_no_facet(self, tmp_path):
        from ml.evaluation.record import LabelName

        names = (*(LabelName(f"uid{k}", f"Label {k}", "genre") for k in range(4)),)
        record = make_record(labels=(*names, LabelName("others", "Others")))
        stored = write_record(tmp_path / "evaluation.npz", record)
        labels = build_report(read_record(stored.path, stored.sha256), n_resamples=5)["labels"]
        assert (labels[-1]["name"], labels[-1]["facet"]) == ("Others", "")


class TestResampling:
    def test_weights_of_one_give_the_figures_themselves(self, record):
        once = np.ones((record.n_tracks, 1))
        args = (record.probabilities, record.reference)
        found = headline_figures(*args, record.cuts, record.constant, once)
        expected = evaluate(*args, record.thresholds[0], prior=record.prior[0], n_bootstrap=0)
        for name in HEADLINES:
            assert found[name][0] == pytest.approx(expected[name])

    def test_a_track_twice_weighs_two(self, record):
        weights = np.ones((record.n_tracks, 1))
        weights[:20] = 2
        twice = np.r_[np.arange(record.n_tracks), np.arange(20)]
        args = (record.probabilities, record.reference, record.cuts, record.constant)
        found = headline_figures(*args, weights)
        doubled = headline_figures(
            record.probabilities[twice], record.reference.rows(twice), record.cuts[twice],
            record.constant[twice], np.ones((len(twice), 1)),
        )  # fmt: skip
        for name in HEADLINES:
            assert found[name][0] == pytest.approx(doubled[name][0])

    def test_blocks_change_nothing(self, record, rng, monkeypatch):
        weights = rng.integers(0, 3, (record.n_tracks, 7)).astype(float)
        whole = label_average_precision(record.probabilities, record.reference, weights)
        monkeypatch.setattr("ml.evaluation.resampling.CELLS_A_BLOCK", 2 * record.n_tracks)
        parts = label_average_precision(record.probabilities, record.reference, weights)
        np.testing.assert_array_equal(whole, parts)

    def test_the_interval_of_macro_ap_is_that_of_the_metrics(self, record):
        stored = evaluate(
            record.probabilities, record.reference, record.thresholds[0],
            prior=record.prior[0], groups=record.groups, n_bootstrap=200,
        )  # fmt: skip
        found = build_report(record)["intervals"]["macro_ap"]
        assert found == pytest.approx(stored["interval"]["macro_ap"])
