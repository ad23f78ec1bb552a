"""Excel workbooks: read like a CSV file, and refused before they fill the memory."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from datetime import date, datetime, time

import openpyxl
import pytest

from labeling.errors import BadInput
from labeling.loop.importing.catalogue import (
    ImportOptions,
    import_catalogue,
    preview_catalogue,
)
from labeling.loop.importing.csv import workbook
from labeling.loop.importing.csv.sources import open_source
from labeling.models import Annotation, Track

HEAD = ["filename", "genre", "bpm", "annotated_at", "length"]


def _at(*parts):
    """Return a moment as Excel has it: without a time zone."""
    return datetime(*parts)  # noqa: DTZ001


def book(path, sheets):
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
    made.save(path)
    return path


def repacked(path, **parts):
    """Replace parts of a workbook, by the name of their file."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    for name in content:
        for part, text in parts.items():
            if name.endswith(f"{part}.xml"):
                content[name] = text
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return path


def sheet_xml(rows):
    start = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    return start + b"<sheetData>" + rows + b"</sheetData></worksheet>"


@pytest.mark.django_db
def test_a_workbook_is_imported_like_a_text_file(tmp_path):
    rows = [
        HEAD,
        ["1.mp3", "Rock", 120, _at(2019, 5, 31, 10, 30), time(0, 3, 4)],
        [],
        ["2.mp3", "Ambient, Chill", 98.5, date(2019, 6, 1), None],
        ["3.mp3", True, 0.1 + 0.2, None, None, "too", "wide"],
    ]
    path = book(tmp_path / "c.xlsx", {"Notes": [], "Tracks": rows})
    report = import_catalogue("lib", path, ImportOptions())
    assert (report["rows_read"], report["tracks_created"]) == (3, 2)
    assert [(one["row"], one["column"]) for one in report["errors"]] == [(5, "")]
    first, second = Track.objects.order_by("key")
    assert first.extra == {"bpm": "120", "length": "00:03:04"}
    assert second.extra == {"bpm": "98.5"}
    times = Annotation.objects.order_by("id").values_list("answered_at", flat=True)
    assert [one.isoformat() for one in times] == [
        "2019-05-31T10:30:00+00:00",
        "2019-06-01T00:00:00+00:00",
    ]


def test_the_first_sheet_with_content_is_read_or_the_one_named(tmp_path):
    sheets = {"Empty": [], "One": [["filename"], ["1.mp3"]], "Two": [["filename"], ["2.mp3"]]}
    path = book(tmp_path / "c.xlsx", sheets)
    seen = preview_catalogue(path)
    assert (seen["sheet"], seen["sheets"]) == ("One", ["Empty", "One", "Two"])
    seen = preview_catalogue(path, sheet="Two")
    assert seen["rows"] == [["2.mp3"]]
    with pytest.raises(BadInput, match=r"no sheet 'Three'.*Empty, One, Two"):
        open_source(path, "Three")
    with pytest.raises(BadInput, match="is empty"):
        open_source(path, "Empty").header()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (True, "TRUE"), (3, "3"), (3.0, "3"), (0.1 + 0.2, "0.3"), (1e-7, "1e-07"),
        (_at(2019, 5, 31), "2019-05-31"), ("=x", "=x"),
        (_at(2019, 5, 31, 9, 59, 59, 999_600), "2019-05-31T10:00:00"),
    ],
)  # fmt: skip
def test_cells_are_texts_of_the_forms_that_are_read(value, text):
    assert workbook.cell_text(value) == text


def test_other_files_are_refused_with_what_to_do(tmp_path):
    path = tmp_path / "c.xls"
    path.write_bytes(b"\xd0\xcf\x11\xe0" + b"x" * 600)
    with pytest.raises(BadInput, match=r"old Excel file.*save it again as .xlsx"):
        open_source(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("content.xml", "<a/>")
    with pytest.raises(BadInput, match="not an Excel workbook"):
        open_source(path)
    path.write_bytes(b"PK\x03\x04" + b"x" * 600)
    with pytest.raises(BadInput, match="cannot be read"):
        open_source(path)
    path.write_text("filename\n1.mp3\n")
    with pytest.raises(BadInput, match="has no sheets"):
        open_source(path, "One")


def test_a_broken_sheet_is_refused(tmp_path):
    path = book(tmp_path / "c.xlsx", {"One": [["filename"], ["1.mp3"]]})
    with pytest.raises(BadInput, match="cannot be read"):
        open_source(repacked(path, sheet1=sheet_xml(b"<row><c></row>")))


BOMBS = {
    "large": sheet_xml(b"<row><c/></row>" * 3_000_000),
    "row": sheet_xml(b"<row>" + b"<c/>" * 900_000 + b"</row>"),
    "text": sheet_xml(b"<row><c><v>" + b"x" * 3_500_000 + b"</v></c></row>"),
    "attribute": sheet_xml(b'<row><c r="' + b"x" * 3_500_000 + b'"/></row>'),
    "deep": sheet_xml(b"<a>" * 1_000),
    "entities": b'<!DOCTYPE a [<!ENTITY b "' + b"x" * 1_000 + b'">]>' + sheet_xml(b""),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused(tmp_path, kind):
    path = book(tmp_path / "c.xlsx", {"One": [["filename"], ["1.mp3"]]})
    with pytest.raises(BadInput):
        open_source(repacked(path, sheet1=BOMBS[kind]))


def dense(path, n_blocks=250):
    """Write a sheet of ten million cells that is packed like a real one."""
    rows = (b"<row>" + b'<c r="A%d"/>' % number * 40 + b"</row>" for number in range(1_000))
    block, start, end = b"".join(rows), *sheet_xml(b"|").split(b"|")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        with archive.open("xl/worksheets/sheet1.xml", "w") as part:
            part.write(start)
            for _ in range(n_blocks):
                part.write(block)
            part.write(end)
    return path


def test_a_bomb_needs_little_memory(tmp_path):
    """In a process of its own, whose memory is its own."""
    code = (
        "import django, sys; django.setup()\n"
        "from pathlib import Path\n"
        "from labeling.errors import BadInput\n"
        "from labeling.loop.importing.csv.sources import open_source\n"
        "try:\n"
        "    open_source(Path(sys.argv[1]))\n"
        "except BadInput as error:\n"
        "    lines = Path('/proc/self/status').read_text().splitlines()\n"
        "    print(next(line for line in lines if 'VmHWM' in line).split()[1], error)\n"
    )
    path = dense(tmp_path / "c.xlsx")
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    kilobytes, _, words = done.stdout.partition(" ")
    assert int(kilobytes) < 300_000
    assert "more than 2,500,000 cells" in words


def test_rows_far_below_are_not_filled_up(tmp_path):
    path = book(tmp_path / "c.xlsx", {"One": [["filename"], ["1.mp3"]]})
    far = b'<row r="1"><c r="A1" t="inlineStr"><is><t>filename</t></is></c></row>'
    far += b'<row r="999999999999"><c r="A999999999999"><v>1</v></c></row>'
    records = list(open_source(repacked(path, sheet1=sheet_xml(far))).records())
    assert records == [(1, ["filename"])]
