from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command

from labeling.loop.consistency import agreement
from labeling.loop.consistency.label_rates import Filters, read_counts
from labeling.loop.library import taxonomy
from tests.factories import make_annotator, make_labels, make_library, make_track
from tests.labeling.histories import offer, retract, say

pytestmark = pytest.mark.django_db


class World:
    def __init__(self):
        self.library = make_library("studio")
        self.ambient, self.drone, self.rock = make_labels(self.library)
        self.offered = offer([self.ambient, self.drone, self.rock])
        self.ana = make_annotator(self.library, "ana")
        self.ben = make_annotator(self.library, "ben")
        self.cora = make_annotator(self.library, "cora")
        self.tracks = [make_track(self.library) for _ in range(20)]

    def say(self, annotator, track, *yes, **over):
        over.setdefault("offered", self.offered)
        return say(annotator, self.tracks[track], yes, **over)

    def say_square(self, both, only_a, only_b, neither):
        """Ana and Ben on Ambient; where they do not say Ambient, they say nothing."""
        cells = ((1, 1, both), (1, 0, only_a), (0, 1, only_b), (0, 0, neither))
        answers = [(a, b) for a, b, n in cells for _ in range(n)]
        for track, (a, b) in enumerate(answers):
            self.say(self.ana, track, *[self.ambient] * a)
            self.say(self.ben, track, *[self.ambient] * b)

    def report(self, **filters):
        return agreement.report(self.library, Filters(**filters))


@pytest.fixture
def world():
    return World()


def pick(rows, **wanted):
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def test_pair_of_a_label_has_the_figures_of_its_2_by_2(world):
    """8 both, 2 and 3 alone, 7 neither: kappa (.75 - .5) / .5; AC1 by hand from Gwet 2008."""
    world.say_square(8, 2, 3, 7)
    (row,) = pick(world.report()["pairs"], label="Ambient")
    assert (row["a"], row["b"], row["facet"], row["n"]) == ("ana", "ben", "genre", 20)
    assert row["agreement"] == pytest.approx(0.75)
    assert row["kappa"] == pytest.approx(0.5)
    assert row["ac1"] == pytest.approx((0.75 - 0.49875) / 0.50125)
    assert row["positive_agreement"] == pytest.approx(16 / 21)
    assert row["alpha"] == pytest.approx(1 - 39 * 10 / (21 * 19 * 2))


def test_set_of_the_facet_stands_beside_its_labels(world):
    world.say(world.ana, 0, world.ambient, world.drone)
    world.say(world.ben, 0, world.ambient, world.drone)
    world.say(world.ana, 1, world.rock)
    world.say(world.ben, 1, world.rock, world.drone)
    (row,) = pick(world.report()["pairs"], label=None)
    assert (row["n"], row["agreement"]) == (2, 0.5)
    assert row["positive_agreement"] == pytest.approx(2 * 3 / (2 * 3 + 1))


def test_keys_are_those_of_the_contract(world):
    world.say_square(3, 1, 1, 3)
    world.say(world.ana, 0, world.ambient, when="2024-03-01")
    report = world.report()
    assert {key: set(rows[0]) for key, rows in report.items()} == {
        "annotators": {
            "annotator",
            "answers",
            "tracks",
            "first_at",
            "last_at",
            "reliability",
            "reliability_interval",
            "support",
        },
        "pairs": {
            *("a", "b", "facet", "label", "n", "agreement", "kappa", "alpha", "ac1"),
            "positive_agreement",
        },
        "self": {"annotator", "facet", "label", "n", "agreement", "alpha", "gap_days"},
        "drift": {
            *("annotator", "label", "period_before", "period_after", "rate_before"),
            *("rate_after", "n_before", "n_after", "p", "q", "stratum", "verdict", "is_tested"),
        },
    }
    json.dumps(report, allow_nan=False)


def test_figure_without_variation_is_null(world):
    world.say_square(0, 0, 0, 4)
    (row,) = pick(world.report()["pairs"], label="Rock")
    assert (row["kappa"], row["alpha"], row["positive_agreement"]) == (None, None, None)
    assert row["agreement"] == 1.0


def test_self_agreement_counts_consecutive_pairs_in_order_of_answering(world):
    world.say(world.ana, 0, world.ambient, when="2024-06-01")
    world.say(world.ana, 0, world.ambient, kind="imported", when=None)
    world.say(world.ana, 0, world.drone, when="2024-01-01")
    world.say(world.ben, 0, world.drone)
    report = world.report()
    (whole,) = pick(report["self"], label=None)
    assert (whole["annotator"], whole["n"], whole["agreement"]) == ("ana", 2, 0.0)
    (rock,) = pick(report["self"], label="Rock")
    assert (rock["n"], rock["agreement"], rock["alpha"]) == (2, 1.0, None)
    # The import has no date, so only January to June has a known gap.
    assert whole["gap_days"] == rock["gap_days"] == 152.0


