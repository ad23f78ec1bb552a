"""Files that are not catalogues, or far too large: refused early, with the reason."""

from __future__ import annotations

import io
import zipfile

import pytest

from labeling.errors import BadInput
from labeling.loop.importing import catalogue
from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.loop.importing.csv import header, lines, staging
from labeling.loop.importing.csv.columns import ReadingOptions
from labeling.models import ImportBatch, Library, Track
from tests.factories import make_library

HEAD = b"filename,genre\n"


def zipped():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("xl/workbook.xml", "filename,genre\n" * 100)
    return packed.getvalue()


BOMBS = {
    "NULs": (b"\0" * (1 << 20), "not a text file"),
    "NULs behind a header": (HEAD + b"\0" * (1 << 20), "not a text file"),
    "100,000 columns": (b"filename," + b"x," * 100_000 + b"\n", "columns are too many"),
    "1,000,000 columns": (b"filename," + b"x," * 1_000_000 + b"\n", "longer than 1,000,000"),
    "no line end": (b"filename,genre," * 200_000, "longer than 1,000,000"),
    "no line end in UTF-16": (("a," * 1_000_000).encode("utf-16-le"), "longer than"),
    "zip": (zipped(), "the workbook cannot be read"),
    "old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 9_000, "an old Excel file"),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(range(256)) * 9, "a gzip file"),
    "PDF": (b"%PDF-1.7\n\x01\x02" + bytes(range(256)) * 9, "a PDF file"),
    "sound": (b"ID3\x03\x00" + bytes(range(256)) * 99, "a sound file"),
    "program": (b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 99, "not a text file"),
    "nothing": (b"", "is empty"),
    "blanks": (b" \n" * 2_000, "is empty"),
}


def write(tmp_path, content):
    path = tmp_path / "c.csv"
    path.write_bytes(content)
    return path


@pytest.mark.django_db
@pytest.mark.parametrize("name", BOMBS)
def test_the_preview_the_page_and_the_import_refuse_with_the_reason(tmp_path, name):
    content, reason = BOMBS[name]
    path = write(tmp_path, content)
    for step in (
        lambda: catalogue.preview_catalogue(path),
        lambda: catalogue.read_columns(path, ReadingOptions(), {"genre"}),
        lambda: import_catalogue("lib", path, ImportOptions()),
    ):
        with pytest.raises(BadInput, match=reason):
            step()
    assert not Library.objects.exists()


@pytest.mark.django_db
def test_a_batch_that_is_a_bomb_is_refused_in_its_report(tmp_path, settings):
    settings.UPLOAD_ROOT = tmp_path
    write(tmp_path, BOMBS["NULs"][0])
    batch = ImportBatch.objects.create(
        library=make_library("lib"), file_name="c.csv", stored_as="c.csv"
    )
    assert "not a text file" in catalogue.run_batch(batch.pk)["refused"]


@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_more_lines_than_a_catalogue_has_are_refused(tmp_path, monkeypatch, end, is_whole):
    monkeypatch.setattr(header, "ROW_LIMIT", 30_000)
    few = write(tmp_path, b"filename,genre" + end + (b"a.mp3,Rock" + end) * 20_000)
    assert header.dialect_of(few, is_whole=is_whole).delimiter == ","
    many = write(tmp_path, b"filename,genre" + end + (b"a.mp3,Rock" + end) * 40_000)
    with pytest.raises(BadInput, match=r"lines, 30,000 are the most: split it"):
        header.dialect_of(many, is_whole=is_whole)


class Counted(io.StringIO):
    """A file that counts the characters that were read."""

    n_read = 0

    def readline(self, size=-1):
        line = super().readline(size)
        self.n_read += len(line)
        return line


def test_a_line_without_end_is_not_read_to_its_end_for_nothing(monkeypatch):
    monkeypatch.setattr(lines, "LINE_LIMIT", 1_000)
    file = Counted("x" * 1_000_000 + "\nb.mp3\n")
    found = lines.Lines(file)
    with pytest.raises(lines.TooLong):
        next(found)
    assert file.n_read == 1_000
    assert next(found) == "b.mp3\n"


def test_a_preview_reads_no_more_than_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "LINE_LIMIT", 1_000)
    monkeypatch.setattr(catalogue, "PREVIEW_LIMIT", 5_000)
    path = write(tmp_path, HEAD + b"a.mp3," + b"x" * 20_000 + b"\nb.mp3,Pop\n")
    assert catalogue.preview_catalogue(path)["rows"] == []
    monkeypatch.setattr(catalogue, "PREVIEW_LIMIT", 50_000)
    assert catalogue.preview_catalogue(path)["rows"] == [["b.mp3", "Pop"]]


@pytest.mark.django_db
def test_a_file_without_any_readable_row_is_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "HOPELESS", 5)
    path = write(tmp_path, HEAD + b'a.mp3,"Rock\n' * 50)
    with pytest.raises(BadInput, match=r"none of the first 5 rows.*row 2.*never closed"):
        import_catalogue("lib", path, ImportOptions())
    monkeypatch.setattr(catalogue, "HOPELESS_CHARACTERS", 500)
    monkeypatch.setattr(catalogue, "HOPELESS", 1_000)
    with pytest.raises(BadInput, match=r"none of the first 2\d rows"):
        import_catalogue("lib", path, ImportOptions())
    path = write(tmp_path, HEAD + b"a.mp3,Rock\n" + b"b.mp3,#REF!\n" * 50)
    assert import_catalogue("lib", path, ImportOptions())["rows_rejected"] == 50


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("limit", "column", "reason"),
    [("TEXTS_LIMIT", "genre", "different labels"), ("ANNOTATORS_LIMIT", "annotator", "map")],
)
def test_columns_of_other_things_are_refused(tmp_path, monkeypatch, limit, column, reason):
    monkeypatch.setattr(staging, limit, 100)
    other = "annotator" if column == "genre" else "genre"
    for n_rows in (100, 101):
        rows = "".join(f"{n}.mp3,text {n},same\n" for n in range(n_rows))
        path = write(tmp_path, f"filename,{column},{other}\n{rows}".encode())
        if n_rows == 100:
            assert import_catalogue("lib", path, ImportOptions())["rows_rejected"] == 0
        else:
            with pytest.raises(BadInput, match=reason):
                import_catalogue("lib", path, ImportOptions())


@pytest.mark.django_db
@pytest.mark.parametrize("is_new", [True, False])
def test_an_import_stops_while_it_reads(tmp_path, is_new):
    if not is_new:
        make_library("lib")
    path = write(tmp_path, HEAD + b"a.mp3,Rock\n" * 1_000)
    asked = iter([False] * 10)
    report = import_catalogue(
        "lib", path, ImportOptions(), should_stop=lambda: next(asked, True)
    )
    assert (report["is_stopped"], report["rows_read"], report["tracks_created"]) == (
        True,
        10,
        0,
    )
    assert not Track.objects.exists()
    assert Library.objects.exists() != is_new
