"""Snapshots: which answers are read, and what a blank means."""

from __future__ import annotations

import pytest

from labeling.errors import BadInput, EmptySelection
from labeling.loop.datasets.selection import Selection
from labeling.loop.datasets.snapshots import (
    label_uids,
    lowest_support,
)
from labeling.models import GuidelineVersion
from tests.answers import day, retract, say
from tests.factories import make_annotator, make_track
from tests.labeling.datasets.snapshot.world import N, U, Y, cells, frozen

pytestmark = pytest.mark.django_db


def test_blank_is_a_no_where_the_facet_was_completed(library, labels, ann):
    ambient, drone, rock = labels
    say(ann, make_track(library), [ambient], offered=labels)
    say(ann, make_track(library), [drone], offered=labels, unsure=[rock])
    say(ann, make_track(library), [rock], offered=labels, complete=False, no=[ambient])
    assert cells(frozen(library)) == [[Y, N, N], [N, Y, U], [N, U, Y]]


def test_label_added_later_was_not_asked_before(library, labels, ann):
    ambient, drone, rock = labels
    say(ann, make_track(library), [ambient], offered=[ambient, drone])
    say(ann, make_track(library), [rock, drone], offered=labels)
    assert cells(frozen(library)) == [[Y, N, U], [N, Y, Y]]


def test_labels_need_support_and_tracks_a_judged_label(library, labels, ann):
    ambient, _, rock = labels
    for _ in range(3):
        say(ann, make_track(library), [ambient], offered=labels)
    say(ann, make_track(library), [rock], offered=labels, complete=False)
    got = frozen(library, min_support=2)
    assert label_uids(got) == [ambient.uid.hex]
    assert cells(got) == [[Y], [Y], [Y]]


def test_audit_answers_do_not_decide_which_labels_are_learnt(library, labels, ann):
    ambient, drone, _ = labels
    for number in range(4):
        say(ann, make_track(library), [ambient], offered=labels)
        say(ann, make_track(library, is_audit=number > 0), [drone], offered=labels)
    assert label_uids(frozen(library, min_support=2)) == [ambient.uid.hex]
    assert label_uids(frozen(library)) == [ambient.uid.hex, drone.uid.hex]
    with pytest.raises(BadInput, match="two labels that 2 training-side tracks have each"):
        lowest_support(library, Selection())


def test_merged_label_counts_as_what_it_became(library, labels, ann):
    ambient, drone, rock = labels
    one, two = make_track(library), make_track(library)
    say(ann, one, [drone], offered=labels)
    say(ann, two, [rock], offered=labels)
    drone.merged_into, drone.is_active = ambient, False
    drone.save()
    got = frozen(library)
    assert label_uids(got) == [ambient.uid.hex, rock.uid.hex]
    assert cells(got) == [[Y, N], [N, Y]]


def test_inactive_label_is_left_out(library, labels, ann):
    ambient, drone, _ = labels
    say(ann, make_track(library), [ambient, drone], offered=labels)
    ambient.is_active = False
    ambient.save()
    assert label_uids(frozen(library)) == [drone.uid.hex]


