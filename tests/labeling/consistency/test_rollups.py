from __future__ import annotations

import datetime

import pytest

from labeling.loop.consistency import rollups
from labeling.loop.consistency.independent import among
from labeling.models import AnswerDay, DirtyKey, LabelDay, PairCell, Track
from labeling.models.rollups import UNKNOWN_DAY
from tests.factories import make_annotator, make_labels, make_library, make_track
from tests.labeling.histories import offer, retract, say

pytestmark = pytest.mark.django_db


class World:
    def __init__(self):
        self.library = make_library()
        self.ambient, self.drone, self.rock = make_labels(self.library)
        self.offered = offer([self.ambient, self.drone, self.rock])
        self.ana = make_annotator(self.library, "ana")
        self.ben = make_annotator(self.library, "ben")
        self.tracks = [make_track(self.library) for _ in range(6)]

    def say(self, annotator, track, *yes, **over):
        over.setdefault("offered", self.offered)
        return say(annotator, self.tracks[track], yes, **over)


@pytest.fixture
def world():
    return World()


def rows():
    """All roll-ups as plain values."""
    return (
        sorted(
            AnswerDay.objects.values_list("annotator_id", "label_set_id", "day", "stratum", "n")
        ),
        sorted(
            LabelDay.objects.values_list(
                "annotator_id", "label_id", "day", "stratum", "yes", "unsure", "no"
            )
        ),
        sorted(
            PairCell.objects.values_list(
                "a_id", "b_id", "label_id", "both", "only_a", "only_b", "neither"
            )
        ),
    )


def cell(world, label):
    found = PairCell.objects.get(a=world.ana, b=world.ben, label=label)
    return found.both, found.only_a, found.only_b, found.neither


def label_day(label):
    return list(LabelDay.objects.filter(label=label).values_list("day", "yes", "unsure", "no"))


DAY = datetime.date(2024, 1, 10)


def test_answers_and_labels_are_counted_by_utc_day_and_stratum(world):
    world.say(world.ana, 0, world.ambient, world.drone)
    world.say(world.ana, 1, world.ambient, unsure=[world.drone], no=[world.rock])
    world.say(world.ana, 2, world.ambient, when="2024-01-11", stratum="explore")
    rollups.measure(world.library)
    assert sorted(AnswerDay.objects.values_list("day", "stratum", "n")) == [
        (DAY, "audit", 2),
        (datetime.date(2024, 1, 11), "explore", 1),
    ]
    assert label_day(world.ambient) == [(DAY, 2, 0, 0), (datetime.date(2024, 1, 11), 1, 0, 0)]
    assert label_day(world.drone) == [(DAY, 1, 1, 0)]
    assert label_day(world.rock) == [(DAY, 0, 0, 1)]
    assert not DirtyKey.objects.exists()


def test_undated_imports_stand_on_the_unknown_day_without_a_stratum(world):
    world.say(world.ana, 0, world.rock, kind="imported", when=None)
    rollups.measure(world.library)
    assert AnswerDay.objects.values_list("day", "stratum", "n").get() == (UNKNOWN_DAY, "", 1)


@pytest.mark.parametrize("kind", ["propagated", "adjudication", "automatic"])
def test_what_is_no_independent_look_is_not_counted(world, kind):
    first = world.say(world.ana, 0, world.rock)
    world.say(world.ana, 1, world.ambient, kind=kind, derived_from=first)
    rollups.measure(world.library)
    assert label_day(world.ambient) == []
    assert AnswerDay.objects.get().n == 1


def test_revision_replaces_the_content_and_keeps_the_day_of_the_look(world):
    first = world.say(world.ana, 0, world.ambient)
    world.say(world.ana, 0, world.rock, kind="revision", revises=first, when="2024-03-01")
    rollups.measure(world.library)
    assert label_day(world.ambient) == []
    assert label_day(world.rock) == [(DAY, 1, 0, 0)]
    assert AnswerDay.objects.get().n == 1


def test_undoing_a_revision_brings_the_first_content_back(world):
    first = world.say(world.ana, 0, world.ambient)
    revision = world.say(world.ana, 0, world.rock, kind="revision", revises=first)
    rollups.measure(world.library)
    retract(revision)
    rollups.measure(world.library)
    assert label_day(world.ambient) == [(DAY, 1, 0, 0)]
    assert label_day(world.rock) == []


def test_retracted_look_leaves_no_trace_and_comes_back_when_redone(world):
    first = world.say(world.ana, 0, world.ambient)
    retraction = retract(first)
    rollups.measure(world.library)
    assert rows() == ([], [], [])
    retract(retraction)
    rollups.measure(world.library)
    assert label_day(world.ambient) == [(DAY, 1, 0, 0)]


