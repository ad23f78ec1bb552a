"""The charts of a report."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from labeling.templatetags import report_charts
from labeling.views.learning import report_rows
from tests.ml.records import history, make_record

pytestmark = pytest.mark.django_db


class TestCharts:
    def report(self, **over):
        from ml.evaluation.report import build_report

        record = make_record(history=history(), **over)
        return json.loads(json.dumps(build_report(record, n_resamples=10)))

    def test_they_are_well_formed_and_say_what_they_show(self):
        report = self.report()
        curve = report["precision_recall"]["uid0"]
        mean = report["course"]["mean"]
        charts = [
            report_charts.epochs_chart("loss", mean["loss"], mean["validation_loss"], 0.2),
            report_charts.reliability_chart(report["calibration"]),
            report_charts.precision_recall_chart("A & <B>", [curve, curve], 0.3),
        ]
        for chart in charts:
            root = ET.fromstring(chart)
            assert root.find("title").text
            assert root.find("desc").text
            assert root.attrib["role"] == "img"
        assert "lowest 0.300 in epoch 4" in charts[0]
        assert "The baseline has 0.200." in charts[0]

    def test_all_points_lie_within_the_axes(self):
        mean = self.report()["course"]["mean"]
        chart = report_charts.epochs_chart("loss", mean["loss"], mean["validation_loss"])
        for line in ET.fromstring(chart).iter("polyline"):
            for place in line.attrib["points"].split():
                x, y = map(float, place.split(","))
                assert 44 <= x <= 366
                assert 8 <= y <= 186

    def test_what_is_not_known_is_a_gap_or_a_sentence(self):
        chart = report_charts.epochs_chart("loss", [0.5, None, 0.3, 0.2], [])
        assert chart.count("<polyline") == 1
        assert chart.count("<circle") == 1
        assert "not recorded" in report_charts.epochs_chart("accuracy", [None], [None])
        assert "no curve" in report_charts.precision_recall_chart("x", [None], None)
        nothing = {"before": {"bins": []}, "after": {"bins": []}}
        assert "no data" in report_charts.reliability_chart(nothing)
        assert report_charts.difference_chart(None, 1) == ""

    @pytest.mark.parametrize(
        ("low", "high", "expected"),
        [
            (0, 1, [0, 0.25, 0.5, 0.75, 1]),
            (1, 12, [5, 10]),
            (1, 10, [2.5, 5, 7.5, 10]),
            (0.93, 0.94, [0.93, 0.9325, 0.935, 0.9375, 0.94]),
            (3, 3, [3]),
        ],
    )
    def test_ticks_are_round_numbers(self, low, high, expected):
        assert report_charts.ticks(low, high, most=4) == pytest.approx(expected)

    def test_a_label_without_figures_comes_last_in_every_order(self):
        record = make_record()
        record.reference.labels[:, 2] = False
        from ml.evaluation.report import build_report

        report = build_report(record, n_resamples=5)
        for sort in ("ap", "-ap", "f1", "-f1"):
            rows = report_rows.report_label_rows(
                report, report_rows.ReportQuery.of({"sort": sort})
            )
            assert rows[-1]["uid"] == "uid2"
