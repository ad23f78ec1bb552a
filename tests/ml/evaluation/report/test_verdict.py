"""Known answers, missing figures and the rules of the verdict."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from ml.evaluation import curves, diagnosis
from ml.evaluation.diagnosis import Evidence, verdict
from ml.evaluation.report import build_report
from ml.evaluation.resampling import HEADLINES
from ml.types import LabelMatrix
from tests.ml.evaluation.report.world import FAR, GOOD, NEAR, fixed, of
from tests.ml.records import history, make_record


class TestKnownAnswers:
    def test_a_perfect_predictor_has_skill_and_ap_of_one(self):
        record = make_record()
        perfect = fixed(record, record.reference.labels.astype(float))
        report = build_report(perfect, n_resamples=20)
        assert report["figures"]["macro_ap"] == 1
        assert report["figures"]["bce_skill"] == pytest.approx(1, abs=1e-5)
        assert report["figures"]["macro_f1"] == 1
        assert report["verdict"]["text"] == diagnosis.USEFUL
        assert report["confusions"] == []
        assert report["calibration"]["after"]["ece"] == pytest.approx(0, abs=1e-6)

    @pytest.mark.parametrize("seed", range(5))
    def test_shuffled_labels_have_no_skill(self, seed):
        record = make_record(skill=4.0, seed=seed)
        order = np.random.default_rng(seed).permutation(record.n_tracks)
        shuffled = replace(record, reference=record.reference.rows(order))
        report = build_report(shuffled, n_resamples=50)
        assert report["figures"]["bce_skill"] <= 0
        assert report["verdict"]["text"] in (
            diagnosis.NO_BETTER,
            diagnosis.MISLEADING,
            diagnosis.LIKE_GUESSING,
        )

    def test_the_constant_is_no_better_than_the_label_frequencies(self, record):
        report = build_report(fixed(record, record.constant), n_resamples=50)
        assert report["figures"]["bce_skill"] == pytest.approx(0, abs=1e-6)
        assert report["verdict"]["text"] == diagnosis.NO_BETTER
        assert len(report["diagnosis"]["never"]["at_half"]) == 5
        assert report["diagnosis"]["calibrated"]["largest"] == pytest.approx(0.35)
        # .35, .2825 and .215 are above .2; .1475 and .08 are not.
        assert report["diagnosis"]["calibrated"]["share_small"] == pytest.approx(0.4)

    def test_the_study_collapsed(self):
        """Outputs between almost zero and 0.2 that hardly depend on the track."""
        rng = np.random.default_rng(3)
        prior = np.linspace(0.2, 0.02, 12)
        record = make_record(400, 12, prior=prior, mask=0)
        noisy = np.clip(prior + rng.normal(0, 0.004, (400, 12)), 0.001, 0.2)
        report = build_report(fixed(record, noisy), n_resamples=50)
        assert report["verdict"]["text"] == diagnosis.NO_BETTER
        assert report["diagnosis"]["calibrated"]["largest"] < 0.2001
        figures = report["diagnosis"]
        assert figures["binary_accuracy"] == pytest.approx(figures["constant_accuracy"])

    def test_good_ranking_with_small_probabilities_asks_for_tuned_thresholds(self):
        prior = np.full(6, 0.04)
        record = make_record(1500, 6, prior=prior, mask=0)
        y = record.reference.labels
        p = np.where(y, 0.3, 0.025) + np.random.default_rng(0).random(y.shape) / 50
        record = replace(fixed(record, p), thresholds=np.full((1, 6), 0.15))
        report = build_report(record, n_resamples=50)
        assert report["verdict"]["text"] == diagnosis.RANKS_ONLY
        assert len(report["diagnosis"]["never"]["at_half"]) == 6
        assert report["diagnosis"]["never"]["tuned"] == []
        assert report["figures"]["macro_f1"] == 1

    def test_confusions_and_mistakes_of_three_tracks(self):
        y = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 1]], dtype=bool)
        p = np.array([[0.1, 0.9, 0.1], [0.2, 0.8, 0.2], [0.1, 0.9, 0.9]])
        record = fixed(make_record(3, 3, reference=LabelMatrix(y, np.ones_like(y))), p)
        record.thresholds[:] = 0.5
        assert curves.confusions(record) == [
            {"index": 0, "positives": 2, "missed": 2, "nothing": 0,
             "instead": [{"index": 1, "n": 2}]}
        ]  # fmt: skip
        worst = curves.mistakes(record)
        assert [row["row"] for row in worst] == [0, 1, 2]
        first = worst[0]
        assert first["log_loss"] == pytest.approx(sk.log_loss(y[0], p[0]), rel=1e-5)
        assert (first["index"], first["positives"], first["said"]) == (0, [0], [1])
        assert first["is_positive"] == (first["index"] == 0)


class TestWithoutFigures:
    def check(self, record, said):
        report = build_report(record, n_resamples=10)
        assert said in report["message"]
        assert report["verdict"] == {
            "text": diagnosis.CANNOT_BE_JUDGED, "reasons": report["message"],
        }  # fmt: skip
        assert report["figures"]["macro_ap"] is None
        assert report["figures"]["bce_skill"] is None
        assert report["intervals"] == dict.fromkeys(HEADLINES)
        json.dumps(report, allow_nan=False)

    def test_no_held_out_track(self):
        self.check(make_record(0), "no held-out track was judged yet")

    def test_nothing_judged(self):
        self.check(make_record(mask=1.1), "no held-out track was judged yet")

    def test_one_class_only(self):
        y = np.ones((30, 5), dtype=bool)
        record = make_record(30, reference=LabelMatrix(y, np.ones_like(y)))
        self.check(record, "no label is both given and not given")

    def test_outputs_that_are_not_numbers(self):
        record = make_record()
        record.probabilities[:7] = np.nan
        self.check(record, "for 7 of 200 tracks are not numbers")

    def test_a_label_without_a_positive_is_null_and_the_others_count(self):
        record = make_record()
        record.reference.labels[:, 2] = False
        report = build_report(record, n_resamples=10)
        row = report["labels"][2]
        assert (row["ap"], row["ap_interval"], row["f1"]) == (None, None, None)
        assert report["figures"]["labels_scored"] == 4
        assert report["diagnosis"]["labels_without_figures"] == ["uid2"]
        assert report["precision_recall"]["uid2"] is None
        json.dumps(report, allow_nan=False)

    def test_few_tracks_cannot_be_judged(self):
        report = build_report(make_record(7, mask=0), n_resamples=10)
        assert report["verdict"]["text"] == diagnosis.CANNOT_BE_JUDGED

    def test_logits_that_are_missing_are_left_out_of_the_raw_outputs(self):
        record = make_record()
        record.logits[:50] = np.nan
        report = build_report(record, n_resamples=10)
        assert report["message"] == ""
        assert sum(row["n"] for row in report["calibration"]["before"]["bins"]) < sum(
            row["n"] for row in report["calibration"]["after"]["bins"]
        )

    def test_tracks_of_one_group_have_no_interval_and_no_verdict(self):
        record = make_record(12, groups=np.zeros(12, dtype=np.int64))
        report = build_report(record, n_resamples=50)
        assert report["verdict"] == {
            "text": diagnosis.CANNOT_BE_JUDGED,
            "reasons": "the 12 labelled held-out tracks come from 1 split group only; at least "
            "3 are needed",
        }
        assert set(report["intervals"].values()) == {None}
        assert {row["ap_interval"] for row in report["labels"]} == {None}
        assert report["figures"]["macro_ap"] is not None

    def test_few_tracks_show_no_macro_ap_and_the_skill_decides(self):
        few = make_record(40, 5, mask=0)
        report = build_report(few, n_resamples=20)
        assert report["headline"]["macro_ap_10"] is None
        assert "macro AP" not in report["verdict"]["reasons"]
        assert f"BCE skill {report['headline']['skill']:+.2f}" in report["verdict"]["reasons"]

    def test_many_tracks_name_how_many_labels_macro_ap_covers(self):
        report = build_report(make_record(400, 6, mask=0), n_resamples=20)
        shown = report["headline"]
        assert shown["labels_10"] >= 5
        said = f"macro AP {shown['macro_ap_10']:.2f} on {shown['labels_10']} of 6 labels"
        assert said in report["verdict"]["reasons"]

    def test_the_skill_of_a_report_is_over_all_judged_cells(self):
        record = make_record()
        record.reference.labels[:, 2] = False
        report = build_report(record, n_resamples=10)
        assert report["headline"]["labels"] == 5
        assert report["figures"]["labels_scored"] == 4
        assert report["headline"]["skill"] != pytest.approx(report["figures"]["bce_skill"])

    def test_folds_of_one_group_each_have_no_interval_but_a_verdict(self):
        record = make_record(200, parts=5)
        record = replace(record, groups=record.part_of.astype(np.int64))
        report = build_report(record, n_resamples=50)
        assert set(report["intervals"].values()) == {None}
        assert report["verdict"]["text"] == diagnosis.USEFUL


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({}, diagnosis.USEFUL),
        ({"never_at_half": 4}, diagnosis.USEFUL),
        ({"never_at_half": 5}, diagnosis.RANKS_ONLY),
        (of(0.02, (0.01, 0.03), NEAR), diagnosis.NO_BETTER),
        (of(0.021, (0.01, 0.03), NEAR), diagnosis.USEFUL),
        (of(0.1, (-0.1, 0.3), NEAR), diagnosis.NO_BETTER),
        (of(0.1, (-0.1, 0.3), FAR), diagnosis.LIKE_GUESSING),
        (of(0.0, None, 0.9501), diagnosis.LIKE_GUESSING),
        (of(-0.5, (-0.7, -0.3), 0.8), diagnosis.MISLEADING),
        (of(-0.5, None, 0.8), diagnosis.MISLEADING),
        (of(-0.5, (-0.7, -0.3), NEAR), diagnosis.MISLEADING),
        (of(-0.03, (-0.05, -0.01), NEAR), diagnosis.NO_BETTER),
        ({"macro_ap_interval": (0.09, 0.6)}, diagnosis.LIKE_GUESSING),
        ({"macro_ap": None}, diagnosis.USEFUL),
        ({"skill": None}, diagnosis.CANNOT_BE_JUDGED),
        ({"n": 7}, diagnosis.CANNOT_BE_JUDGED),
        ({"n_groups": 2}, diagnosis.CANNOT_BE_JUDGED),
        ({"n_groups": 3}, diagnosis.USEFUL),
        ({"problem": "nothing"}, diagnosis.CANNOT_BE_JUDGED),
    ],
)
def test_the_rules_of_the_verdict(over, expected):
    assert verdict(Evidence(**{**GOOD, **over}))[0] == expected


class TestCourse:
    def test_the_mean_of_what_holds_something_out(self):
        epochs = (
            *history(6, stage="fold 1 of 2"),
            *history(4, stage="fold 2 of 2"),
            *({**row, "validation_loss": None} for row in history(4, stage="all tracks")),
        )
        found = curves.learning_curves(epochs)
        assert [stage["name"] for stage in found["stages"]] == [
            "fold 1 of 2", "fold 2 of 2", "all tracks",
        ]  # fmt: skip
        assert (found["n_stages"], found["best_epoch"]) == (2, 4)
        assert found["mean"]["loss"] == pytest.approx([0.6 / epoch for epoch in range(1, 5)])
        assert found["mean"]["accuracy"] == [0.9] * 4
        assert found["mean"]["validation_accuracy"] == [None] * 4

    @pytest.mark.parametrize("key", ["stage", "part"])
    def test_the_best_epoch_is_one_that_all_saw(self, key):
        """Folds of one model, or models of a cross-validation, that stopped at other epochs."""
        losses = {0: [0.5, 0.4, 0.45, 0.5], 1: [0.5, 0.35, 0.34, 0.33, 0.32, 0.31]}
        epochs = tuple(
            {key: fold if key == "part" else f"fold {fold}", "validation_loss": loss}
            for fold, values in losses.items()
            for loss in values
        )
        found = curves.learning_curves(epochs)
        assert found["best_epoch"] == 2
        assert found["mean"]["validation_loss"] == pytest.approx([0.5, 0.375, 0.395, 0.415])
        assert [len(stage["validation_loss"]) for stage in found["stages"]] == [4, 6]

    def test_without_accuracy_and_without_validation(self):
        rows = [{**row, "validation_loss": None} for row in history(3, accuracy=False)]
        found = curves.learning_curves(tuple(rows))
        assert found["best_epoch"] is None
        assert found["mean"]["accuracy"] == [None] * 3
        assert curves.learning_curves(()) == {
            "n_stages": 0, "stages": [], "best_epoch": None,
            "mean": {name: [] for name in found["mean"]},
        }  # fmt: skip
