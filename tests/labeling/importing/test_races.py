"""Imports of one library at once: as if they had come one after the other."""

from __future__ import annotations

from collections import defaultdict

import pytest

from labeling.loop.importing import labels
from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.loop.importing.lock import one_import_at_a_time
from labeling.loop.library import taxonomy
from labeling.models import Annotation, AudioFile, Label, Track
from labeling.writing import short_write
from tests.at_once import all_at_once
from tests.factories import make_library

pytestmark = pytest.mark.django_db(transaction=True)
N_ALBUMS = 40


def catalogue(folder, part):
    path = folder / f"{part}.csv"
    rows = [f"{part}{n}.mp3,Album {n},Genre {n}" for n in range(N_ALBUMS)]
    path.write_text("\n".join(["filename,album,genre", *rows]), encoding="utf-8")
    return path


@pytest.mark.parametrize("is_there", [True, False])
def test_an_album_that_two_imports_bring_is_on_one_side(tmp_path, is_there):
    if is_there:
        make_library("lib")
    paths = [catalogue(tmp_path, part) for part in "abcd"]
    reports = all_at_once(lambda path: import_catalogue("lib", path, ImportOptions()), paths)
    sides = defaultdict(set)
    for album, group, is_audit in Track.objects.values_list("album", "split_group", "is_audit"):
        sides[album].add((group, is_audit))
    assert len(sides) == N_ALBUMS
    assert all(len(places) == 1 for places in sides.values())
    assert Track.objects.count() == Annotation.objects.count() == 4 * N_ALBUMS
    assert Label.objects.count() == N_ALBUMS
    assert sum(report["labels_created"] for report in reports) == N_ALBUMS


def test_libraries_that_share_a_folder_share_its_files(tmp_path):
    names = [f"{n}.mp3" for n in range(50)]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    path = tmp_path / "c.csv"
    path.write_text("\n".join(["filename", *names]), encoding="utf-8")
    options = ImportOptions(audio_folder=str(tmp_path))
    all_at_once(lambda slug: import_catalogue(slug, path, options), ["one", "two", "three"])
    assert AudioFile.objects.count() == 50
    assert Track.objects.filter(audio__isnull=False).count() == 150


def test_a_label_made_since_the_plan_is_the_label():
    library = make_library("lib")
    facet = library.facets.get(name="genre")
    planned = labels.plan_labels([("genre", "Rock"), ("genre", "Pop")], {"genre": facet})
    made, _ = taxonomy.get_or_create_label(facet, "ROCK")
    with short_write():
        labels.make_labels(planned, {"genre": facet})
    assert planned.known["genre"]["rock"] == made.pk
    assert planned.n_new == 1
    assert set(Label.objects.values_list("name", flat=True)) == {"ROCK", "Pop"}


def test_who_is_asked_to_stop_while_waiting_gets_no_turn():
    library = make_library("lib")

    def other(_):
        with one_import_at_a_time(library.pk, lambda: True) as has_turn:
            return has_turn

    with one_import_at_a_time(library.pk) as has_turn:
        assert has_turn
        assert all_at_once(other, [0]) == [False]
    assert all_at_once(other, [0]) == [True]
