"""A quote that is never closed costs its own row, not those after it."""

from __future__ import annotations

import pytest

from labeling.loop.importing.csv import records as csv_records
from labeling.loop.importing.csv.header import dialect_of
from labeling.loop.importing.csv.lines import Unreadable
from labeling.loop.importing.csv.records import ReadingNotes, records


def read(tmp_path, text):
    path = tmp_path / "c.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return [
        (number, "off" if isinstance(record, Unreadable) else record)
        for number, record in records(path, dialect_of(path))
    ]


HEAD = "filename,genre,note\n"


@pytest.mark.parametrize(
    "rest",
    [
        "c.mp3,Rock,\nd.mp3,Jazz,x\n",  # open until the end
        'c.mp3,Rock,\nd.mp3,"Jazz",x\n',  # text after what would close it
        'c.mp3,Rock,"also open\nd.mp3,Jazz,x\n',
    ],
)
def test_rows_after_an_open_quote_are_kept(tmp_path, rest):
    found = read(tmp_path, HEAD + 'a.mp3,Pop,\nb.mp3,Pop,"oops\n' + rest)
    assert found[:3] == [
        (1, ["filename", "genre", "note"]),
        (2, ["a.mp3", "Pop", ""]),
        (3, "off"),
    ]
    assert found[4] == (5, ["d.mp3", "Jazz", "x"])
    assert len(found) == 5


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_an_open_quote_in_the_last_row_is_an_error(tmp_path, end):
    assert read(tmp_path, HEAD + f'a.mp3,Pop,x\nb.mp3,Pop,"oops{end}')[1:] == [
        (2, ["a.mp3", "Pop", "x"]),
        (3, "off"),
    ]


@pytest.mark.parametrize(
    "note",
    [
        "two\nlines",
        "a, b\nc, d",
        "a, b, c\nd, e, f",
        "\n\n",
        'say ""x""\nand more',
        "see\nx.mp3",
    ],
)
def test_a_cell_of_several_lines_is_a_cell(tmp_path, note):
    found = read(tmp_path, HEAD + f'a.mp3,Pop,"{note}"\nb.mp3,Pop,"{note}"\n')
    kept = note.replace('""', '"')
    assert found[1:] == [(2, ["a.mp3", "Pop", kept]), (3, ["b.mp3", "Pop", kept])]


def test_an_open_quote_before_more_than_a_cell_holds_costs_one_row(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_records, "CELL_LIMIT", 500)
    rows = "".join(f"{n}.mp3,Pop,x\n" for n in range(200))
    found = read(tmp_path, HEAD + 'b.mp3,Pop,"oops\n' + rows)
    assert (found[1], len(found)) == ((2, "off"), 202)
    assert found[-1] == (202, ["199.mp3", "Pop", "x"])


def test_keys_without_a_file_type_are_told_by_their_width(tmp_path):
    found = read(tmp_path, 'filename,genre,note\n1,Pop,"oops\n2,Rock,\n3,Jazz,x\n')
    assert found[1:] == [(2, "off"), (3, ["2", "Rock", ""]), (4, ["3", "Jazz", "x"])]


def read_with_notes(tmp_path, text):
    path = tmp_path / "c.csv"
    path.write_text(text, encoding="utf-8", newline="")
    notes = ReadingNotes()
    return [record for _, record in records(path, dialect_of(path), notes)], notes.warnings


def test_a_valid_cell_with_lines_that_look_like_rows_is_a_cell_and_is_named(tmp_path):
    rest = 'a.mp3,Rock,"goes with\nb.mp3,Jazz,see there"\nb.mp3,Soul,mine\n'
    found, warnings = read_with_notes(tmp_path, HEAD + rest)
    assert found[1:] == [
        ["a.mp3", "Rock", "goes with\nb.mp3,Jazz,see there"],
        ["b.mp3", "Soul", "mine"],
    ]
    assert [one["row"] for one in warnings] == [2]
    assert "is a quote missing?" in warnings[0]["message"]


def test_a_cell_that_another_row_closes_is_valid_too(tmp_path):
    rest = 'b.mp3,Pop,"oops\nc.mp3,Rock,"\nd.mp3,Jazz,x\n'
    found, warnings = read_with_notes(tmp_path, HEAD + rest)
    assert found[1:] == [["b.mp3", "Pop", "oops\nc.mp3,Rock,"], ["d.mp3", "Jazz", "x"]]
    assert [one["row"] for one in warnings] == [2]


def test_cells_of_several_lines_without_rows_in_them_are_not_named(tmp_path):
    assert read_with_notes(tmp_path, HEAD + 'a.mp3,Pop,"one\ntwo"\n')[1] == []


def test_blank_cells_beyond_the_header_change_nothing(tmp_path):
    rest = 'a.mp3,Rock,"goes with\nb.mp3,Jazz,see there",,\nb.mp3,Soul,mine\n'
    found, _ = read_with_notes(tmp_path, HEAD + rest)
    assert found[1:] == [
        ["a.mp3", "Rock", "goes with\nb.mp3,Jazz,see there", "", ""],
        ["b.mp3", "Soul", "mine"],
    ]


@pytest.mark.parametrize("cell", ['5" vinyl', 'say "hi', 'Rock "n" Roll', '12""', 'x"'])
def test_a_quote_in_the_middle_of_a_cell_is_a_character(tmp_path, cell):
    found = read(tmp_path, HEAD + f"a.mp3,{cell},x\nb.mp3,Pop,{cell}\nc.mp3,Jazz,x\n")
    assert found[1:] == [
        (2, ["a.mp3", cell, "x"]),
        (3, ["b.mp3", "Pop", cell]),
        (4, ["c.mp3", "Jazz", "x"]),
    ]


def test_rows_of_two_cells_without_file_types_are_read_after_an_open_quote(tmp_path):
    found = read(tmp_path, 'key,genre\n1,"Rock\n2,Pop\n3,Jazz\n')
    assert found[1:] == [(2, "off"), (3, ["2", "Pop"]), (4, ["3", "Jazz"])]
