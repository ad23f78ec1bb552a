from __future__ import annotations

import csv

import pytest
from django.core.management import CommandError, call_command

from labeling.errors import BadInput
from labeling.loop.importing import catalogue
from labeling.loop.importing.catalogue import ImportOptions
from labeling.loop.importing.csv import header, lines
from labeling.loop.importing.csv import records as csv_records
from labeling.loop.importing.csv.cells import guarded, unguarded
from labeling.loop.importing.csv.columns import ReadingOptions, column_pairs, plan_columns
from labeling.loop.importing.csv.rows import names_in
from labeling.models import Label, Library, Track

FACETS = {"genre", "mood", "instrumentation", "category"}


def columns(names, **options):
    return plan_columns(names, ReadingOptions(**options), FACETS)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-bom", "cp1252"]
)
def test_every_dialect_reads_alike(tmp_path, delimiter, end, encoding):
    rows = [["filename", "genre"], ["é.mp3", "Ambient, Chill"], ["2.mp3", 'a "b"; c\td']]
    path = tmp_path / "c.csv"
    text_encoding = "utf-16-be" if encoding == "utf-16-be-bom" else encoding
    with path.open("w", newline="", encoding=text_encoding) as file:
        if encoding == "utf-16-be-bom":
            file.write("\ufeff")
        csv.writer(file, delimiter=delimiter, lineterminator=end).writerows(rows)
    dialect = header.dialect_of(path)
    assert dialect.delimiter == delimiter
    assert [record for _, record in csv_records.records(path, dialect)] == rows


def test_rows_are_numbered_as_a_spreadsheet_does(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text('filename,genre\n"1\n2.mp3",Rock\n\n3.mp3,Pop\n')
    records = list(csv_records.records(path, header.dialect_of(path)))
    assert [number for number, _ in records] == [1, 2, 4]


def test_huge_cell_is_one_bad_row_and_not_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "LINE_LIMIT", 5_000)
    monkeypatch.setattr(csv_records, "CELL_LIMIT", 1_000)
    path = tmp_path / "c.csv"
    path.write_text(f"filename,genre\n1.mp3,{'x' * 50_000}\n2.mp3,{'y' * 2_000}\n3.mp3,Pop\n")
    records = list(csv_records.records(path, header.dialect_of(path)))
    assert "longer than 5,000 characters" in records[1][1].reason
    assert "a cell is longer than 1,000" in records[2][1].reason
    assert records[3] == (4, ["3.mp3", "Pop"])


def test_quote_that_is_never_closed_spoils_no_more_than_it_must(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_records, "CELL_LIMIT", 100)
    path = tmp_path / "c.csv"
    path.write_text(
        'filename,genre\n1.mp3,"Rock\n' + "".join(f"{n}.mp3,Pop\n" for n in range(40))
    )
    records = list(csv_records.records(path, header.dialect_of(path)))
    assert "never closed" in records[1][1].reason
    assert records[-1][1] == ["39.mp3", "Pop"]


@pytest.mark.parametrize("text", ["=x", "+1", "-80ies", "@a", "'=x", "''=x", "'tis", "a=b", ""])
def test_guard_is_taken_off_again(text):
    assert unguarded(guarded(text)) == text
    assert guarded("=cmd()") == "'=cmd()"
    assert guarded("'tis") == "'tis"


def test_columns_mean_what_they_are_named():
    found = columns(["Title", "filename", "genre", "genre12", "genre_tag", "Mood 1", "mood2"])
    assert (found.key, found.fields, found.facets, found.extra) == (
        1,
        {"title": 0},
        {2: "genre", 3: "genre", 5: "mood", 6: "mood"},
        {4: "genre_tag"},
    )


def test_columns_are_mapped_split_and_left_out():
    found = columns(
        ["path", "feel", "genre", "series", "secret", "who"],
        key="PATH",
        facets={"feel": "mood"},
        separators={"feel": ", "},
        family="series",
        metadata=("genre",),
        ignored=("secret",),
        fields={"who": "annotator"},
    )
    assert (found.key, found.facets, found.separators) == (0, {1: "mood"}, {1: ", "})
    assert (found.fields, found.extra, found.annotator) == ({"family": 3}, {2: "genre"}, 5)


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["x"], {}, "'filename' is not there.*columns found: 'x'"),
        (["filename", "Filename"], {}, "is there twice"),
        (["filename"], {"facets": {"feel": "mood"}}, "'feel' is not there"),
        (["filename", "feel"], {"facets": {"feel": "mod"}}, "no facet 'mod'.*mood"),
        (["filename", "feel"], {"separators": {"feel": ";"}}, "holds no labels"),
        (["filename", "x"], {"fields": {"x": "is_superuser"}}, "cannot be read as"),
        (["filename"] * 1_001, {}, "1,001 columns are too many"),
    ],
)
def test_columns_that_make_no_sense_are_refused_with_what_to_do(names, options, message):
    with pytest.raises(BadInput, match=message):
        columns(names, **options)


