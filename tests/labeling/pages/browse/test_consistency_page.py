from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from labeling.loop.consistency import cache, rollups
from labeling.loop.consistency.drift import drift
from labeling.loop.consistency.label_rates import Filters
from labeling.models import DirtyKey, EraCut, GuidelineVersion, Job
from labeling.templatetags.formats import day
from labeling.views.browse import consistency as view
from tests.factories import make_annotator, make_labels, make_library, make_track, make_user
from tests.labeling.histories import at, offer, say

pytestmark = pytest.mark.django_db


class World:
    def __init__(self, client):
        self.client = client
        self.library = make_library("studio")
        user = make_user(library=self.library, role="curator")
        self.user = user.username
        client.force_login(user)
        self.labels = make_labels(self.library)
        self.offered = offer(self.labels)
        self.ana = make_annotator(self.library, "Ana <i>")
        self.ben = make_annotator(self.library, "Ben")

    def fill(self):
        for n in range(12):
            track = make_track(self.library)
            when = f"2024-{1 + n % 6:02d}-03"
            say(self.ana, track, [self.labels[n % 2]], offered=self.offered, when=when)
            say(self.ben, track, [self.labels[0]], offered=self.offered, stratum="overlap")
        say(self.ana, track, [self.labels[2]], offered=self.offered, when="2024-09-01")

    def body(self, **query):
        page = self.client.get(reverse("consistency", args=["studio"]), query)
        assert page.status_code == 200
        return page.content.decode()


@pytest.fixture
def world(client):
    return World(client)


def test_empty_library_says_what_is_needed(world):
    assert "Nothing to compare yet" in world.body()


def test_page_counts_what_is_new_and_shows_all_tables(world):
    world.fill()
    body = world.body()
    assert not DirtyKey.objects.exists()
    for heading in (
        "Annotators</h2>",
        "Answers by month and stratum",
        "<h2>Drift</h2>",
        "Label rates: genre",
        "Agreement between annotators",
        "<h2>Self-agreement</h2>",
    ):
        assert heading in body
    assert "Ana &lt;i&gt;" in body
    assert 'class="chart"' in body
    assert "Choose a facet above" in body


def test_facet_gives_labels_and_thin_ones_get_no_verdict(world):
    world.fill()
    body = world.body(facet=world.labels[0].facet_id)
    assert "genre, by label" in body
    assert ">unreliable<" in body


def test_label_shows_its_rate_by_stratum(world):
    world.fill()
    body = world.body(label=world.labels[0].pk)
    assert "Ambient by stratum" in body
    assert "12 of 12" in body


def test_filters_narrow_to_person_stratum_and_period(world):
    world.fill()
    body = world.body(
        annotator=world.ana.pk, stratum="audit", since="2024-01-01", until="2024-01-31"
    )
    assert "Jan 2024 to Jan 2024" in body
    assert "of the chosen" in body


def test_nonsense_in_the_address_is_named_and_left_out(world):
    world.fill()
    body = world.body(since="soon", stratum="secret", facet="x", label="9" * 30)
    assert "is not a date" in body
    assert all(f"there is no {what}" in body for what in ("stratum", "facet", "label"))
    assert "Annotators</h2>" in body


@pytest.mark.parametrize("number", ["-1", "0", "999999", "x", "9" * 30])
def test_an_annotator_who_is_not_there_has_no_figures(world, number):
    world.fill()
    body = world.body(annotator=number)
    assert "there is no annotator" in body
    assert "No answers match these filters" in body
    assert "Annotators</h2>" not in body


def test_of_several_annotators_those_who_are_there_are_shown(world):
    world.fill()
    body = world.body(annotator=[world.ben.pk, "999999"])
    assert "there is no annotator" in body
    assert "<td><bdi>Ben</bdi></td>" in body
    assert "<td><bdi>Ana" not in body


def test_tables_that_a_filter_does_not_narrow_say_so(world):
    world.fill()
    body = world.body(stratum="audit", since="2024-01-01")
    assert body.count("filters do not apply to this table") == 3


def test_guideline_changes_are_named(world):
    world.fill()
    GuidelineVersion.objects.create(
        library=world.library, number=1, text="a", published_at=at("2024-03-09")
    )
    body = world.body()
    assert "guideline 1" in body
    assert 'class="mark"' in body


def test_many_new_answers_are_left_to_a_worker(world, monkeypatch):
    monkeypatch.setattr(view, "COUNT_HERE", 3)
    world.fill()
    assert "counting 25 new annotations" in world.body()
    world.body()
    assert Job.objects.filter(kind="consistency").count() == 1
    assert DirtyKey.objects.count() == 25


def test_annotators_are_refused_and_strangers_find_nothing(world):
    world.client.force_login(make_user(library=world.library))
    assert world.client.get(reverse("consistency", args=["studio"])).status_code == 403
    world.client.force_login(make_user())
    assert world.client.get(reverse("consistency", args=["studio"])).status_code == 404


def test_a_second_visit_computes_nothing_again(world, monkeypatch):
    world.fill()
    assert "Ben" in world.body()
    computed_at = cache.kept_figures(world.library).computed_at
    assert computed_at is not None
    monkeypatch.setattr(cache, "_figures", None)
    assert "Ben" in world.body()
    assert cache.kept_figures(world.library).computed_at == computed_at


