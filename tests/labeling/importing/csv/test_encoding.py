"""Encodings: detected where the bytes show it, and named where they do not."""

from __future__ import annotations

import pytest

from labeling.errors import BadInput
from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.loop.importing.csv import encoding as csv_encoding
from labeling.loop.importing.csv.columns import ReadingOptions
from labeling.loop.importing.csv.header import dialect_of
from labeling.loop.importing.csv.lines import Unreadable
from labeling.loop.importing.csv.records import ReadingNotes, records
from labeling.models import Label

TEXTS = {
    "French": ["Musique française", "Chanson d’été", "Noël", "Électronique", "L’École"],
    "German": ["Gemütlich", "Für Elise", "Größe", "Schöne Träume", "Mädchen", "Übermut"],
    "Spanish": ["Canción", "Música española", "Niño", "Corazón", "Año nuevo", "Rápido"],
    "Polish": ["Żółta łódź", "Święta", "Łąka", "Miłość", "Pieśń", "Górski potok"],
    "Czech": ["Příliš žluťoučký", "Kůň", "Dětská", "Česká hudba", "Řeka", "Šťastný"],
    "Russian": ["Русская народная", "Весёлая", "Грусть", "Джаз", "Рок", "Песня о любви"],
    "Greek": ["Ελληνική μουσική", "Λαϊκό", "Ρεμπέτικο", "Χαρά"],
    "Turkish": ["Türkçe şarkı", "Hüzünlü", "Ağır", "Işık", "Neşeli", "Çocuk"],
    "Japanese": ["ロック", "悲しい歌", "ジャズ", "日本の夏", "楽しい", "祭り"],
    "Chinese": ["摇滚", "悲伤的歌", "爵士", "中国民乐", "快乐"],
    "Chinese, traditional": ["搖滾", "悲傷的歌", "爵士樂", "中國民樂", "快樂"],
    "Korean": ["록", "슬픈 노래", "재즈", "한국 여름", "즐거운"],
}
ENCODINGS = [
    *((language, "utf-8") for language in TEXTS),
    *((language, "cp1252") for language in ("French", "German", "Spanish")),
    *((language, "mac-roman") for language in ("French", "German", "Spanish")),
    ("Polish", "cp1250"),
    ("Polish", "iso8859-2"),
    ("Czech", "cp1250"),
    ("Russian", "cp1251"),
    ("Russian", "koi8-r"),
    ("Russian", "cp866"),
    ("Greek", "cp1253"),
    ("Turkish", "cp1254"),
    ("Japanese", "cp932"),
    ("Japanese", "euc_jp"),
    ("Japanese", "iso2022_jp"),
    ("Chinese", "gb18030"),
    ("Chinese, traditional", "big5"),
    ("Korean", "cp949"),
]


def write(tmp_path, content):
    path = tmp_path / "c.csv"
    path.write_bytes(content)
    return path


def read(path, encoding="", **options):
    notes = ReadingNotes()
    dialect = dialect_of(path, encoding, **options)
    found = [
        record.reason if isinstance(record, Unreadable) else record
        for _, record in records(path, dialect, notes)
    ]
    return found, dialect, list(notes.read_as.values())


def rows_of(texts):
    return [["filename", "genre"], *([f"{n}-{text}.mp3", text] for n, text in enumerate(texts))]


def as_bytes(rows, encoding):
    return "".join(",".join(row) + "\n" for row in rows).encode(encoding)


@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.parametrize(("language", "encoding"), ENCODINGS)
def test_common_encodings_are_recognised(tmp_path, language, encoding, is_whole):
    rows = rows_of(TEXTS[language])
    path = write(tmp_path, as_bytes(rows, encoding))
    found, dialect, read_as = read(path, is_whole=is_whole)
    assert found == rows
    assert (dialect.doubt, read_as) == ("", [])


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("language", TEXTS)
def test_wide_encodings_without_a_mark_are_recognised(tmp_path, language, encoding):
    rows = rows_of(TEXTS[language])
    found, dialect, _ = read(write(tmp_path, as_bytes(rows, encoding)))
    assert (found, dialect.encoding) == (rows, encoding)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf"])
def test_a_file_with_one_wrong_byte_stays_utf8(tmp_path, mark):
    rows = rows_of(TEXTS["French"])
    path = write(tmp_path, mark + as_bytes(rows, "utf-8") + b"x.mp3,Caf\xe9\n")
    found, _, read_as = read(path)
    assert found == [*rows, ["x.mp3", "Café"]]
    assert read_as == [{"encoding": "cp1252", "rows": 1, "first": [7]}]


def test_two_files_of_two_encodings_are_each_read_in_theirs(tmp_path):
    french, russian = rows_of(TEXTS["French"]), rows_of(TEXTS["Russian"])[1:]
    path = write(tmp_path, as_bytes(french, "utf-8") + as_bytes(russian, "cp1251"))
    found, dialect, _ = read(path)
    # As many rows of either: UTF-8 is certain where it is valid, and chardet of the others.
    assert found == [*french, *russian]
    assert {dialect.encoding, dialect.other} == {"utf-8", "cp1251"}


