"""Catalogues that were misread once: each file, and the same bytes made here."""

from __future__ import annotations

import pytest

from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.models import Annotator, CurrentAnswer, Label, Track

pytestmark = pytest.mark.django_db

CASES = {
    "mixed_encoding": (
        "filename,title,genre,annotator\n"
        "música.mp3,Canción,Música,José\nb.mp3,Été,Chanson française,José\n".encode()
        + b"c.mp3,Caf\xe9,Pop,Jos\xe9\n"
    ),
    "zero_width": (
        "filename,genre\na.mp3,Rock\nb.mp3,Rock\u200b\nc.mp3,\ufeffRock\n"
        "d.mp3,\u200eRock\ne.mp3,Ro\xadck\n"
    ).encode(),
    "multi_line_cell": (
        b'filename,genre,notes\na.mp3,Rock,"goes with\nb.mp3,Jazz,see there"\nb.mp3,Soul,mine\n'
    ),
    "joined_files": (
        "\ufefffilename,genre\na.mp3,Rock\n\ufefffilename,genre\nb.mp3,Pop\n".encode()
    ),
    "ctrl_z": b"filename,genre\r\na.mp3,Rock\r\n\x1a",
    "sep_line": b"sep=;\nfilename;genre\na.mp3;Rock\n",
    "absolute_path": b"filename,genre\n@MUSIC@/song.mp3,Rock\n",
    "case": b"filename,genre\nSONG.mp3,Rock\nUpper.mp3,Pop\n",
    "excel_errors": b"filename,genre\na.mp3,#NAME?\nb.mp3,#N/A\nc.mp3,#REF!\n",
    "header_spelling": b"filename,Genre 1,GENRE_2,genre-3\na.mp3,Rock,Pop,Jazz\n",
}


@pytest.fixture
def music(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    for name in ("song.mp3", "Upper.MP3"):
        (folder / name).write_bytes(b"x")
    return folder


@pytest.fixture
def load(tmp_path, music):
    def run(content):
        path = tmp_path / "c.csv"
        path.write_bytes(content.replace(b"@MUSIC@", str(music).encode()))
        return import_catalogue("lib", path, ImportOptions(audio_folder=str(music)))

    return run


@pytest.mark.shared_data
@pytest.mark.parametrize("name", CASES)
def test_the_bytes_here_are_those_of_the_files(shared_data, name):
    assert (shared_data / "bug_cases" / "csv" / f"{name}.csv").read_bytes() == CASES[name]


def labels_of(key):
    rows = CurrentAnswer.objects.filter(track__key=key, facet__name="genre")
    names = rows.filter(answer__judgements__value=1)
    return set(names.values_list("answer__judgements__label__name", flat=True))


def keys():
    return set(Track.objects.values_list("key", flat=True))


def test_one_byte_of_another_encoding_changes_no_other_row(load):
    report = load(CASES["mixed_encoding"])
    assert (report["encoding"], report["rows_rejected"]) == ("utf-8", 0)
    assert report["rows_read_as"] == [{"encoding": "cp1252", "rows": 1, "first": [4]}]
    assert keys() == {"música.mp3", "b.mp3", "c.mp3"}
    assert labels_of("música.mp3") == {"Música"}
    assert list(Annotator.objects.values_list("name", flat=True)) == ["José"]
    titles = Track.objects.order_by("id").values_list("title", flat=True)
    assert list(titles) == ["Canción", "Été", "Café"]
    again = load(CASES["mixed_encoding"])
    assert (again["tracks_unchanged"], again["annotations_created"]) == (3, 0)


def test_invisible_characters_make_no_label(load):
    report = load(CASES["zero_width"])
    assert (report["labels_created"], report["rows_rejected"]) == (1, 0)
    assert list(Label.objects.values_list("name", flat=True)) == ["Rock"]
    assert labels_of("e.mp3") == {"Rock"}


def test_a_valid_cell_of_two_lines_invents_no_answer(load):
    report = load(CASES["multi_line_cell"])
    assert (report["rows_read"], report["rows_rejected"]) == (2, 0)
    assert (labels_of("a.mp3"), labels_of("b.mp3")) == ({"Rock"}, {"Soul"})
    notes = dict(Track.objects.values_list("key", "extra"))
    assert notes["a.mp3"] == {"notes": "goes with\nb.mp3,Jazz,see there"}
    assert notes["b.mp3"] == {"notes": "mine"}
    assert [one["row"] for one in report["warnings"]] == [2]


def test_a_repeated_header_is_no_track(load):
    report = load(CASES["joined_files"])
    assert (report["rows_read"], report["headers_repeated"]) == (2, 1)
    assert keys() == {"a.mp3", "b.mp3"}
    assert set(Label.objects.values_list("name", flat=True)) == {"Rock", "Pop"}


def test_the_end_of_a_dos_file_is_no_track(load):
    assert load(CASES["ctrl_z"])["rows_read"] == 1
    assert keys() == {"a.mp3"}


def test_the_separator_line_of_excel_is_no_header(load):
    assert load(CASES["sep_line"])["rows_rejected"] == 0
    assert labels_of("a.mp3") == {"Rock"}


def test_a_path_from_the_root_into_the_folder_is_found(load):
    assert load(CASES["absolute_path"])["audio_missing"] == 0
    assert keys() == {"song.mp3"}
    assert load(CASES["absolute_path"])["tracks_unchanged"] == 1


def test_other_capitals_are_found(load):
    assert load(CASES["case"])["audio_missing"] == 0
    paths = dict(Track.objects.values_list("key", "audio__relative_path"))
    assert paths == {"SONG.mp3": "song.mp3", "Upper.mp3": "Upper.MP3"}


def test_errors_of_a_spreadsheet_are_no_labels(load):
    report = load(CASES["excel_errors"])
    assert (report["rows_rejected"], Label.objects.count()) == (3, 0)
    assert "#NAME?" in report["errors"][0]["message"]


def test_numbered_columns_of_a_facet_hold_its_labels(load):
    assert load(CASES["header_spelling"])["labels_created"] == 3
    assert labels_of("a.mp3") == {"Rock", "Pop", "Jazz"}
    assert Track.objects.get().extra == {}
