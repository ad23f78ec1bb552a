"""Cells, headers and lines as spreadsheets and joined files leave them."""

from __future__ import annotations

import pytest

from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.loop.importing.csv.cells import is_error_value
from labeling.loop.importing.csv.columns import ReadingOptions
from labeling.models import Annotator, Label, Track

pytestmark = pytest.mark.django_db
ERROR_VALUES = """
    #N/A #REF! #NAME? #VALUE! #DIV/0! #NULL! #NUM! #SPILL! #CALC! #NV #BEZUG! #WERT! #ZAHL!
    #NOM? #VALEUR! #NOMBRE! #N/D #¡REF! #¿NOMBRE? #¡VALOR! #Н/Д #ССЫЛКА! #ADR! #SAKNAS!
    #ERROR! #n/a Err:502 ##### ### #GETTING_DATA
"""
LIKE_GENRE = (
    "genre, Genre 1, GENRE_2, genre-3, Genres, genre [2], genre (2), Genre #1, genre.1, "
    "genres_4, genre 1 [2]"
)


@pytest.fixture
def load(tmp_path):
    def run(text, **reading):
        path = tmp_path / "c.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return import_catalogue("lib", path, ImportOptions(reading=ReadingOptions(**reading)))

    return run


def keys():
    return list(Track.objects.order_by("id").values_list("key", flat=True))


def labels():
    return set(Label.objects.values_list("name", flat=True))


@pytest.mark.parametrize("text", ERROR_VALUES.split())
def test_error_values_are_known_in_any_language(text):
    assert is_error_value(text)


@pytest.mark.parametrize(
    "text", ["#1", "#1 Hits", "# Rock", "#", "##", "#NAME", "N/A", "C#", "Error", "#rock!", ""]
)
def test_names_with_a_hash_are_names(text):
    assert not is_error_value(text)


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("#N/A,Rock,calm,Ann,x,y", "filename"),
        ("a.mp3,#REF!,calm,Ann,x,y", "genre"),
        ("a.mp3,Rock,'#NAME?,Ann,x,y", None),
        ("a.mp3,Rock,calm; #NV,Ann,x,y", "mood"),
        ("a.mp3,Rock,calm,#BEZUG!,x,y", "annotator"),
        ("a.mp3,Rock,calm,Ann,#VALUE!,y", "album"),
        ('a.mp3," #N/A ",calm,Ann,x,y', "genre"),
    ],
)
def test_an_error_value_rejects_its_row(load, row, column):
    text = f"filename,genre,mood,annotator,album,note\n{row}\nb.mp3,Pop,calm,Ann,x,#N/A\n"
    report = load(text, separators={"mood": ";"})
    if column is None:  # a ' before it makes it a text, as people mark one
        assert report["rows_rejected"] == 0
        return
    assert [(one["row"], one["column"]) for one in report["errors"]] == [(2, column)]
    assert "an error of a spreadsheet" in report["errors"][0]["message"]
    assert keys() == ["b.mp3"]
    assert Track.objects.get().extra == {"note": "#N/A"}
    assert not any("#" in name for name in (*labels(), Annotator.objects.get().name))


@pytest.mark.parametrize("name", LIKE_GENRE.split(", "))
def test_a_column_named_like_a_facet_holds_its_labels(load, name):
    report = load(f"filename,{name}\na.mp3,Rock\n")
    assert (report["labels_created"], Track.objects.get().extra) == (1, {})


@pytest.mark.parametrize("name", ["genre_tag", "subgenre", "genre of 2019 x", "1", "categor"])
def test_a_column_with_more_in_its_name_is_metadata(load, name):
    assert load(f"filename,{name}\na.mp3,Rock\n")["labels_created"] == 0
    assert Track.objects.get().extra == {name: "Rock"}


HEADERS = [
    ("filename,genre\n", 1),
    ("\ufefffilename,genre\n", 1),
    ("\x1afilename,genre\n", 1),
    ("FileName,GENRE,,\n", 1),
    ('"filename","genre"\n', 1),
    ("sep=,\nfilename,genre\n", 1),
]


@pytest.mark.parametrize(("again", "n_repeated"), HEADERS)
def test_a_header_that_comes_again_is_left_out(load, again, n_repeated):
    report = load(f"filename,genre\na.mp3,Rock\n{again}b.mp3,Pop\n")
    assert report["headers_repeated"] == n_repeated
    assert (report["rows_rejected"], report["rows_read"]) == (0, 2)
    assert (keys(), labels()) == (["a.mp3", "b.mp3"], {"Rock", "Pop"})


@pytest.mark.parametrize("between", ["", "\ufeff", "\x1a", "\x1a\ufeff"])
def test_a_file_that_ends_without_a_line_end_keeps_its_last_row(load, between):
    report = load(f"filename,genre\na.mp3,Rock{between}filename,genre\nb.mp3,Pop\n")
    assert (report["headers_repeated"], report["rows_rejected"]) == (1, 0)
    assert (keys(), labels()) == (["a.mp3", "b.mp3"], {"Rock", "Pop"})


@pytest.mark.parametrize(
    "other",
    [
        "genre,filename\nPop,b.mp3\n",
        "filename;genre\nb.mp3;Pop\n",
        "filename,style\nb.mp3,Pop\n",
        "title,filename,genre\nx,b.mp3,Pop\n",
        "filename,genre,mood\nb.mp3,Pop,calm\n",
    ],
)
def test_rows_behind_the_header_of_another_file_are_rejected(load, other):
    report = load(f"filename,genre\na.mp3,Rock\n{other}filename,genre\nc.mp3,Jazz\n")
    assert [one["row"] for one in report["errors"]] == [3, 4]
    assert "import the files one by one" in report["errors"][1]["message"]
    assert (keys(), labels()) == (["a.mp3", "c.mp3"], {"Rock", "Jazz"})


def test_a_label_named_like_a_column_is_a_label(load):
    rows = "a.mp3,genre\nb.mp3,filename\nmy filename,genre\n"
    assert load(f"filename,genre\n{rows}")["rows_rejected"] == 0
    assert keys() == ["a.mp3", "b.mp3", "my filename"]
    assert labels() == {"genre", "filename"}


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\nfilename;genre\na.mp3;Rock\n",
        "sep=|\r\nfilename|genre\r\na.mp3|Rock\r\n",
        "\ufeffSEP=;\nfilename;genre\na.mp3;Rock\n",
        '"sep=;"\nfilename;genre\na.mp3;Rock\n',
        "sep=\t\nfilename\tgenre\na.mp3\tRock",
        "sep=^\nfilename^genre\na.mp3^Rock\n",
        "filename|genre\na.mp3|Rock\n",
        "filename,genre\r\na.mp3,Rock\x1a",
        "filename,genre\r\na.mp3,Rock\r\n\x1a\x1a\r\n",
        "\ufeff\ufefffilename,genre\na.mp3,Rock\n",
        "\n \nfilename,genre\n\na.mp3,Rock\n\n",
        "\u200bfilename,gen\u00adre\na.mp3,Rock\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_what_programs_add_to_a_file_is_not_content(load, text, encoding):
    report = load(text.encode(encoding))
    assert (report["rows_rejected"], report["rows_read"]) == (0, 1)
    assert (keys(), labels()) == (["a.mp3"], {"Rock"})
