"""Snapshots: several annotators, rare labels and the reference."""

from __future__ import annotations

import pytest

from labeling.loop.datasets.snapshots import (
    label_uids,
)
from labeling.models import Label
from tests.answers import say
from tests.factories import make_annotator, make_labels, make_track
from tests.labeling.datasets.snapshot.world import N, Y, cells, frozen

pytestmark = pytest.mark.django_db


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
