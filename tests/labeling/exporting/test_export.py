from __future__ import annotations

import csv
import hashlib
import tempfile
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labeling.loop import desk
from labeling.loop.events import alternate_mixes, record
from labeling.loop.events.answers import FacetAnswer
from labeling.loop.exporting import export as csv_export
from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.loop.library import taxonomy
from labeling.models import Annotation, Label, Library, Track
from labeling.names import name_key
from tests.factories import make_annotator, make_labels, make_library, make_track

pytestmark = pytest.mark.django_db


@pytest.fixture
def library():
    return make_library("lib")


def say(track, annotator, **answers):
    """Record an answer: facet -> {label name: value}."""
    said = []
    for facet, values in answers.items():
        row = track.library.facets.get(name=facet)
        ids = {
            Label.objects.get(facet=row, name=name).pk: value for name, value in values.items()
        }
        said.append(FacetAnswer(row.pk, ids))
    return desk.save(
        record.Submission(track=track, annotator=annotator, answers=said)
    ).annotation


def export(library, tmp_path, form, **options):
    out = tmp_path / f"{form}.csv"
    answer = csv_export.export_annotations(library, form, out, **options)
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert answer["rows"] == len(rows)
    assert answer["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    return rows


def reimport(library, tmp_path):
    export(library, tmp_path, "wide")
    return import_catalogue(library.slug, tmp_path / "wide.csv", ImportOptions())


def test_long_has_a_line_for_each_stored_judgement_that_holds(library, tmp_path):
    make_labels(library)
    track, ann = make_track(library, "1.mp3"), make_annotator(library, "ann")
    event = say(track, ann, genre={"Drone": 1, "Rock": 0, "Ambient": -1})
    rows = export(library, tmp_path, "long")
    assert [(row["label"], row["value"]) for row in rows] == [
        ("Drone", "1"),
        ("Rock", "0"),
        ("Ambient", "-1"),
    ]
    assert tuple(rows[0]) == csv_export.LONG_COLUMNS
    assert rows[0] | {"recorded_at": ""} == {
        "filename": "1.mp3",
        "annotator": "ann",
        "answered_at": event.answered_at.isoformat(),
        "recorded_at": "",
        "facet": "genre",
        "label": "Drone",
        "value": "1",
        "guideline": "0",
        "kind": "judgement",
        "stratum": "direct",
        "annotation": str(event.uid),
    }


def test_history_has_what_no_longer_holds(library, tmp_path):
    make_labels(library)
    track, ann = make_track(library), make_annotator(library)
    say(track, ann, genre={"Drone": 1})
    desk.undo(say(track, ann, genre={"Rock": 1}))
    assert [row["label"] for row in export(library, tmp_path, "long")] == ["Drone"]
    rows = export(library, tmp_path, "long", has_history=True)
    assert [row["label"] for row in rows] == ["Drone", "Rock", ""]
    assert list(rows[0]) == [*csv_export.LONG_COLUMNS, *csv_export.HISTORY_COLUMNS]
    taken_back = rows[2]
    assert (taken_back["kind"], taken_back["facet"], taken_back["value"]) == (
        "retraction",
        "",
        "",
    )
    assert taken_back["revises"] == rows[1]["annotation"]


def test_merged_labels_are_one_line(library, tmp_path):
    labels = make_labels(library)
    say(make_track(library), make_annotator(library), genre={"Drone": 1, "Ambient": 0})
    taxonomy.merge(labels[0], labels[1])
    rows = export(library, tmp_path, "long")
    assert [(row["label"], row["value"]) for row in rows] == [("Drone", "1")]


def test_wide_of_several_people_moments_and_edits_comes_back_as_nothing_new(library, tmp_path):
    make_labels(library)
    make_labels(library, "mood", ["Calm", "Dark"])
    tracks = [make_track(library, f"{n}.mp3", title=f"T{n}") for n in range(4)]
    ann, bob = make_annotator(library, "ann"), make_annotator(library, "bob")
    say(tracks[0], ann, genre={"Drone": 1, "Rock": 0}, mood={"Calm": 1})
    say(tracks[0], bob, genre={"Rock": 1})
    say(tracks[1], ann, genre={"Rock": 0})
    say(tracks[2], ann, genre={"Rock": 1}, mood={"Dark": 1})
    say(tracks[2], ann, mood={"Calm": 1})
    alternate_mixes.propagate(Annotation.objects.filter(track=tracks[2])[0], [tracks[3]])
    before = Annotation.objects.count()
    report = reimport(library, tmp_path)
    assert (report["tracks_unchanged"], report["annotations_created"]) == (4, 0)
    assert report["errors"] == []
    assert Annotation.objects.count() == before


def test_wide_keeps_blank_moments_and_metadata(library, tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("filename,bpm,genre,annotated_at\n1.mp3,120,Rock,\n1.mp3,,Pop,2020-01-01\n")
    import_catalogue("lib", path, ImportOptions())
    rows = export(library, tmp_path, "wide")
    assert [(row["annotated_at"], row["genre1"], row["bpm"]) for row in rows] == [
        ("2020-01-01T00:00:00+00:00", "Pop", "120")
    ]
    assert reimport(library, tmp_path)["annotations_created"] == 0


def test_wide_after_rename_and_merge_comes_back_as_nothing_new(library, tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("filename,genre1,genre2\n1.mp3,Rock,Pop\n2.mp3,Jazz,\n")
    import_catalogue("lib", path, ImportOptions())
    taxonomy.rename(Label.objects.get(name="Rock"), "Hard")
    taxonomy.merge(Label.objects.get(name="Pop"), Label.objects.get(name="Hard"))
    report = reimport(library, tmp_path)
    assert (report["annotations_created"], report["labels_created"]) == (0, 0)
    assert import_catalogue("lib", path, ImportOptions())["annotations_created"] == 0


def test_wide_can_found_a_library_elsewhere(library, tmp_path):
    make_labels(library)
    say(make_track(library, "1.mp3"), make_annotator(library, "ann"), genre={"Drone": 1})
    export(library, tmp_path, "wide")
    report = import_catalogue("copy", tmp_path / "wide.csv", ImportOptions())
    assert (report["tracks_created"], report["annotations_created"]) == (1, 1)
    copy = csv_export.wide_rows(Library.objects.get(slug="copy"))
    assert list(copy) == list(csv_export.wide_rows(library))


def test_formulas_are_guarded_unless_raw(library, tmp_path):
    make_labels(library, names=["=cmd()", "-80ies"])
    track, ann = make_track(library, "+1.mp3"), make_annotator(library, "@ann")
    say(track, ann, genre={"=cmd()": 1, "-80ies": -1})
    rows = export(library, tmp_path, "long")
    said = [(row["filename"], row["annotator"], row["label"], row["value"]) for row in rows]
    assert said == [
        ("'+1.mp3", "'@ann", "'=cmd()", "1"),
        ("'+1.mp3", "'@ann", "'-80ies", "-1"),
    ]
    raw = export(library, tmp_path, "long", is_raw=True)
    assert {row["label"] for row in raw} == {"=cmd()", "-80ies"}


def test_failed_export_leaves_the_former_file(library, tmp_path, monkeypatch):
    out = tmp_path / "out.csv"
    out.write_text("former")

    def broken(library, **options):
        yield ["filename"]
        raise OSError("disk full")

    monkeypatch.setattr(csv_export, "long_rows", broken)
    with pytest.raises(OSError, match="disk full"):
        csv_export.export_annotations(library, "long", out)
    assert out.read_text() == "former"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("arguments", [["--format", "wide", "--history"], []])
def test_command_refuses_what_makes_no_sense(library, tmp_path, arguments):
    out = tmp_path / ("x.csv" if arguments else "absent/x.csv")
    with pytest.raises(CommandError) as refused:
        call_command(
            "export_annotations", "--library", "lib", "--out", out,
            *(arguments or ["--format", "long"]),
        )  # fmt: skip
    assert refused.value.returncode == 2


SEEN = [
    *("=cmd()", "-80ies", "+1", "@x", "'=x", "''-", "R'n'B", "Ambient, Chill", 'a "b"', "a;b"),
    *("<script>", "\u202eabc", "'", "-1", "é", "e\u0301", "ﬁ", "\u200b", "a\u2028b"),
]
ANY = st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufffd")
NASTY = st.one_of(st.sampled_from(SEEN), st.text(ANY, max_size=20))


def is_name(text):
    return bool(name_key(text)) and len(name_key(text)) <= 120


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    labels=st.lists(NASTY.filter(is_name), min_size=1, max_size=4),
    annotator=NASTY.filter(is_name),
    title=NASTY,
)
def test_nasty_names_make_the_round_trip(db, labels, annotator, title):
    from django.db import transaction

    with transaction.atomic(), tempfile.TemporaryDirectory() as folder:
        library = make_library()
        track = make_track(library, "-=1.mp3", title=title.strip())
        facet = library.facets.get(name="genre")
        ids = {taxonomy.get_or_create_label(facet, name)[0].pk: 1 for name in labels}
        desk.save(
            record.Submission(
                track=track,
                annotator=make_annotator(library, " ".join(annotator.split())),
                answers=[FacetAnswer(facet.pk, ids)],
            )
        )
        names = set(Label.objects.filter(facet=facet).values_list("name", flat=True))
        report = reimport(library, Path(folder))
        assert (report["errors"], report["annotations_created"]) == ([], 0)
        assert (report["tracks_created"], report["labels_created"]) == (0, 0)
        assert set(Label.objects.filter(facet=facet).values_list("name", flat=True)) == names
        assert Track.objects.get(library=library).title == title.strip()
        transaction.set_rollback(True)
