"""The page that compares runs."""

from __future__ import annotations

import pytest

from labeling.loop.registry import evaluation_records
from labeling.models import (
    Evaluation,
    Job,
    ModelVersion,
    PromotionEvent,
)
from tests.labeling.pages.learning.report.world import page, train
from tests.planted_library import catalogue, plant

pytestmark = pytest.mark.django_db


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
        gap = found["runs"][1]["headline_differences"]["skill"]
        assert f"{gap['difference']:+.3f}" in text
        assert f"{gap['lo']:+.3f} to {gap['hi']:+.3f}" in text
        verdict = found["runs"][1]["verdict_by_skill"]
        assert verdict.replace("not told apart", "no significant difference") in text
        assert "Verdict by skill" in text
        assert "<strong>12</strong> labelled tracks" in text
        assert "Decisions" in text

    def test_a_difference_without_an_interval(self, two, curator, monkeypatch):
        monkeypatch.setattr("ml.metrics.judged_groups.MINIMUM_GROUPS_TO_COMPARE", 100)
        text = page(curator, f"/models/{two.library.slug}/compare/?model=1&model=2")
        found = evaluation_records.compare_evaluations(
            [evaluation_records.find_evaluation(two.library, model=number) for number in (1, 2)]
        )
        gap = found["runs"][1]["headline_differences"]["skill"]
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
        compared = evaluation_records.compare_evaluations(chosen)["runs"][1]
        assert event.figures["differences"] == compared["differences"]
        assert event.figures["lo"] == compared["differences"]["macro_ap"]["lo"]
        skill = compared["headline_differences"]["skill"]
        assert event.figures["headline"]["skill"] == skill
        text = page(curator, f"/models/{planted.library.slug}/{other.number}/")
        assert "it hears drones better" in text
        assert f"Skill {skill['difference']:+.3f} on 12 audit tracks" in text

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
        skill = event.figures["headline"]["skill"]
        assert f"95 % between {skill['lo']:+.3f} and" in text
        assert set(event.figures["differences"]) == {
            "macro_ap", "bce_skill", "lwlrap", "macro_f1",
        }  # fmt: skip
        gaps = event.figures["differences"]["macro_ap"]
        assert gaps["lo"] == pytest.approx(event.figures["lo"])