def test_facet_left_open_counts_in_pairs_but_not_in_rates(world):
    world.say(world.ana, 0, world.ambient, no=[world.rock], complete=False)
    world.say(world.ben, 0, world.ambient)
    rollups.measure(world.library)
    assert not AnswerDay.objects.filter(annotator=world.ana).exists()
    assert cell(world, world.ambient) == (1, 0, 0, 0)
    assert cell(world, world.rock) == (0, 0, 0, 1)
    assert not PairCell.objects.filter(label=world.drone).exists()


def test_pair_cells_are_the_2_by_2_of_what_both_judged(world):
    world.say(world.ana, 0, world.ambient)
    world.say(world.ben, 0, world.ambient, world.drone)
    world.say(world.ana, 1, world.drone)
    world.say(world.ben, 1, unsure=[world.drone])
    world.say(world.ana, 2, world.rock)
    rollups.measure(world.library)
    assert cell(world, world.ambient) == (1, 0, 0, 1)
    assert cell(world, world.drone) == (0, 0, 1, 0)
    assert cell(world, world.rock) == (0, 0, 0, 2)


def test_not_asked_is_never_a_disagreement(world):
    without_rock = offer([world.ambient, world.drone])
    world.say(world.ana, 0, world.ambient, offered=without_rock)
    world.say(world.ben, 0, world.rock)
    rollups.measure(world.library)
    assert not PairCell.objects.filter(label=world.rock).exists()
    assert cell(world, world.ambient) == (0, 1, 0, 0)


def test_the_newest_look_of_a_repeat_stands_in_the_pair(world):
    world.say(world.ana, 0, world.ambient, when=None, kind="imported")
    world.say(world.ana, 0, world.rock, when="2024-05-01")
    world.say(world.ben, 0, world.rock)
    rollups.measure(world.library)
    assert cell(world, world.rock) == (1, 0, 0, 0)
    assert cell(world, world.ambient) == (0, 0, 0, 1)


def test_measuring_step_by_step_equals_rebuilding_from_the_events(world):
    first = world.say(world.ana, 0, world.ambient)
    rollups.measure(world.library)
    world.say(world.ben, 0, world.drone, when="2024-04-02")
    world.say(world.ana, 1, world.rock, when="2024-02-02", stratum="explore")
    rollups.measure(world.library)
    world.say(world.ana, 0, world.drone, kind="revision", revises=first, when="2024-06-01")
    world.say(world.ben, 1, world.rock, unsure=[world.ambient], when=None, kind="imported")
    rollups.measure(world.library)
    retract(world.say(world.ben, 2, world.rock))
    rollups.measure(world.library)
    stepwise = rows()
    AnswerDay.objects.update(n=99)
    LabelDay.objects.all().delete()
    PairCell.objects.update(both=99)
    rollups.rebuild_rollups(world.library)
    assert rows() == stepwise
    assert len(stepwise[0]) == 4


def test_rebuild_drops_days_of_which_no_event_is_left(world):
    AnswerDay.objects.create(
        annotator=world.ana, label_set=world.offered, day=DAY, stratum="audit", n=7
    )
    rollups.rebuild_rollups(world.library)
    assert rows() == ([], [], [])


def test_measuring_twice_changes_nothing(world):
    world.say(world.ana, 0, world.ambient)
    rollups.measure(world.library)
    before = rows()
    assert rollups.measure(world.library) == {"keys": 0, "days": 0, "pairs": 0}
    assert rows() == before


def test_the_slower_of_two_starts_again_with_what_came_in_between(world, monkeypatch):
    world.say(world.ana, 0, world.ambient)
    count, is_first = rollups._count, [True]

    def count_and_be_overtaken(library, touched):
        counts = count(library, touched)
        if is_first.pop() if is_first else False:
            world.say(world.ana, 1, world.ambient)
            rollups.measure(library)
            world.say(world.ana, 2, world.ambient)
        return counts

    monkeypatch.setattr(rollups, "_count", count_and_be_overtaken)
    rollups.measure(world.library)
    assert label_day(world.ambient) == [(DAY, 3, 0, 0)]
    assert not DirtyKey.objects.exists()


def test_other_libraries_are_left_alone(world):
    other = World()
    other.say(other.ana, 0, other.rock)
    world.say(world.ana, 0, world.ambient)
    rollups.measure(world.library)
    assert DirtyKey.objects.filter(library=other.library).count() == 1
    assert not AnswerDay.objects.filter(annotator=other.ana).exists()


@pytest.mark.parametrize(
    "ids",
    [
        [],
        [5],
        [1, 2, 3],
        [3, 1, 2, 7],
        [2, 4, 6, 8, 10, 12, 14, 16, 18, 20],
        [*range(1, 40, 3)],
    ],
)
def test_ranges_select_what_a_list_does(ids):
    library = make_library()
    for n in range(1, 41):
        make_track(library, pk=n)
    found = Track.objects.filter(among("id", ids)).values_list("id", flat=True)
    assert sorted(found) == sorted(ids)
