"""The page of a model, of a cross-validation and of a comparison; their files; the choice."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ET

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import escape

from labeling.loop.library.libraries import annotator_of
from labeling.loop.registry import evaluation_records
from labeling.models import (
    Evaluation,
    GuidelineVersion,
    Job,
    ModelVersion,
    Presentation,
    PromotionEvent,
    Track,
)
from labeling.templatetags import report_charts
from labeling.views.learning import report_rows
from tests.factories import make_user
from tests.ml.records import history, make_record
from tests.planted_library import catalogue, plant

pytestmark = pytest.mark.django_db


def run(name, library, *more):
    out = io.StringIO()
    call_command(
        name, "--library", library.slug, "--json", *more, stdout=out, stderr=io.StringIO()
    )
    return json.loads(out.getvalue())


def train(library, *more):
    epochs = () if "--epochs" in more else ("--epochs", "3")
    return run("train", library, "--inline", *epochs, *more)


@pytest.fixture
def planted():
    planted = plant(n_tracks=45, n_audit=12)
    train(planted.library)
    return planted


@pytest.fixture
def curator(planted, client):
    client.force_login(make_user("carla", library=planted.library, role="curator"))
    return client


def page(client, address):
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def open_repeat(annotator, track):
    now = timezone.now()
    return Presentation.objects.create(
        annotator=annotator, track=track, library=track.library, stratum="repeat",
        guideline=GuidelineVersion.objects.first(), presented_at=now, lease_until=now,
    )  # fmt: skip


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
        assert f">{report['figures']['macro_ap']:.2f}<" in text
        assert f"{report['diagnosis']['calibrated']['largest']:.3f}" in text
        assert report["about"]["snapshot"]["hash"][:16] in text
        assert text.count("<desc>") >= 6
        assert "never predicted at its tuned threshold" in text

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
            assert ">2026-07-05 10:22</time>" in text
            assert "<time>2019-03-01</time> to <time>2026-07-04</time>" in text

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
        assert "before evaluation records were kept" in text
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
    assert "means over 3 folds" in text
    assert "45" in text
    listed = page(curator, f"/models/{planted.library.slug}/")
    assert f"/models/{planted.library.slug}/evaluations/{evaluation.pk}/" in listed


def test_an_arm_without_an_interval_shows_its_difference_alone():
    gap = {"difference": 0.25, "lo": None, "hi": None}
    one = {"runs": [{"arm": "ana", "macro_ap": 0.5, "difference": gap}]}
    text = render_to_string("labeling/report/_arms.html", {"one": one})
    assert "0.250" in text
    assert "95 %:" not in text


class TestCompare:
    @pytest.fixture
    def two(self, planted):
        train(planted.library, "--epochs", "1", "--seed", "1")
        return planted

    def test_two_models_on_their_common_tracks(self, two, curator):
        text = page(curator, f"/models/{two.library.slug}/compare/?model=1&model=2")
        found = evaluation_records.compare_evaluations(
            [evaluation_records.find_evaluation(two.library, model=number) for number in (1, 2)]
        )
        gap = found["runs"][1]["differences"]["macro_ap"]
        assert f"{gap['difference']:+.3f}" in text
        assert f"{gap['lo']:+.3f} to {gap['hi']:+.3f}" in text
        assert found["runs"][1]["verdict"] in text
        assert "<strong>12</strong> labelled tracks" in text
        assert "Decisions" in text

    def test_a_difference_without_an_interval(self, two, curator, monkeypatch):
        monkeypatch.setattr("ml.metrics.judged_groups.MINIMUM_GROUPS_TO_COMPARE", 100)
        text = page(curator, f"/models/{two.library.slug}/compare/?model=1&model=2")
        found = evaluation_records.compare_evaluations(
            [evaluation_records.find_evaluation(two.library, model=number) for number in (1, 2)]
        )
        gap = found["runs"][1]["differences"]["macro_ap"]
        assert (gap["lo"], gap["hi"]) == (None, None)
        assert f"{gap['difference']:+.3f}" in text
        assert "– to –" not in text
        assert "at least 100 are needed to compare" in text

    def test_runs_are_found_by_id_too(self, two, curator):
        runs = [version.run_id for version in ModelVersion.objects.order_by("number")]
        text = page(curator, f"/models/{two.library.slug}/compare/?run={runs[0]}&run={runs[1]}")
        assert "Differences are from Model 1" in text

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("?model=1&model=9", "has no model 9"),
            ("?run=x&run=2", "is not the number of a run"),
            ("?run=99999999999999999999", "is not the number of a run"),
            ("?model=1", "Choose"),
            ("", "Choose"),
        ],
    )
    def test_what_cannot_be_compared_is_said(self, two, curator, query, said):
        assert said in page(curator, f"/models/{two.library.slug}/compare/{query}")

    def test_one_of_another_library_is_not_found(self, two, curator):
        other = plant(n_tracks=45, n_audit=12)
        train(other.library)
        pk = Evaluation.objects.get(library=other.library).pk
        text = page(curator, f"/models/{two.library.slug}/compare/?evaluation={pk}")
        assert f"has no evaluation {pk}" in text

    def test_the_list_says_which_figures_compare(self, two, curator):
        text = page(curator, f"/models/{two.library.slug}/")
        champion = ModelVersion.objects.get(state="champion").number
        assert f"the same labels as model {champion}" in text
        catalogue(two, range(3), shift=1, at="2024-03-01")
        train(two.library, "--seed", "3")
        text = page(curator, f"/models/{two.library.slug}/")
        assert "other labels than model" in text


class TestChoice:
    def test_a_roll_back_is_recorded_with_who_when_why_and_the_figures(self, planted, curator):
        train(planted.library, "--seed", "1")
        present = ModelVersion.objects.get(state="champion")
        other = ModelVersion.objects.exclude(pk=present.pk).get()
        address = f"/models/{planted.library.slug}/{other.number}/use/"
        curator.post(address, {"why": "it hears drones better"})
        event = PromotionEvent.objects.first()
        assert (event.kind, event.by.username) == ("rolled_back", "carla")
        assert event.reason.endswith("it hears drones better")
        assert event.previous == present
        assert event.figures["n"] == 12
        assert event.figures["against"] == present.number
        chosen = [
            evaluation_records.find_evaluation(planted.library, model=one.number)
            for one in (present, other)
        ]
        gaps = evaluation_records.compare_evaluations(chosen)["runs"][1]["differences"]
        assert event.figures["differences"] == gaps
        assert event.figures["lo"] == gaps["macro_ap"]["lo"]
        text = page(curator, f"/models/{planted.library.slug}/{other.number}/")
        assert "it hears drones better" in text
        assert f"95 % between {gaps['macro_ap']['lo']:+.3f}" in text

    def test_it_is_one_click_without_a_reason_too(self, planted, curator):
        train(planted.library, "--seed", "1")
        other = ModelVersion.objects.exclude(state="champion").get()
        curator.post(f"/models/{planted.library.slug}/{other.number}/use/")
        assert ModelVersion.objects.get(state="champion") == other
        follows = Job.objects.get(state="queued")
        assert [follows.kind, *follows.arguments["then"]][-1] == "rank"

    def test_a_promotion_shows_its_interval(self, planted, curator):
        train(planted.library, "--seed", "1")
        event = PromotionEvent.objects.first()
        text = page(curator, f"/models/{planted.library.slug}/2/")
        assert f"95 % between {event.figures['lo']:+.3f} and" in text
        assert set(event.figures["differences"]) == {
            "macro_ap", "bce_skill", "lwlrap", "macro_f1",
        }  # fmt: skip
        gaps = event.figures["differences"]["macro_ap"]
        assert gaps["lo"] == pytest.approx(event.figures["lo"])


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
