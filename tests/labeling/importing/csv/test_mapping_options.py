"""Options of the import command for columns, and what a mapping may have overlooked."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.core.management import CommandError, call_command

from labeling.loop.exporting.export import export_annotations
from labeling.models import Annotation, Library, Track

pytestmark = pytest.mark.django_db
HEAD = ["filename", "genre", "feel", "worker", "when", "note", "bpm"]
PEOPLE = ("ann", "ben", "cy")


def rows():
    """Twelve tracks, each labelled by three people; every second mood is a list."""
    return [
        [f"{n}.mp3", "Rock", "calm, dark" if n % 2 else "calm", who, f"{1 + n}/4/2021",
         f"{who} on {n}", str(90 + n)]
        for n in range(12)
        for who in PEOPLE
    ]  # fmt: skip


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "c.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEAD, *rows()])
    return path


def brought(path, *options):
    out = io.StringIO()
    call_command("import_library", path, "--library", "lib", "--json", *options, stdout=out)
    return json.loads(out.getvalue())


def test_columns_are_mapped_to_annotator_and_date_by_the_command(path, tmp_path):
    report = brought(
        path, "--field", "worker=annotator", "--field", "when=annotated_at", "--dates", "dmy",
        "--map", "feel=mood", "--split", "feel=,", "--ignore", "bpm",
        "--answer-metadata", "note",
    )  # fmt: skip
    assert (report["annotations_created"], report["rows_joined"]) == (36, 0)
    assert (report["rows_rejected"], report["proposals"]) == (0, [])
    one = Annotation.objects.get(annotator__name="ben", track__key="3.mp3")
    assert one.answered_at.date().isoformat() == "2021-04-04"
    assert one.extra == {"note": "ben on 3"}
    assert Track.objects.get(key="3.mp3").extra == {}
    out = tmp_path / "out.csv"
    export_annotations(Library.objects.get(), "long", out)
    with out.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert list(found[0])[-2:] == ["annotation", "note"]
    assert {(row["annotator"], row["note"]) for row in found if row["filename"] == "3.mp3"} == {
        (who, f"{who} on 3") for who in PEOPLE
    }


def test_rows_that_are_joined_are_listed_and_the_columns_that_differ_are_named(path):
    report = brought(path, "--map", "feel=mood", "--dry-run")
    assert (report["annotations_created"], report["rows_joined"]) == (12, 24)
    assert report["joined"][0] == {
        "filename": "0.mp3", "annotator": "legacy", "annotated_at": "", "rows": [2, 3, 4],
    }  # fmt: skip
    proposed = {(one["kind"], one["column"], one["value"]) for one in report["proposals"]}
    assert proposed == {
        ("separator", "feel", ","),
        ("annotator", "worker", "annotator"),
        ("annotated_at", "when", "annotated_at"),
    }
    separator = next(one for one in report["proposals"] if one["kind"] == "separator")
    assert separator["message"].startswith("18 of 36 cells contain a comma")
    assert not Library.objects.exists()


@pytest.mark.parametrize(("chosen", "proposed"), [(";", [","]), (", ", []), (" - ", [])])
def test_a_separator_that_no_cell_contains_is_named(path, chosen, proposed):
    report = brought(path, "--map", "feel=mood", "--split", f"feel={chosen}", "--dry-run")
    found = [one["value"] for one in report["proposals"] if one["kind"] == "separator"]
    assert found == proposed


def test_a_form_of_dates_that_does_not_fit_proposes_one_that_does(path):
    mapped = [
        "--field",
        "worker=annotator",
        "--field",
        "when=annotated_at",
        "--map",
        "feel=mood",
    ]
    report = brought(path, *mapped, "--split", "feel=,", "--dry-run")
    assert report["rows_rejected"] == 36
    (proposal,) = report["proposals"]
    assert (proposal["kind"], proposal["value"]) == ("dates", "dmy")
    assert proposal["message"] == (
        "0 of 36 cells are dates as 2019-05-31 or 2019-05-31T10:00:00+02:00; 36 are dates as "
        "day/month/year, such as 31/5/2019; or month/day/year, such as 5/31/2019"
    )
    assert "read the dates as dmy or mdy" in report["errors"][0]["message"]


def test_what_differs_between_people_is_kept_with_their_answers(path):
    report = brought(path, "--field", "worker=annotator", "--ignore", "when")
    assert report["answer_metadata"] == [{"column": "note", "tracks": 12}]
    track = Track.objects.get(key="5.mp3")
    assert track.extra == {"feel": "calm, dark", "bpm": "95"}
    notes = Annotation.objects.filter(track=track).order_by("id")
    assert [one.extra for one in notes] == [{"note": f"{who} on 5"} for who in PEOPLE]
    again = brought(path, "--field", "worker=annotator", "--ignore", "when")
    assert (again["annotations_created"], again["tracks_unchanged"]) == (0, 12)


def test_rows_of_one_answer_keep_all_their_notes(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("filename,genre,note\n1.mp3,Rock,a\n1.mp3,Pop,b\n1.mp3,Jazz,a\n")
    brought(path, "--answer-metadata", "note")
    assert Annotation.objects.get().extra == {"note": "a; b"}


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--field", "worker=boss"], "cannot be read as 'boss'"),
        (["--field", "worke=annotator"], "the column 'worke' is not there"),
        (["--field", "worker"], "write COLUMN=VALUE"),
        (["--ignore", "nothing"], "the column 'nothing' is not there"),
        (["--metadata", "nothing"], "the column 'nothing' is not there"),
        (["--answer-metadata", "nothing"], "the column 'nothing' is not there"),
        (["--sheet", "One"], "a CSV file has no sheets"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(path, option, words):
    with pytest.raises(CommandError, match=words) as refused:
        brought(path, *option)
    assert refused.value.returncode == 2
    assert not Library.objects.exists()


def test_an_import_by_command_is_undone_by_command(path):
    batch = brought(path, "--field", "worker=annotator")["batch"]
    answers = {}
    for options in (["--dry-run"], [], []):
        out = io.StringIO()
        call_command("undo_import", batch, "--library", "lib", "--json", *options, stdout=out)
        answers[" ".join(options)] = json.loads(out.getvalue())
    assert answers["--dry-run"] == answers[""] | {"is_dry_run": True}
    assert answers[""]["answers"] == 36
    assert answers[""]["annotators"] == 3
    with pytest.raises(CommandError, match="no import 99") as refused:
        call_command("undo_import", 99, "--library", "lib")
    assert refused.value.returncode == 2
