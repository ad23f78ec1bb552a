"""Small charts: places of points by hand, gaps, escaping."""

from __future__ import annotations

import pytest

from labeling.templatetags import charts


def test_a_line_runs_from_corner_to_corner():
    svg = charts.sparkline([0, 1, 2], "rates", width=104, height=24)
    assert 'points="2,22 52,12 102,2"' in svg
    assert "<title>rates</title>" in svg


def test_a_missing_figure_is_a_gap():
    svg = charts.sparkline([0, 1, None, 1, 0], width=104, height=24)
    assert svg.count("<polyline") == 2


def test_a_constant_lies_in_the_middle():
    assert 'points="2,12 102,12"' in charts.sparkline([3, 3], width=104, height=24)


def test_a_mark_stands_where_it_should():
    assert 'class="mark" x1="52"' in charts.sparkline([0, 1, 2], width=104, mark=1)
    assert "mark" not in charts.sparkline([0, 1, 2], mark=7)


def test_several_marks_stand_in_order_and_each_once():
    svg = charts.sparkline([0, 1, 2], "rates", width=104, mark=2, marks=[2, 0, 9])
    assert [part.split('"')[2] for part in svg.split("<line")[1:]] == [" x1=", " x1="]
    assert 'class="mark" x1="2"' in svg
    assert 'class="mark" x1="102"' in svg


@pytest.mark.parametrize("draw", [charts.sparkline, charts.bars])
@pytest.mark.parametrize("values", [[], [None, None], [float("nan")]])
def test_nothing_to_draw_says_so(draw, values):
    assert "no data" in draw(values, "x")


def test_titles_are_escaped():
    assert "<script>" not in charts.sparkline([1, 2], "<script>")
    assert "<script>" not in charts.bars([], "<script>")


def test_bars_stand_on_zero():
    svg = charts.bars([1, 2, None, 4], width=40, height=20, second_from=3)
    assert '<rect class="bar" x="0" y="15" width="9" height="5"/>' in svg
    assert '<rect class="bar second" x="30" y="0" width="9" height="20"/>' in svg
    assert svg.count("<rect") == 3


def test_all_zero_bars_are_flat():
    assert charts.bars([0, 0]).count('height="0"') == 2


def test_a_meter_with_its_interval():
    svg = charts.meter(0.5, width=100, low_bound=0.4, high_bound=0.7)
    assert 'class="bar" x="0" y="0" width="50"' in svg
    assert 'class="band" x="40" y="0" width="30"' in svg


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (None, "–"), (3600, "60:00")],
)
def test_clock(seconds, text):
    assert charts.clock(seconds) == text


def test_what_cannot_be_computed_is_a_dash():
    assert charts.percent(None) == charts.figure(float("nan")) == "–"
    assert (charts.percent(0.123, 1), charts.figure(2 / 3)) == ("12.3 %", "0.67")
