"""A snapshot marks every track that has an answer by the current criteria."""

from __future__ import annotations

import pytest

from labeling.loop.datasets import snapshots
from labeling.loop.datasets.arrays import SnapshotArrays, build_arrays
from labeling.loop.datasets.selection import Selection
from labeling.models import EraCut, GuidelineVersion, Label
from tests.answers import day, say
from tests.factories import make_annotator, make_labels, make_library, make_track

pytestmark = pytest.mark.django_db


@pytest.fixture
def library():
    """A catalogue labels every track, Ana labels two in 2022 and two in 2024."""
    library = make_library()
    labels = make_labels(library)
    catalogue = make_annotator(library, "Catalogue", kind="legacy")
    ana = make_annotator(library, "Ana")
    for number in range(6):
        track = make_track(library, f"{number}")
        say(catalogue, track, [labels[0]], offered=labels, kind="imported", at="2015-01-01")
        if number < 4:
            at = "2022-01-01" if number < 2 else "2024-01-01"
            say(ana, track, [labels[1]], offered=labels, at=at)
    return library


def by_present(library, **selection):
    """Return the keys of the tracks that are marked."""
    frozen = build_arrays(library, Selection(**{"min_support": 1, **selection}))
    keys = dict(library.tracks.values_list("pk", "key"))
    return {keys[pk] for pk in frozen.track_ids[frozen.is_present.any(axis=1)].tolist()}


def test_what_the_current_curator_judged_is_marked(library):
    assert by_present(library) == {"0", "1", "2", "3"}


def test_a_declared_change_moves_the_mark(library):
    ana = library.annotators.get(name="Ana")
    EraCut.objects.create(annotator=ana, at=day("2023-01-01"), kind="declared", reason="r")
    assert by_present(library) == {"2", "3"}


def test_a_change_of_one_label_moves_the_mark_of_that_label(library):
    ana = library.annotators.get(name="Ana")
    drone = Label.objects.get(facet__library=library, name="Drone")
    EraCut.objects.create(
        annotator=ana, label=drone, at=day("2023-01-01"), kind="declared", reason="r"
    )
    frozen = build_arrays(library, Selection(min_support=1))
    place = [one["name"] for one in frozen.facts["labels"]].index("Drone")
    marked = frozen.is_present.sum(axis=0).tolist()
    assert marked[place] == 2
    assert [n for at, n in enumerate(marked) if at != place] == [4]


def test_a_side_asked_for_is_all_on_one_side(library):
    ana = library.annotators.get(name="Ana")
    EraCut.objects.create(annotator=ana, at=day("2023-01-01"), kind="declared", reason="r")
    assert by_present(library, criteria="current") == {"2", "3"}
    assert by_present(library, criteria="legacy") == set()


def test_nobody_is_marked_where_nobody_is_a_current_curator(library):
    GuidelineVersion.objects.create(
        library=library, number=1, text="new", published_at=day("2025-01-01")
    )
    assert by_present(library) == set()


def test_of_older_snapshots_nobody_knows(library):
    arrays = build_arrays(library, Selection(min_support=1)).arrays()
    del arrays["is_present"]
    assert not SnapshotArrays.from_arrays(arrays).is_present.any()


def test_the_mark_is_kept_in_the_file_and_in_the_hash(library):
    selection = Selection(min_support=1)
    first = snapshots.take_snapshot(library, selection)
    frozen = snapshots.load(first)
    assert int(frozen.is_present.any(axis=1).sum()) == 4
    assert snapshots.take_snapshot(library, selection).pk == first.pk
    ana = library.annotators.get(name="Ana")
    EraCut.objects.create(annotator=ana, at=day("2023-01-01"), kind="declared", reason="r")
    other = snapshots.take_snapshot(library, selection)
    assert other.pk != first.pk
    assert int(snapshots.load(other).is_present.any(axis=1).sum()) == 2
