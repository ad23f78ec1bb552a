"""Snapshots: the answers that one takes, and the arrays it makes from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from django.conf import settings

from labeling.errors import BadInput, EmptySelection
from labeling.loop.datasets import snapshots
from labeling.loop.datasets.arrays import build_arrays
from labeling.loop.datasets.selection import Selection
from labeling.loop.datasets.snapshots import (
    label_uids,
    load,
    lowest_support,
    take_snapshot,
)
from labeling.models import GuidelineVersion, Label, Snapshot
from tests.answers import day, retract, say
from tests.factories import make_annotator, make_labels, make_library, make_track

pytestmark = pytest.mark.django_db
Y, N, U = 1, 0, -1


@pytest.fixture
def library():
    return make_library()


@pytest.fixture
def labels(library):
    return make_labels(library)


@pytest.fixture
def ann(library):
    return make_annotator(library, "Ann")


def cells(frozen):
    """Return the matrix as rows of 1 yes, 0 no, -1 not judged."""
    return np.where(frozen.matrix.label_mask, frozen.matrix.labels.astype(int), -1).tolist()


def frozen(library, **selection):
    return build_arrays(library, Selection(**{"min_support": 1, **selection}))


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
    with pytest.raises(
        BadInput, match="two labels that 2 tracks have each, audit tracks aside"
    ):
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


def test_annotators_are_chosen_by_name_and_models_never_by_default(library, labels, ann):
    bob, model = make_annotator(library, "Bob"), make_annotator(library, "m", kind="model")
    for who, label in zip((ann, bob, model), labels, strict=True):
        say(who, make_track(library), [label], offered=labels)
    assert label_uids(frozen(library)) == [labels[0].uid.hex, labels[1].uid.hex]
    assert label_uids(frozen(library, annotators=("bob",))) == [labels[1].uid.hex]
    assert label_uids(frozen(library, annotator_kinds=("model",))) == [labels[2].uid.hex]


def test_several_annotators_outvote_one(library, labels, ann):
    track = make_track(library)
    for who in (ann, make_annotator(library), make_annotator(library)):
        say(who, track, [labels[0]], offered=labels[:2])
    say(make_annotator(library), track, [labels[1]], offered=labels[:2])
    say(ann, make_track(library), [labels[1]], offered=labels[:2])
    assert cells(frozen(library)) == [[Y, N], [N, Y]]


def test_person_replaces_the_catalogue_label_by_label(library, labels, ann):
    ambient, drone, rock = labels
    legacy, track = make_annotator(library, "Legacy", kind="legacy"), make_track(library)
    say(legacy, track, [ambient, rock], offered=labels, kind="imported")
    say(ann, track, [drone], offered=labels[:2], at="2024-01-01")
    assert cells(frozen(library)) == [[Y, Y]]
    assert label_uids(frozen(library)) == [drone.uid.hex, rock.uid.hex]


class TestOthers:
    @pytest.fixture
    def catalogue(self, library, ann):
        labels = make_labels(library, names=("Pop", "Rare one", "Rare two", "Others"))
        pop, one, two, others = labels
        for yes in ([pop], [pop, one], [one], [two], [others]):
            say(ann, make_track(library), yes, offered=labels)
        return labels

    def test_keep_leaves_rare_labels_out(self, library, catalogue):
        got = frozen(library, min_support=2)
        assert label_uids(got) == [catalogue[0].uid.hex, catalogue[1].uid.hex]

    def test_fold_unites_rare_labels_in_one_that_is_not_the_librarys(self, library, catalogue):
        got = frozen(library, min_support=2, others="fold")
        assert label_uids(got)[:2] == [catalogue[n].uid.hex for n in (0, 1)]
        assert label_uids(got)[2] not in {label.uid.hex for label in Label.objects.all()}
        assert cells(got) == [[Y, N, N], [Y, Y, N], [N, Y, N], [N, N, Y], [N, N, Y]]

    def test_drop_leaves_the_catch_all_out(self, library, catalogue):
        got = frozen(library, others="drop")
        assert label_uids(got) == [catalogue[n].uid.hex for n in (0, 1, 2)]


class TestReference:
    """On audit tracks persons measure when enough of them did, else all who were selected."""

    @pytest.fixture
    def both(self, library, labels, ann):
        legacy = make_annotator(library, "Legacy", kind="legacy")
        for number in range(6):
            track = make_track(library, is_audit=number < 4)
            say(legacy, track, [labels[0]], offered=labels[:2], kind="imported")
            say(legacy, make_track(library), [labels[1]], offered=labels[:2], kind="imported")
            if number < 3:
                say(ann, track, [labels[1]], offered=labels[:2], at="2024-01-01")

    def test_everyone_while_persons_judged_few(self, library, both):
        got = frozen(library)
        assert got.judged_by.startswith("all selected: Ann, Legacy (fewer than 30 audit")
        judged = got.reference.label_mask.any(axis=1)
        assert judged.sum() == 4
        assert got.reference.labels[judged].tolist() == [[False, True]] * 3 + [[True, False]]

    def test_persons_when_there_are_enough(self, library, both, monkeypatch):
        monkeypatch.setattr("labeling.loop.datasets.aggregate.ENOUGH_PERSON_TRACKS", 3)
        got = frozen(library)
        assert got.judged_by == "persons: Ann"
        judged = got.reference.label_mask.any(axis=1)
        assert judged.sum() == 3
        assert got.reference.labels[judged].tolist() == [[False, True]] * 3

    def test_reference_annotators_measure_and_top_persons(
        self, library, labels, both, monkeypatch
    ):
        monkeypatch.setattr("labeling.loop.datasets.aggregate.ENOUGH_PERSON_TRACKS", 3)
        gold = make_annotator(library, "Gold", kind="reference")
        track = library.tracks.filter(is_audit=True).order_by("id").first()
        say(gold, track, [labels[0]], offered=labels[:2], at="2024-02-01")
        got = frozen(library)
        assert got.judged_by == "persons: Ann, Gold"
        judged = got.reference.label_mask.any(axis=1)
        assert got.reference.labels[judged].tolist() == [[True, False]] + [[False, True]] * 2

    def test_nobody(self, library, labels, ann):
        say(ann, make_track(library), [labels[0]], offered=labels)
        assert frozen(library).judged_by == "nobody: no audit track was judged yet"


def test_same_content_is_the_same_snapshot_and_can_be_read_back(library, labels, ann):
    for number in range(12):
        track = make_track(library, is_audit=number % 4 == 0)
        say(ann, track, [labels[number % 2]], offered=labels)
    first = take_snapshot(library)
    assert (first.tracks, first.annotations, first.number) == (12, 12, 1)
    assert first.split == {"train": 8, "validation": 1, "audit": 3, "audit_judged": 3}
    assert take_snapshot(library).pk == first.pk
    got = load(first)
    assert cells(got) == cells(build_arrays(library, Selection()))
    assert got.judged_by == build_arrays(library, Selection()).judged_by
    say(ann, make_track(library), [labels[0]], offered=labels)
    second = take_snapshot(library)
    assert (second.number, second.tracks) == (2, 13)
    files = sorted((Path(settings.SNAPSHOT_ROOT) / library.slug).iterdir())
    assert {file.name for file in files} == {f"{one.hash}.npz" for one in (first, second)}


def test_changed_file_is_refused(library, labels, ann):
    for _ in range(5):
        say(ann, make_track(library), [labels[0]], offered=labels)
    snapshot = take_snapshot(library)
    (Path(settings.SNAPSHOT_ROOT) / snapshot.file).write_bytes(b"other")
    with pytest.raises(BadInput, match="not the one that was written"):
        load(snapshot)


@pytest.mark.parametrize("harm", ["remove", "change", "prune"])
def test_taking_it_again_brings_a_lost_file_back(library, labels, ann, harm):
    for _ in range(5):
        say(ann, make_track(library), [labels[0]], offered=labels)
    snapshot = take_snapshot(library)
    before, path = cells(load(snapshot)), Path(settings.SNAPSHOT_ROOT) / snapshot.file
    if harm == "prune":
        Snapshot.objects.update(file="")
    elif harm == "change":
        path.write_bytes(b"other")
    else:
        path.unlink()
    again = take_snapshot(library)
    assert (again.pk, again.number) == (snapshot.pk, 1)
    assert cells(load(Snapshot.objects.get())) == cells(load(again)) == before
    assert again.file != snapshot.file  # that name may be on its way out


@pytest.mark.parametrize(
    "selection",
    [
        {"facets": ("taste",)},
        {"annotators": ("nobody",)},
        {"since": "yesterday"},
        {"since": "2022-01-01", "until": "2021-01-01"},
        {"guidelines": (7,)},
        {"negatives": "maybe"},
        {"others": "eat"},
        {"min_support": 0},
        {"sources": ("ghost",)},
    ],
)
def test_what_is_not_there_is_refused_and_nothing_written(library, labels, ann, selection):
    with pytest.raises(BadInput):
        take_snapshot(library, Selection(**selection))
    assert Snapshot.objects.count() == 0


def test_round_falls_back_to_two_positives_and_refuses_below(library, labels, ann):
    for label in (labels[0], labels[0], labels[1], labels[1]):
        say(ann, make_track(library), [label], offered=labels)
    assert lowest_support(library, Selection()).min_support == 2
    for _ in range(3):
        for label in labels[:2]:
            say(ann, make_track(library), [label], offered=labels)
    assert lowest_support(library, Selection()).min_support == 5


def test_round_needs_two_labels_in_one_facet(library, labels, ann):
    moods = make_labels(library, "mood", ("Calm",))
    for _ in range(2):
        track = make_track(library)
        say(ann, track, [labels[0]], offered=labels)
        say(ann, track, [moods[0]], offered=moods)
    with pytest.raises(BadInput, match="a facet with two labels"):
        lowest_support(library, Selection())


def test_selection_survives_json(library):
    selection = Selection(facets=("genre",), until="2020-01-01", guidelines=(1,))
    assert Selection.of(selection.canonical()) == selection
    with pytest.raises(BadInput, match="no colour"):
        Selection.of({"colour": "red"})


def test_answer_has_the_keys_that_are_promised(library, labels, ann):
    for _ in range(5):
        say(ann, make_track(library), [labels[0]], offered=labels)
    answer = snapshots.answer(take_snapshot(library))
    assert {"snapshot", "hash", "tracks", "labels", "split"} <= set(answer)
    assert answer["selection"] == Selection().canonical()
    assert (answer["tracks"], answer["labels"]) == (5, 1)