@pytest.mark.parametrize("n_rows", [1, 30])
def test_utf8_rows_in_a_file_of_cp1252_stay_what_they_are(tmp_path, n_rows):
    latin = [[f"{n}.mp3", "Caf\u00e9"] for n in range(n_rows)]
    content = b"filename,genre\n" + as_bytes(latin, "cp1252") + "ú.mp3,Música\n".encode()
    found, _, _ = read(write(tmp_path, content))
    assert found[-1] == ["ú.mp3", "Música"]
    assert found[1:-1] == latin


@pytest.mark.parametrize(
    "texts",
    [
        ["Rock\xa0", "R&B’s"],
        ["10 €", "© Soul"],
        ["Pop™", "It’s", "£10"],
        ["Café", "Été", "Noël"],
        ["São Paulo", "Canção", "Irmã"],
        ["Beyoncé"],
        ["Björk", "Sigur Rós", "Motörhead"],
        ["½ Time", "± 3 °C"],
    ],
)
def test_little_text_of_western_europe_is_cp1252(tmp_path, texts):
    rows = rows_of(texts)
    assert read(write(tmp_path, as_bytes(rows, "cp1252")))[0] == rows


@pytest.mark.parametrize(
    "texts",
    [["Mädchen", "Für Elise", "Größe"], ["Café", "Été"], ["L’été"]],
)
def test_little_text_of_a_mac_is_not_cp1252(tmp_path, texts):
    rows = rows_of(texts)
    assert read(write(tmp_path, as_bytes(rows, "mac-roman")))[0] == rows


def test_one_row_each_of_two_encodings_stays_utf8(tmp_path):
    content = "filename,genre\nú.mp3,Música\n".encode() + b"c.mp3,Caf\xe9\n"
    found, dialect, _ = read(write(tmp_path, content))
    assert found[1:] == [["ú.mp3", "Música"], ["c.mp3", "Café"]]
    assert (dialect.encoding, dialect.doubt) == ("utf-8", "")


@pytest.mark.parametrize(
    "cell",
    [
        "Música caf".encode() + b"\xe9",  # both encodings in one cell
        b"don\xe2\x80",  # UTF-8 that is cut off
        b"caf\xc3",  # the same: cp1252 has a capital there
        b"Caf\x8e",  # MacRoman: a capital after small letters
        b"x\x9dy",  # nothing in cp1252
        b"\xed\xa0\xbd\xed\xb8\x80",  # half characters of UTF-16
        b"x\xc0\xafy",  # a slash in two bytes
    ],
)
def test_bytes_that_are_not_plainly_cp1252_reject_their_row_alone(tmp_path, cell):
    rows = rows_of(TEXTS["French"])
    content = as_bytes(rows, "utf-8") + b"x.mp3," + cell + b"\nz.mp3,Pop\n"
    found, _, _ = read(write(tmp_path, content))
    assert found[:-2] == rows
    assert "cell 2" in found[-2]
    assert "is not UTF-8, although the file is" in found[-2]
    assert found[-1] == ["z.mp3", "Pop"]


def test_doubt_falls_back_to_cp1252_and_says_so(tmp_path, db):
    path = write(tmp_path, b"filename,genre\na.mp3,Caf\xe9\n")
    report = import_catalogue("lib", path, ImportOptions())
    assert report["encoding"] == "cp1252"
    assert "cp1252 was assumed" in report["warnings"][0]["message"]
    assert Label.objects.get().name == "Café"


def test_a_late_line_of_a_large_file_is_found_by_the_worker(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_encoding, "_HEAD", 1 << 12)
    monkeypatch.setattr(csv_encoding, "_SPREAD", 1)
    plain = b"filename,genre\n" + b"a.mp3,Rock\n" * 200_000
    russian = as_bytes(rows_of(TEXTS["Russian"])[1:], "cp1251")
    path = write(tmp_path, plain + b"\n" + russian + b"\n" + b"b.mp3,Pop\n" * 200_000)
    assert dialect_of(path).encoding == "cp1251"


@pytest.mark.parametrize("name", ["utf-8", "cp932", "gb18030", "cp1252", "utf-16"])
def test_what_the_chosen_encoding_cannot_decode_is_rejected_and_named(tmp_path, db, name):
    good, bad = "filename,genre\na.mp3,Pop\n".encode(name), b"b.mp3,x\x81\xffy\n"
    if name == "utf-16":
        bad = "b.mp3,x".encode("utf-16-le") + b"\x00\xd8" + "y\n".encode("utf-16-le")
    reading = ReadingOptions(encoding=name)
    path = write(tmp_path, good + bad)
    report = import_catalogue("lib", path, ImportOptions(reading=reading))
    assert (report["encoding"], report["rows_read"]) == (name, 2)
    assert [(one["row"], one["column"]) for one in report["errors"]] == [(3, "genre")]
    assert "cannot be read" in report["errors"][0]["message"]


@pytest.mark.parametrize("name", ["rot13", "base64", "punycode", "klingon", "utf-7", "\0"])
def test_only_encodings_of_text_may_be_chosen(tmp_path, name):
    with pytest.raises(BadInput, match="choose one of utf-8"):
        dialect_of(write(tmp_path, b"filename\n"), name)


@pytest.mark.parametrize("name", ["latin-1", "Shift_JIS", "MACROMAN", "GBK", "big5", "UTF8"])
def test_encodings_are_known_by_their_common_names(tmp_path, name):
    assert dialect_of(write(tmp_path, b"filename\n"), name).encoding in csv_encoding.OFFERED
