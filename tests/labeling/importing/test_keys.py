"""One file is one track, however its path is written."""

from __future__ import annotations

import pytest

from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.models import Annotation, Track
from labeling.names import track_key
from tests.factories import make_library, make_track

pytestmark = pytest.mark.django_db


def load(tmp_path, text, **options):
    path = tmp_path / "c.csv"
    path.write_text(text, encoding="utf-8")
    return import_catalogue("lib", path, ImportOptions(**options))


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("sub//b.mp3", "sub/b.mp3"),
        ("sub/./b.mp3", "sub/b.mp3"),
        (".//./sub\\b.mp3", "sub/b.mp3"),
        ("/music//b.mp3", "/music/b.mp3"),
        ("b.mp3", "b.mp3"),
        ("a.../b..mp3", "a.../b..mp3"),
        ("./", ""),
    ],
)
def test_a_key_has_no_empty_steps(written, key):
    assert track_key(written) == key


def test_three_ways_to_write_a_path_are_one_track(tmp_path):
    report = load(tmp_path, "filename,genre\nsub//b.mp3,Pop\nsub/b.mp3,Pop\nsub/./b.mp3,Rock\n")
    assert report["tracks_created"] == report["annotations_created"] == 1
    assert Track.objects.get().key == "sub/b.mp3"


@pytest.mark.parametrize("path", ["../b.mp3", "a/../b.mp3", "a\\..\\b.mp3", ".."])
def test_a_path_that_leads_out_is_refused(tmp_path, path):
    report = load(tmp_path, f"filename,genre\n{path},Pop\nc.mp3,Pop\n")
    assert (report["tracks_created"], report["rows_rejected"]) == (1, 1)
    assert report["errors"][0]["row"] == 2
    assert "leads out" in report["errors"][0]["message"]


def test_a_track_that_was_kept_under_an_untidy_path_is_found(tmp_path):
    library = make_library("lib")
    old = make_track(library, "sub//b.mp3")
    both = [make_track(library, key) for key in ("c/./d.mp3", "c/d.mp3")]
    text = "filename,genre\nsub/b.mp3,Pop\nc/d.mp3,Rock\n"
    assert load(tmp_path, text)["tracks_created"] == 0
    said = Annotation.objects.order_by("id").values_list("track_id", flat=True)
    assert list(said) == [old.pk, both[1].pk]
    assert load(tmp_path, text)["annotations_created"] == 0
