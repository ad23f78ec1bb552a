"""The report against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from ml.evaluation import curves
from ml.evaluation.report import build_report
from ml.metrics.scores import evaluate
from tests.ml.records import make_record


class TestAgainstScikitLearn:
    def cells(self, record):
        mask = record.reference.label_mask
        return record.reference.labels[mask], record.probabilities[mask].astype(float)

    def test_figures_of_each_label(self, record, report):
        for index, row in enumerate(report["labels"]):
            judged = record.reference.label_mask[:, index]
            y = record.reference.labels[judged, index]
            p = record.probabilities[judged, index]
            chosen = p >= record.thresholds[0, index]
            assert row["support"] == y.sum()
            assert row["ap"] == pytest.approx(sk.average_precision_score(y, p))
            assert row["ap_ratio"] == pytest.approx(row["ap"] / y.mean())
            assert row["precision"] == pytest.approx(sk.precision_score(y, chosen))
            assert row["recall"] == pytest.approx(sk.recall_score(y, chosen))
            assert row["f1"] == pytest.approx(sk.f1_score(y, chosen))
            assert row["largest_output"] == pytest.approx(record.probabilities[:, index].max())
            low, high = row["ap_interval"]
            assert low <= row["ap"] <= high

    def test_summary(self, record, report):
        y, p = self.cells(record)
        prior = record.constant[record.reference.label_mask]
        figures = report["figures"]
        loss, of_prior = sk.log_loss(y, p), sk.log_loss(y, prior)
        assert figures["bce"] == pytest.approx(loss)
        assert figures["bce_skill"] == pytest.approx(1 - loss / of_prior)
        assert figures["binary_accuracy"] == pytest.approx(sk.accuracy_score(y, p >= 0.5))
        constant = report["baseline"]["binary_accuracy"]
        assert constant == pytest.approx(sk.accuracy_score(y, prior >= 0.5))
        rows = report["labels"]
        assert figures["macro_ap"] == pytest.approx(np.mean([row["ap"] for row in rows]))
        assert figures["macro_f1"] == pytest.approx(np.mean([row["f1"] for row in rows]))

    def test_lwlrap_where_all_is_judged(self):
        record = make_record(mask=0.0)
        y, p = record.reference.labels, record.probabilities
        kept = y.any(axis=1)
        expected = sk.label_ranking_average_precision_score(
            y[kept], p[kept], sample_weight=y[kept].sum(axis=1)
        )
        figures = build_report(record, n_resamples=5)["figures"]
        assert figures["lwlrap"] == pytest.approx(expected)

    def test_reliability_before_and_after(self, record, report):
        y, p = self.cells(record)
        for name, values in (
            ("after", p),
            ("before", record.raw[record.reference.label_mask]),
        ):
            rate, mean = calibration_curve(y, values, n_bins=10)
            bins = report["calibration"][name]["bins"]
            assert [row["observed_rate"] for row in bins] == pytest.approx(rate.tolist())
            assert [row["mean_probability"] for row in bins] == pytest.approx(mean.tolist())
            gaps = [row["n"] * abs(m - r) for row, m, r in zip(bins, mean, rate, strict=True)]
            assert report["calibration"][name]["ece"] == pytest.approx(sum(gaps) / len(y))

    def test_precision_recall_curve(self, record):
        for index in range(5):
            judged = record.reference.label_mask[:, index]
            y = record.reference.labels[judged, index]
            p = record.probabilities[judged, index]
            expected = sk.precision_recall_curve(y, p)
            precision, recall, cuts = curves.precision_recall(p, y)
            np.testing.assert_allclose(precision, expected[0][:-1][::-1])
            np.testing.assert_allclose(recall, expected[1][:-1][::-1])
            np.testing.assert_allclose(cuts, expected[2][::-1])
            drawn = curves.curve_of(p, y)
            assert (len(drawn["recall"]), drawn["recall"][-1]) == (100, 1.0)

    def test_folds_are_means_of_their_own_figures(self):
        record = make_record(parts=3, side="folds")
        record.thresholds[:] *= np.array([[1.0], [1.5], [0.7]])
        figures = build_report(record, n_resamples=5)["figures"]
        by_fold = []
        for fold in range(3):
            rows = np.flatnonzero(record.part_of == fold)
            by_fold.append(
                evaluate(
                    record.probabilities[rows], record.reference.rows(rows),
                    record.thresholds[fold], prior=record.prior[fold], n_bootstrap=0,
                )
            )  # fmt: skip
        for name in ("macro_ap", "bce_skill", "lwlrap", "macro_f1", "binary_accuracy"):
            assert figures[name] == pytest.approx(np.mean([one[name] for one in by_fold]))
