"""The export of the consensus, by each method, with probabilities."""

from __future__ import annotations

import csv

import pytest
from django.core.management import call_command

from labeling.errors import BadInput
from labeling.loop.exporting.export import export_annotations
from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.models import Annotator
from tests.answers import say
from tests.factories import make_annotator, make_labels, make_library, make_track

pytestmark = pytest.mark.django_db

LABELS = ("genre1", "genre1_probability", "genre1_n")


@pytest.fixture
def library():
    library = make_library("lib")
    ambient, drone, rock = labels = make_labels(library)
    tracks = [make_track(library, f"{n}.mp3") for n in range(6)]
    make_track(library, "not judged.mp3")
    a, b, c = (make_annotator(library, name) for name in "abc")
    for track in tracks[:4]:
        for who in (a, b, c):
            say(who, track, [drone if who is not c else rock], offered=labels)
    say(a, tracks[4], [drone], offered=labels)
    say(b, tracks[4], [ambient], offered=labels)
    say(c, tracks[5], [rock], offered=labels)
    say(
        make_annotator(library, "m", kind=Annotator.Kind.MODEL),
        tracks[5],
        [drone],
        offered=labels,
    )
    return library


def rows_of(library, tmp_path, aggregation=None):
    out = tmp_path / "consensus.csv"
    export_annotations(library, "consensus", out, aggregation=aggregation)
    with out.open(newline="", encoding="utf-8") as file:
        return {row["filename"]: row for row in csv.DictReader(file)}


def test_probabilities_stand_behind_the_labels(library, tmp_path):
    rows = rows_of(library, tmp_path)
    assert list(rows["0.mp3"]) == ["filename", "annotators", *LABELS]
    assert [row["annotators"] for row in rows.values()] == ["3"] * 4 + ["2", "1"]
    assert rows["0.mp3"]["genre1"] == "Drone"
    assert 0.9 < float(rows["0.mp3"]["genre1_probability"]) < 1
    assert rows["0.mp3"]["genre1_n"] == "3"
    assert rows["5.mp3"] == {
        "filename": "5.mp3", "annotators": "1",
        "genre1": "Rock", "genre1_probability": "1", "genre1_n": "1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("aggregation", "first", "disputed"),
    [("majority", "0.6667", ""), ("plurality", "0.6667", ""), ("one-coin", None, "Drone")],
)
def test_other_methods(library, tmp_path, aggregation, first, disputed):
    rows = rows_of(library, tmp_path, aggregation)
    assert rows["0.mp3"]["genre1"] == "Drone"
    assert first in (None, rows["0.mp3"]["genre1_probability"])
    assert rows["4.mp3"]["genre1"] == disputed
    assert rows["5.mp3"]["genre1"] == "Rock"


def test_two_who_are_equally_good_leave_the_label_empty(tmp_path):
    library = make_library("lib")
    ambient, drone, _ = labels = make_labels(library)
    track = make_track(library, "1.mp3")
    say(make_annotator(library, "a"), track, [drone], offered=labels)
    say(make_annotator(library, "b"), track, [ambient], offered=labels)
    (row,) = rows_of(library, tmp_path).values()
    assert row == {"filename": "1.mp3", "annotators": "2"}


def test_a_person_overrides_the_catalogue(tmp_path):
    library = make_library("lib")
    ambient, drone, _ = labels = make_labels(library)
    track = make_track(library, "1.mp3")
    legacy = make_annotator(library, "old", kind=Annotator.Kind.LEGACY)
    say(legacy, track, [ambient], offered=labels, kind="imported")
    say(make_annotator(library, "a"), track, [drone], offered=labels)
    (row,) = rows_of(library, tmp_path).values()
    assert [row[name] for name in LABELS] == ["Drone", "1", "1"]


def test_the_file_can_be_imported(library, tmp_path):
    """The added columns are metadata, not labels."""
    call_command(
        "export_annotations", "--library", "lib", "--format", "consensus",
        "--out", str(tmp_path / "c.csv"), "--aggregation", "facet",
    )  # fmt: skip
    other = make_library("other")
    make_labels(other)
    import_catalogue(other.slug, tmp_path / "c.csv", ImportOptions())
    assert other.tracks.count() == 6
    assert set(other.tracks.get(key="0.mp3").extra) == {"annotators", *LABELS[1:]}


def test_aggregation_is_refused_where_it_has_no_effect(library, tmp_path):
    with pytest.raises(BadInput, match="needs --format consensus"):
        export_annotations(library, "wide", tmp_path / "w.csv", aggregation="facet")
    with pytest.raises(BadInput, match="must be one of facet, one-coin, majority, plurality"):
        export_annotations(library, "consensus", tmp_path / "c.csv", aggregation="mean")
