"""Reports by the API and by the command."""

from __future__ import annotations

import json
import re

import pytest
from django.core.management import CommandError

from labeling.loop.registry import evaluation_records
from labeling.models import (
    Evaluation,
)
from tests.labeling.pages.learning.report.world import run, train

pytestmark = pytest.mark.django_db


class TestInterface:
    def test_report_and_comparison(self, planted, curator):
        train(planted.library, "--seed", "1")
        base = f"/api/v1/libraries/{planted.library.slug}/models"
        report = curator.get(f"{base}/1/report/").json()
        assert report == evaluation_records.report_of(
            evaluation_records.find_evaluation(planted.library, model=1)
        )
        found = curator.get(f"{base}/compare/?models=1,2").json()
        assert found["models"] == [1, 2]
        assert found["runs"][1]["differences"]["macro_ap"]["difference"] is not None
        assert curator.get(f"{base}/9/report/").status_code == 404
        for query in ("", "?models=1", "?models=x,y", "?models=1,1", "?models=1,9"):
            assert curator.get(f"{base}/compare/{query}").status_code == 400


class TestCommand:
    def test_a_report_needs_nothing_else(self, planted, tmp_path):
        answer = run("report", planted.library, "--model", "1", "--out", str(tmp_path / "r"))
        names = {path.name for path in (tmp_path / "r").iterdir()}
        assert names == set(answer["files"])
        assert {"report.json", "report.html", "reliability.png", "loss.png"} <= names
        html = (tmp_path / "r" / "report.html").read_text()
        assert not re.findall(r'(?:src|href)="(?!#|http://localhost:)', html)
        assert "<link" not in html
        assert html.count("<svg") >= 6
        kept = json.loads((tmp_path / "r" / "report.json").read_text())
        assert kept == evaluation_records.report_of(Evaluation.objects.get())
        for name in names:
            if name.endswith(".png"):
                assert (tmp_path / "r" / name).read_bytes().startswith(b"\x89PNG")

    def test_two_make_a_comparison(self, planted, tmp_path):
        train(planted.library, "--seed", "1")
        answer = run(
            "report", planted.library, "--model", "1", "--model", "2", "--out", str(tmp_path)
        )
        assert answer["names"] == ["Model 1", "Model 2"]
        assert {"comparison.json", "comparison.html", "differences-2.png"} <= set(
            answer["files"]
        )
        assert "<form" not in (tmp_path / "comparison.html").read_text()

    @pytest.mark.parametrize(
        "more", [(), ("--model", "7"), ("--run", "77"), ("--model", "1", "--model", "1")]
    )
    def test_bad_input_is_2_and_writes_nothing(self, planted, tmp_path, more):
        out = tmp_path / "r"
        with pytest.raises(CommandError) as error:
            run("report", planted.library, *more, "--out", str(out))
        assert error.value.returncode == 2
        assert not out.exists()
