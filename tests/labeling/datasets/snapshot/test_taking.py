"""Snapshots: hashes, files, refusals and the least support."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from labeling.errors import BadInput
from labeling.loop.datasets import snapshots
from labeling.loop.datasets.arrays import build_arrays
from labeling.loop.datasets.selection import Selection
from labeling.loop.datasets.snapshots import (
    load,
    lowest_support,
    take_snapshot,
)
from labeling.models import Snapshot
from tests.answers import say
from tests.factories import make_labels, make_track
from tests.labeling.datasets.snapshot.world import cells

pytestmark = pytest.mark.django_db


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
    with pytest.raises(BadInput, match="does not match its checksum"):
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
    with pytest.raises(BadInput, match="no option colour"):
        Selection.of({"colour": "red"})


def test_answer_has_the_keys_that_are_promised(library, labels, ann):
    for _ in range(5):
        say(ann, make_track(library), [labels[0]], offered=labels)
    answer = snapshots.result_of(take_snapshot(library))
    assert {"snapshot", "hash", "tracks", "labels", "split"} <= set(answer)
    assert answer["selection"] == Selection().canonical()
    assert (answer["tracks"], answer["labels"]) == (5, 1)