def test_revision_is_no_repeat(world):
    first = world.say(world.ana, 0, world.ambient)
    world.say(world.ana, 0, world.drone, kind="revision", revises=first)
    assert world.report()["self"] == []


def test_annotators_count_live_looks_and_their_span(world):
    world.say(world.ana, 0, world.ambient, when="2024-01-02")
    world.say(world.ana, 0, world.ambient, when="2024-05-02")
    world.say(world.ana, 1, when=None, kind="imported")
    retract(world.say(world.ana, 2, world.rock, when="2025-01-01"))
    (row,) = world.report()["annotators"]
    assert (row["answers"], row["tracks"]) == (3, 2)
    assert row["first_at"] == "2024-01-02T00:00:00+00:00"
    assert row["last_at"] == "2024-05-02T00:00:00+00:00"
    assert row["reliability"] is None


def test_retraction_that_was_undone_counts_again(world):
    retract(retract(world.say(world.ana, 0, world.rock)))
    (row,) = world.report()["annotators"]
    assert row["answers"] == 1


def test_merged_labels_count_once_and_undoing_brings_the_counts_back(world):
    world.say(world.ana, 0, world.ambient, world.drone)
    world.say(world.ben, 0, world.drone)
    world.say(world.ana, 1, world.drone)
    world.say(world.ben, 1, world.rock)
    before = world.report()
    change = taxonomy.merge(world.drone, world.ambient)
    merged = world.report()
    assert pick(merged["pairs"], label="Drone") == []
    (row,) = pick(merged["pairs"], label="Ambient")
    assert (row["n"], row["agreement"], row["positive_agreement"]) == (2, 0.5, 2 / 3)
    counts = read_counts(world.library, Filters(), lambda *_: 0)
    assert counts.yes[(world.ana.pk, world.ambient.pk, 0, "audit")] == 2
    assert counts.judged[(world.ana.pk, world.ambient.pk, 0, "audit")] == 2
    taxonomy.undo_change(change)
    assert world.report() == before


def test_rates_leave_unsure_and_what_was_not_offered_out(world):
    without_rock = offer([world.ambient, world.drone])
    world.say(world.ana, 0, world.ambient, unsure=[world.drone])
    world.say(world.ana, 1, world.drone, offered=without_rock)
    world.say(world.ana, 2, world.rock, stratum="acquire")
    world.report()
    counts = read_counts(world.library, Filters(strata=frozenset(["audit"])), lambda *_: 0)

    def of(label):
        key = (world.ana.pk, label.pk, 0, "audit")
        return counts.yes[key], counts.judged[key]

    assert of(world.ambient) == (1, 2)
    assert of(world.drone) == (1, 1)
    assert of(world.rock) == (0, 1)
    facet_id = world.ambient.facet_id
    assert counts.answers == {(world.ana.pk, facet_id, 0, "audit"): 2}


def test_filters_narrow_people_facet_and_label(world):
    world.say_square(3, 1, 1, 3)
    world.say(world.cora, 0, world.rock)
    report = world.report(
        annotator_ids=frozenset([world.ana.pk, world.ben.pk]), label_id=world.drone.pk
    )
    assert [row["label"] for row in report["pairs"]] == ["Drone"]
    assert {row["annotator"] for row in report["annotators"]} == {"ana", "ben"}
    mood = world.library.facets.get(name="mood")
    assert world.report(facet_id=mood.pk)["pairs"] == []


def test_empty_library_has_an_empty_report():
    library = make_library()
    assert agreement.report(library) == {
        "annotators": [],
        "pairs": [],
        "self": [],
        "drift": [],
    }


def test_command_prints_one_json_object(world, capsys):
    world.say_square(1, 1, 0, 1)
    call_command("consistency", library="studio", json=True)
    report = json.loads(capsys.readouterr().out)
    assert len(report["pairs"]) == 4


def test_command_for_people_names_what_it_counted(world, capsys):
    world.say_square(1, 1, 0, 1)
    call_command("consistency", library="studio")
    assert "pairs: 4 rows" in capsys.readouterr().out


def test_unknown_library_is_bad_input():
    with pytest.raises(CommandError) as refused:
        call_command("consistency", library="nowhere", json=True)
    assert refused.value.returncode == 2