def test_what_is_kept_is_shown_with_its_time_while_a_worker_is_asked(world, monkeypatch):
    world.fill()
    world.body()
    monkeypatch.setattr(view, "COUNT_HERE", 3)
    say(world.ben, make_track(world.library), [world.labels[1]], offered=world.offered)
    body = world.body()
    assert "counting 1 new annotation." in body
    assert f"The agreement below is from {day(timezone.now())}" in body
    assert "Ben" in body
    cache.refresh(world.library)
    assert "not counted yet" not in world.body()


def test_a_merge_and_its_undoing_each_ask_for_new_figures(world, monkeypatch):
    world.fill()
    world.body()
    monkeypatch.setattr(view, "COUNT_HERE", 3)
    for target in (world.labels[0], None, world.labels[0], None):
        world.labels[1].merged_into = target
        world.labels[1].save()
        assert "Labels, merges, criteria changes or answers have changed" in world.body()
        cache.refresh(world.library)
        assert "answers have changed: a worker" not in world.body()
    assert Job.objects.filter(kind="consistency").count() == 4


class TestCuts:
    def post(self, world, **fields):
        fields = {
            "annotator": world.ana.pk,
            "day": "2024-03-01",
            "reason": "new brief",
        } | fields
        return world.client.post(reverse("declare_cut", args=["studio"]), fields)

    def test_a_declared_cut_is_listed_marked_and_tested(self, world):
        world.fill()
        assert 'class="mark"' not in world.body()
        assert self.post(world).status_code == 302
        assert self.post(world, day="2024-05-02", reason="and again").status_code == 302
        body = world.body()
        assert "new brief" in body
        assert "and again" in body
        row = body.split("Answers by month and stratum")[1].split("</tr>")[1]
        assert row.count('class="mark"') == 2
        periods = {row["period_before"] for row in drift(world.library, Filters())}
        assert periods >= {"2024-01-03/2024-02-29", "2024-03-01/2024-05-01"}
        cut = EraCut.objects.get(reason="new brief")
        assert (cut.at, cut.by.username, cut.kind) == (
            at("2024-03-01"),
            world.user,
            "declared",
        )

    def test_a_cut_of_a_label_marks_only_that_label(self, world):
        world.fill()
        assert self.post(world, scope=f"label:{world.labels[1].pk}").status_code == 302
        cut = EraCut.objects.get()
        assert (cut.label, cut.facet) == (world.labels[1], world.labels[1].facet)
        rates = world.body().split("Label rates: genre")[1].split("</section>")[0]
        rows = {row.split("<td>")[1].split("<")[0]: row for row in rates.split("<tr>")[2:]}
        assert {name: row.count('class="mark"') for name, row in rows.items()} == {
            "Ambient": 0,
            "Drone": 1,
            "Rock": 0,
        }

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"reason": " "}, "enter a reason"),
            ({"day": "soon"}, "is not a date"),
            ({"day": ""}, "enter the day"),
            ({"day": "2999-01-01"}, "in the future"),
            ({"annotator": "x"}, "whose criteria"),
            ({"scope": "label:99999999"}, "an existing facet or label"),
            ({"scope": "nonsense"}, "an existing facet or label"),
            ({"reason": "x" * 501}, "longer than 500"),
        ],
    )
    def test_what_is_wrong_is_said_and_what_was_typed_stays(self, world, wrong, said):
        world.fill()
        answer = self.post(world, **wrong)
        assert answer.status_code == 400
        assert said in answer.content.decode()
        assert not EraCut.objects.exists()

    def test_the_same_cut_twice_is_refused(self, world):
        world.fill()
        self.post(world)
        assert self.post(world).status_code == 400
        assert EraCut.objects.count() == 1

    def test_a_declared_cut_can_be_withdrawn_and_a_detected_one_cannot(self, world):
        world.fill()
        self.post(world)
        detected = EraCut.objects.create(
            annotator=world.ben, at=at("2024-02-01"), kind="detected"
        )
        for cut in EraCut.objects.all():
            world.client.post(reverse("withdraw_cut", args=["studio", cut.pk]))
        assert list(EraCut.objects.all()) == [detected]

    def test_cuts_are_for_curators_and_of_their_library(self, world):
        other = make_annotator(make_library("other"), "Oz")
        assert self.post(world, annotator=other.pk).status_code == 400
        world.client.force_login(make_user(library=world.library))
        assert self.post(world).status_code == 403
        assert not EraCut.objects.exists()


def test_before_the_first_comparison_nothing_is_said_of_agreement(world, monkeypatch):
    monkeypatch.setattr(view, "COUNT_HERE", 3)
    world.fill()
    rollups.measure(world.library)
    body = world.body()
    assert "computing agreement for the first time" in body
    assert "Label rates: genre" in body
    assert "Agreement between annotators" not in body


def test_repeats_have_their_gap_and_tests_without_a_verdict_say_so(world):
    world.fill()
    body = world.body()
    assert "Gap (days)" in body
    assert '<td class="num">1</td><td class="num">90</td>' in body
    assert ">not tested</span>" in body
    assert "how those tracks were chosen is not known here" in body
