"""The report on the page of a model."""

from __future__ import annotations

import json
import re

import pytest
from django.contrib.auth.models import User
from django.template.loader import render_to_string
from django.utils.html import escape

from labeling.loop.library.libraries import annotator_of
from labeling.loop.registry import evaluation_records
from labeling.models import (
    Evaluation,
    Track,
)
from labeling.views.learning import report_rows
from tests.factories import make_user
from tests.labeling.pages.learning.report.world import open_repeat, page, run, train
from tests.planted_library import catalogue, plant

pytestmark = pytest.mark.django_db


class TestModelPage:
    def test_all_parts_are_there_with_their_figures(self, planted, curator):
        text = page(curator, f"/models/{planted.library.slug}/1/")
        report = evaluation_records.report_of(Evaluation.objects.get())
        for part in (
            "Has the model collapsed?", "Training history", "Calibration",
            "Precision and recall", "Confused with", "Worst mistakes", "Trained on",
        ):  # fmt: skip
            assert part in text
        assert escape(report["verdict"]["reasons"]) in text
        assert f">{report['headline']['skill']:+.2f}<" in text
        assert "0 of 3 labels have 10 positives, 3 are needed" in text
        assert f"{report['diagnosis']['calibrated']['largest']:.3f}" in text
        assert report["about"]["snapshot"]["hash"][:16] in text
        assert text.count("<desc>") >= 6
        assert "never predicted at their tuned thresholds" in text

    def test_its_dates_are_never_broken(self, planted, curator, tmp_path):
        evaluation = Evaluation.objects.get()
        report = evaluation_records.report_of(evaluation)
        report["about"]["snapshot"]["taken_at"] = "2026-07-05T10:22:31.5+00:00"
        report["about"]["answers"]["period"] = ["2019-03-01", "2026-07-04"]
        (evaluation_records.record_folder_of(evaluation) / "report.json").write_text(
            json.dumps(report)
        )
        run("report", planted.library, "--model", "1", "--out", str(tmp_path))
        shown = page(curator, f"/models/{planted.library.slug}/1/")
        # The style sheet keeps <time> on one line.
        for text in (shown, (tmp_path / "report.html").read_text()):
            assert ">5 Jul 2026, 10:22</time>" in text
            assert ">1 Mar 2019</time> to <time" in text
            assert ">4 Jul 2026</time>" in text

    def test_it_says_what_the_choices_of_a_study_do(self, planted, curator, tmp_path):
        evaluation = Evaluation.objects.get()
        report = evaluation_records.report_of(evaluation)
        report["about"]["config"]["loss"] = "keras-class-weight"
        told = report_rows.report_context(planted.library, report, report_rows.ReportQuery())[
            "choices"
        ]
        assert len(told) == 1
        assert "that of its first label in the order of the columns" in told[0]
        text = page(curator, f"/models/{planted.library.slug}/1/")
        assert "What these choices do" not in text
        (evaluation_records.record_folder_of(evaluation) / "report.json").write_text(
            json.dumps(report)
        )
        assert told[0] in page(curator, f"/models/{planted.library.slug}/1/")
        run("report", planted.library, "--model", "1", "--out", str(tmp_path))
        assert told[0] in (tmp_path / "report.html").read_text()

    def test_mistakes_lead_to_the_track_and_play_it(self, planted, curator):
        text = page(curator, f"/models/{planted.library.slug}/1/")
        report = evaluation_records.report_of(Evaluation.objects.get())
        worst = report["mistakes"][0]
        track = evaluation_records.tracks_by_uid(planted.library, [worst["track_uid"]])[
            worst["track_uid"]
        ]
        assert f'href="/tracks/{planted.library.slug}/{track.pk}/#play"' in text
        assert len(report["mistakes"]) == 12

    def test_answers_of_a_track_that_is_before_one_again_are_hidden(self, planted, curator):
        carla = annotator_of(planted.library, User.objects.get(username="carla"))
        report = evaluation_records.report_of(Evaluation.objects.get())
        worst = report["mistakes"][0]["track_uid"]
        track = Track.objects.get(uid=worst)
        address = f"/models/{planted.library.slug}/1/"
        api = f"/api/v1/libraries/{planted.library.slug}/models/1/report/"
        hidden = "hidden: this track is on your desk again"
        assert hidden not in page(curator, address)
        open_repeat(carla, track)
        text = page(curator, address)
        assert text.count(hidden) == 1
        assert text.count(", answered ") == len(report["mistakes"]) - 1
        told = curator.get(api).json()["mistakes"]
        assert (told[0]["positives"], told[0]["is_positive"]) == (None, None)
        assert told[1:] == report["mistakes"][1:]

    def test_labels_are_sorted_as_asked(self, planted, curator):
        def names(query):
            text = page(curator, f"/models/{planted.library.slug}/1/{query}")
            table = text[text.index('class="data labels"') :]
            return re.findall(r"<tr>\s*<td><bdi>(\w+)</bdi>", table[: table.index("</table>")])

        assert names("?sort=name") == ["Ambient", "Drone", "Rock"]
        assert names("?sort=-name") == ["Rock", "Drone", "Ambient"]
        rows = evaluation_records.report_of(Evaluation.objects.get())["labels"]
        by_support = sorted(rows, key=lambda row: (-row["support"], row["name"]))
        assert names("") == [row["name"] for row in by_support]
        assert names("?sort=nonsense&facet=nowhere") == []
        assert 'aria-sort="ascending"' in page(
            curator, f"/models/{planted.library.slug}/1/?sort=ap"
        )

    def test_curves_of_one_label(self, planted, curator):
        uid = planted.labels[1].uid.hex
        text = page(curator, f"/models/{planted.library.slug}/1/?curves={uid}")
        assert "Precision and recall of Drone" in text
        assert "Precision and recall of Rock" not in text

    def test_a_model_without_a_record_says_so(self, planted, curator):
        Evaluation.objects.all().delete()
        text = page(curator, f"/models/{planted.library.slug}/1/")
        assert "before evaluation records were stored" in text
        assert "Ambient" in text

    def test_without_audit_answers_there_are_dashes_and_a_sentence(self, client):
        bare = plant(n_tracks=30, n_audit=8, answers=False)
        catalogue(bare, range(8, 30))
        train(bare.library)
        client.force_login(make_user(library=bare.library, role="curator"))
        text = page(client, f"/models/{bare.library.slug}/1/")
        assert "cannot be judged" in text
        assert "no held-out track was judged yet" in text
        assert "No label has a curve" in text
        # As a word: the forms' random tokens hold any three letters now and then.
        assert re.search(r"\bnan\b", text, re.IGNORECASE) is None

    def test_a_name_that_is_markup_stays_text(self, planted, curator):
        label = planted.labels[0]
        label.name = "<script>x</script>"
        label.save()
        train(planted.library, "--seed", "4")
        text = page(curator, f"/models/{planted.library.slug}/2/")
        assert "<script>x" not in text
        assert "&lt;script&gt;x" in text


def test_cross_validation_has_a_page_and_is_listed(planted, curator):
    answer = run("train", planted.library, "--inline", "--folds", "3")
    assert answer["run"] is None
    evaluation = Evaluation.objects.get(side="folds")
    text = page(curator, f"/models/{planted.library.slug}/evaluations/{evaluation.pk}/")
    assert "tracks of 3 folds count together" in text
    assert "45" in text
    listed = page(curator, f"/models/{planted.library.slug}/")
    assert f"/models/{planted.library.slug}/evaluations/{evaluation.pk}/" in listed


def test_an_arm_without_an_interval_shows_its_difference_alone():
    gap = {"difference": 0.25, "lo": None, "hi": None}
    one = {"runs": [{"arm": "ana", "skill": 0.5, "difference": gap}]}
    text = render_to_string("labeling/report/_arms.html", {"one": one})
    assert "0.250" in text
    assert "95 %:" not in text