class TestLegacyBlanks:
    """An imported blank is a no: `closed` always, `first-use` once used, `open` never."""

    @pytest.fixture
    def legacy(self, library, labels):
        ambient, drone, _ = labels
        who = make_annotator(library, "Legacy", kind="legacy")
        for at, yes in (
            ("2010-01-01", ambient),
            ("2012-01-01", drone),
            ("2014-01-01", ambient),
        ):
            say(who, make_track(library), [yes], offered=labels, kind="imported", at=at)
        return who

    @pytest.mark.parametrize(
        ("negatives", "expected"),
        [
            ("closed", [[Y, N], [N, Y], [Y, N]]),
            ("first-use", [[Y, U], [N, Y], [Y, N]]),
            ("open", [[Y, U], [U, Y], [Y, U]]),
        ],
    )
    def test_rules(self, library, legacy, negatives, expected):
        got = frozen(library, negatives=negatives)
        assert cells(got) == expected

    def test_label_never_used_is_no_negative(self, library, labels, legacy, ann):
        rock = labels[2]
        say(ann, make_track(library), [rock], offered=labels, at="2020-01-01")
        assert [row[2] for row in cells(frozen(library))] == [U, U, U, Y]

    def test_undated_use_counts_from_the_beginning(self, library, labels, legacy):
        rock = labels[2]
        say(legacy, make_track(library), [rock], offered=labels, kind="imported")
        assert [row[2] for row in cells(frozen(library))] == [N, N, N, Y]

    def test_retracted_tick_sets_off_nothing(self, library, labels, legacy):
        track = make_track(library)
        ticked = say(
            legacy, track, [labels[2]], offered=labels, kind="imported", at="2009-01-01"
        )
        assert [row[2] for row in cells(frozen(library))] == [N, N, N, Y]
        retract(ticked)
        say(
            legacy, make_track(library), [labels[2]], offered=labels, kind="imported",
            at="2013-01-01",
        )  # fmt: skip
        assert [row[2] for row in cells(frozen(library))] == [U, U, N, Y]

    def test_tick_that_was_revised_away_sets_off_nothing(self, library, labels, legacy):
        track = make_track(library)
        ticked = say(
            legacy, track, [labels[1]], offered=labels, kind="imported", at="2009-01-01"
        )
        say(
            legacy, track, [labels[0]], offered=labels, kind="revision", at="2009-01-01",
            revises=ticked,
        )  # fmt: skip
        assert [row[1] for row in cells(frozen(library))][:3] == [U, Y, N]

    def test_judgement_in_the_page_is_not_concerned(self, library, labels, ann):
        say(ann, make_track(library), [labels[0]], offered=labels, at="2020-01-01")
        say(ann, make_track(library), [labels[1]], offered=labels, at="2021-01-01")
        assert cells(frozen(library)) == [[Y, N], [N, Y]]


class TestPeriods:
    """Inside a period or guideline the newest live answer counts, current or not."""

    @pytest.fixture
    def track(self, library, labels, ann):
        track = make_track(library)
        say(ann, track, [labels[0]], offered=labels, at="2020-01-10")
        say(ann, track, [labels[1]], offered=labels, at="2022-01-10")
        return track

    @pytest.mark.parametrize(
        ("period", "label"),
        [
            ({}, 1),
            ({"until": "2021-12-31"}, 0),
            ({"until": "2020-01-10"}, 0),
            ({"since": "2022-01-10"}, 1),
        ],
    )
    def test_period(self, library, labels, track, period, label):
        assert label_uids(frozen(library, **period)) == [labels[label].uid.hex]

    def test_nothing_inside(self, library, track):
        with pytest.raises(EmptySelection, match="no answer matches"):
            frozen(library, since="2023-01-01")

    def test_retracted_answer_is_not_dug_up(self, library, labels, ann):
        track = make_track(library)
        retract(say(ann, track, [labels[0]], offered=labels, at="2020-01-10"))
        say(ann, track, [labels[1]], offered=labels, at="2022-01-10")
        with pytest.raises(EmptySelection):
            frozen(library, until="2021-01-01")

    def test_revision_keeps_the_place_of_what_it_revises(self, library, labels, ann):
        track = make_track(library)
        first = say(ann, track, [labels[0]], offered=labels, at="2020-01-10")
        say(ann, track, [labels[1]], offered=labels, at="2022-01-10")
        say(
            ann, track, [labels[2]], offered=labels, at="2023-01-10",
            kind="revision", revises=first,
        )  # fmt: skip
        assert label_uids(frozen(library)) == [labels[1].uid.hex]
        assert label_uids(frozen(library, since="2020-01-01")) == [labels[1].uid.hex]

    def test_undated_answers_are_the_oldest(self, library, labels, ann):
        say(ann, make_track(library), [labels[0]], offered=labels)
        assert len(frozen(library, until="1990-01-01").track_ids) == 1
        with pytest.raises(EmptySelection):
            frozen(library, since="1990-01-01")

    def test_guideline(self, library, labels, ann):
        GuidelineVersion.objects.create(
            library=library, number=1, text="x", published_at=day("2021-01-01")
        )
        track = make_track(library)
        say(ann, track, [labels[0]], offered=labels, at="2020-01-10")
        say(ann, track, [labels[1]], offered=labels, at="2022-01-10", guideline=1)
        assert label_uids(frozen(library, guidelines=(0,))) == [labels[0].uid.hex]
        assert label_uids(frozen(library, guidelines=(1,))) == [labels[1].uid.hex]