def test_options_without_a_value_are_refused():
    assert column_pairs(["feel=, "], "--split") == {"feel": ", "}
    with pytest.raises(BadInput, match="write COLUMN=VALUE"):
        column_pairs(["feel"], "--map")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"f\0\0ile,", b"\xff\xfe"])
def test_file_without_a_header_is_refused(tmp_path, content):
    path = tmp_path / "c.csv"
    path.write_bytes(content)
    with pytest.raises(BadInput):
        header.header(path, header.dialect_of(path))


@pytest.mark.django_db
def test_names_with_commas_stay_whole_and_only_what_is_split_is_split(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text('filename,genre,feel\n1.mp3,"Hip Hop, Rap","calm, , dark"\n')
    reading = ReadingOptions(facets={"feel": "mood"}, separators={"feel": ","})
    catalogue.import_catalogue("lib", path, ImportOptions(reading=reading))
    names = set(Label.objects.values_list("facet__name", "name"))
    assert names == {("genre", "Hip Hop, Rap"), ("mood", "calm"), ("mood", "dark")}


@pytest.mark.django_db
@pytest.mark.parametrize("argument", ["nokey.csv", "absent.csv"])
def test_command_exits_with_2_and_writes_nothing(tmp_path, argument):
    (tmp_path / "nokey.csv").write_text("x\n1\n")
    with pytest.raises(CommandError) as refused:
        call_command("import_library", tmp_path / argument, "--library", "lib", "--json")
    assert refused.value.returncode == 2
    assert not Library.objects.exists()


@pytest.mark.django_db
@pytest.mark.shared_data
def test_untidy_catalogue_merges_its_spellings(shared_data):
    reading = ReadingOptions(
        facets={"feel": "mood", "instruments": "instrumentation"},
        separators={"feel": ", ", "instruments": ", "},
    )
    path = shared_data / "production_catalogue_sample.csv"
    report = catalogue.import_catalogue("lib", path, ImportOptions(reading=reading))
    assert (report["tracks_created"], report["rows_rejected"]) == (250, 0)
    spelled = {(one["label"], one["spelling"]) for one in report["merged"]}
    assert ("Percussion", "percussion") in spelled or ("percussion", "Percussion") in spelled
    assert all(label.casefold() == text.casefold() for label, text in spelled)
    again = catalogue.import_catalogue("lib", path, ImportOptions(reading=reading))
    assert (again["tracks_unchanged"], again["annotations_created"]) == (250, 0)
    assert Track.objects.get(key="White.mp3").extra["length"] == "3:04"


@pytest.mark.parametrize(
    ("cell", "separator", "names"),
    [
        ("Calm, Dark,", ", ", ["Calm", "Dark"]),
        (",Calm;", ",", ["Calm;"]),
        ("Calm , , Dark", ",", ["Calm", "Dark"]),
        ("R'n'B / Soul /", "/", ["R'n'B", "Soul"]),
        ("Ambient, Chill", None, ["Ambient, Chill"]),
    ],
)
def test_a_separator_at_the_end_is_no_part_of_a_name(cell, separator, names):
    assert [name for name, is_short in names_in(cell, separator) if is_short] == names


def test_an_answer_of_the_future_is_refused(tmp_path, db):
    path = tmp_path / "c.csv"
    path.write_text(
        "filename,genre,annotator,annotated_at\na.mp3,Pop,ann,2206-01-01\nb.mp3,Pop,ann,2020-01-01\n"
    )
    report = catalogue.import_catalogue("lib", path, ImportOptions())
    assert (report["rows_rejected"], report["annotations_created"]) == (1, 1)
    assert "future" in report["errors"][0]["message"]


def test_an_answer_before_there_were_any_is_refused(tmp_path, db):
    path = tmp_path / "c.csv"
    moments = ("1800-01-01", "1989-12-31T23:59:59", "1990-01-01")
    rows = [f"{n}.mp3,Pop,ann,{moment}" for n, moment in enumerate(moments)]
    path.write_text("\n".join(["filename,genre,annotator,annotated_at", *rows]))
    report = catalogue.import_catalogue("lib", path, ImportOptions())
    assert (report["rows_rejected"], report["annotations_created"]) == (2, 1)
    assert [error["row"] for error in report["errors"]] == [2, 3]
    assert "'1800-01-01' is before 1990" in report["errors"][0]["message"]
