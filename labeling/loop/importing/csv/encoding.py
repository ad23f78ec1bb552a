"""Encoding of a catalogue: detected from its bytes, or chosen by a person.

The order: a byte order mark, UTF-16 or UTF-32 without one, valid UTF-8, a file that is mostly
UTF-8, and else what chardet recognises in the lines that are not UTF-8. Where that is not
certain, cp1252 is assumed and `doubt` says so. Only encodings that decode the samples strictly
are taken. The web process looks at samples only; a worker also checks the whole file.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import chardet

from labeling.errors import BadInput
from labeling.loop.importing.csv.plausible import is_plausible, mixes_scripts

#: Encodings that a person may choose: the codec and what it is for.
OFFERED = {
    "utf-8": "Unicode (UTF-8)",
    "utf-16": "Unicode (UTF-16)",
    "cp1252": "Western Europe (Windows)",
    "mac-roman": "Western Europe (Mac)",
    "iso8859-15": "Western Europe (ISO)",
    "cp850": "Western Europe (DOS)",
    "cp437": "United States (DOS)",
    "cp1250": "Central Europe (Windows)",
    "iso8859-2": "Central Europe (ISO)",
    "cp852": "Central Europe (DOS)",
    "mac-latin2": "Central Europe (Mac)",
    "cp1251": "Cyrillic (Windows)",
    "koi8-r": "Cyrillic (KOI8-R)",
    "cp866": "Cyrillic (DOS)",
    "mac-cyrillic": "Cyrillic (Mac)",
    "cp1253": "Greek (Windows)",
    "cp1254": "Turkish (Windows)",
    "cp1255": "Hebrew (Windows)",
    "cp1256": "Arabic (Windows)",
    "cp1257": "Baltic (Windows)",
    "cp1258": "Vietnamese (Windows)",
    "cp874": "Thai (Windows)",
    "cp932": "Japanese (Shift-JIS)",
    "euc_jp": "Japanese (EUC)",
    "iso2022_jp": "Japanese (ISO-2022)",
    "gb18030": "Chinese, simplified (GB18030)",
    "big5hkscs": "Chinese, traditional (Big5)",
    "cp949": "Korean (Windows)",
}
#: Encodings that are recognised. Others of the list cannot be told from these in short texts.
_RECOGNISED = {
    codecs.lookup(name).name: name
    for name in OFFERED
    if name not in ("utf-8", "utf-16", "iso2022_jp", "iso8859-15", "cp1258", "cp852")
}
#: What chardet calls an encoding that a wider one of the list contains.
_WIDER = {
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "iso8859-5": "cp1251",
    "iso8859-7": "cp1253",
    "iso8859-9": "cp1254",
    "shift_jis": "cp932",
    "shift_jis_2004": "cp932",
    "euc_jis_2004": "euc_jp",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "cp950": "big5hkscs",
    "euc_kr": "cp949",
    "johab": "cp949",
    "tis-620": "cp874",
}
FALLBACK = "cp1252"
#: The encodings of Western texts: each reads nearly any bytes, so a few bytes prove little.
_LATIN = {"cp1252", "mac-roman", "cp850", "cp437", "cp1250", "iso8859-2", "mac-latin2"}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
#: Files that people rename to .csv: how they begin, and what they are.
_OTHER_FILES = (
    (b"PK\x03\x04", "a zip file or an Excel workbook (.xlsx)"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)"),
    (b"\x1f\x8b", "a gzip file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z file"),
    (b"Rar!", "a rar file"),
    (b"%PDF", "a PDF file"),
    (b"\x89PNG", "a picture"),
    (b"RIFF", "a sound file"),
    (b"ID3", "a sound file"),
    (b"fLaC", "a sound file"),
    (b"OggS", "a sound file"),
    (b"SQLite format 3", "a database"),
)
_CONTROLS = bytes(
    one for one in (*range(0x20), 0x7F) if one not in (9, 10, 11, 12, 13, 0x1A, 0x1B)
)
#: So many control characters, and such a share of them, are in no text.
_FEW, _SHARE = 16, 0.05
_HEAD = 1 << 20
_BLOCK = 1 << 20
#: Samples behind the head, spread evenly over the file.
_SPREAD, _SPREAD_SIZE = 64, 1 << 14
_LINE_SAMPLED = 4_096
_LINES_SAMPLED = 20_000
_BYTES_RECOGNISED = 1 << 16
#: With so many different texts, the guess of a Western encoding is taken for certain.
_ENOUGH_TEXTS = 3
#: Fewer different bytes beyond ASCII do not outweigh cp1252, where that is plausible as well.
_ENOUGH_BYTES = 5
#: The confidence of an encoding must be so many times that of cp1252.
_CLEARLY = 1.5
#: With less confidence, one short text of another script is a guess.
_CONFIDENT = 0.15
#: From this share of valid UTF-8 on, such lines are not an accident of another encoding.
_NO_ACCIDENT = 0.1


@dataclass(frozen=True)
class DetectedEncoding:
    """The encoding of a file.

    Attributes
    ----------
    name : of the codec.
    other : the encoding of single cells that are not in the first one; "" for none. One of the
        two is UTF-8.
    doubt : a sentence if the encoding is not certain, else "".
    """

    name: str
    other: str = ""
    doubt: str = ""


@dataclass
class _Samples:
    """Lines of a file that are not ASCII, by whether they are valid UTF-8."""

    valid: dict[bytes, None] = field(default_factory=dict)
    invalid: dict[bytes, None] = field(default_factory=dict)

    def add(self, block: bytes) -> None:
        if block.isascii():
            return
        for line in re.split(rb"[\r\n]+", block):
            if line.isascii() or len(line) > _LINE_SAMPLED:
                continue
            if len(self.valid) + len(self.invalid) >= _LINES_SAMPLED:
                return
            (self.valid if _is_utf8(line) else self.invalid)[line] = None


def chosen_encoding(name: str) -> DetectedEncoding:
    """Return the encoding that a person chose, or refuse a name that is not on the list."""
    try:
        codec = codecs.lookup(name.strip()).name
    except (LookupError, ValueError):
        codec = ""
    codec = _WIDER.get(codec, codec)
    for offered in OFFERED:
        if codec and codecs.lookup(offered).name == codecs.lookup(codec).name:
            return DetectedEncoding(offered)
    if codec in ("utf-8-sig", "utf-32", *_WIDE):
        return DetectedEncoding(codec)
    raise BadInput(f"there is no encoding {name!r}: choose one of {', '.join(OFFERED)}")


def refuse_other_files(path: Path) -> None:
    """Refuse a file that is not text, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    for start, what in _OTHER_FILES:
        if head.startswith(start) and not _is_text(head[:4_096]):
            raise BadInput(f"this is {what}, not a CSV file: save the table as CSV in UTF-8")
    if not any(head.startswith(mark) for mark, _ in _BOMS) and not _without_mark(head):
        n_controls = len(head) - len(head.translate(None, _CONTROLS))
        if n_controls > max(_FEW, _SHARE * len(head)):
            raise BadInput("this is not a text file: save the table as CSV in UTF-8")


def _is_text(head: bytes) -> bool:
    """Say whether these bytes are text, so that a column named `ID3` refuses nothing."""
    return len(head.translate(None, _CONTROLS)) == len(head) and b"\n" in head


def detect_encoding(path: Path, *, is_whole: bool) -> DetectedEncoding:
    """Detect the encoding of a file, from samples of it or also from all of it."""
    with path.open("rb") as file:
        head = file.read(_BLOCK)
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return DetectedEncoding(encoding, FALLBACK if encoding == "utf-8-sig" else "")
    other = _without_mark(head) or _with_escapes(head)
    if other:
        return DetectedEncoding(other)
    return _by_lines(_samples(path, is_whole=is_whole))


def _without_mark(head: bytes) -> str:
    """Return UTF-16 or UTF-32 without a byte order mark, if these bytes are; else ""."""
    head = head[:4_096]
    if b"\0" not in head:
        return ""
    best, most = "", 0
    for name in _WIDE:
        unit = 4 if name.startswith("utf-32") else 2
        decoder = codecs.getincrementaldecoder(name)()
        try:
            text = decoder.decode(head[: len(head) // unit * unit])
        except UnicodeDecodeError:
            continue
        n_plain = sum(char in ",;\t|\r\n" for char in text)
        is_clean = not any(char < " " and char not in "\t\r\n\x1a" for char in text)
        if is_clean and n_plain > most:
            best, most = name, n_plain
    return best


def _with_escapes(head: bytes) -> str:
    """Return ISO-2022-JP if these bytes are; they look like ASCII with escapes in it."""
    if b"\x1b$" not in head:
        return ""
    try:
        codecs.getincrementaldecoder("iso2022_jp")().decode(head)
    except UnicodeDecodeError:
        return ""
    return "iso2022_jp"


def _samples(path: Path, *, is_whole: bool) -> _Samples:
    found = _Samples()
    size = path.stat().st_size
    with path.open("rb") as file:
        if is_whole:
            found.add(_around_first_error(path))
        found.add(_whole_lines(file.read(_HEAD), is_start=True, is_end=size <= _HEAD))
        step = max(_SPREAD_SIZE, (size - _HEAD) // _SPREAD)
        for offset in range(_HEAD, size, step):
            file.seek(offset)
            block = file.read(_SPREAD_SIZE)
            is_end = offset + _SPREAD_SIZE >= size
            found.add(_whole_lines(block, is_start=False, is_end=is_end))
    return found


def _whole_lines(block: bytes, *, is_start: bool, is_end: bool) -> bytes:
    """Return a block without the parts of lines at its ends."""
    start = 0 if is_start else _end_of_line(block)
    end = len(block) if is_end else max(block.rfind(b"\n"), block.rfind(b"\r"))
    return block[start : max(start, end)]


def _end_of_line(block: bytes) -> int:
    found = re.search(rb"[\r\n]", block)
    return found.end() if found else len(block)


def _around_first_error(path: Path) -> bytes:
    """Return the line of the first byte of the file that is not UTF-8; b"" if there is none."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        offset = 0
        while True:
            block = file.read(_BLOCK)
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                file.seek(max(0, offset - pending + error.start - _LINE_SAMPLED))
                before = min(_LINE_SAMPLED, offset - pending + error.start)
                near = file.read(2 * _LINE_SAMPLED)
                start = max(near.rfind(b"\n", 0, before), near.rfind(b"\r", 0, before)) + 1
                return near[start : start + _end_of_line(near[start:])]
            if not block:
                return b""
            offset += len(block)


def _by_lines(found: _Samples) -> DetectedEncoding:
    """Return the encoding by the lines that are not ASCII."""
    if not found.invalid:
        return DetectedEncoding("utf-8", FALLBACK)
    guess = _recognised(found.invalid)
    if len(found.valid) >= len(found.invalid):
        is_sure = not guess.doubt
        return DetectedEncoding("utf-8", guess.name if is_sure else FALLBACK)
    n_valid = sum(not mixes_scripts(line.decode("utf-8")) for line in found.valid)
    share = n_valid / (len(found.valid) + len(found.invalid))
    # No text in cp1252 is valid UTF-8 by accident; in other encodings some short ones are.
    is_mixed = guess.name == FALLBACK or share >= _NO_ACCIDENT
    return DetectedEncoding(guess.name, "utf-8" if is_mixed else "", guess.doubt)


def _recognised(lines: Iterable[bytes]) -> DetectedEncoding:
    """Return the encoding of lines that are not UTF-8, with a doubt if it is a guess."""
    cells = dict.fromkeys(
        cell for line in lines for cell in re.split(rb'[,;\t"]+', line) if not cell.isascii()
    )
    sample, n_texts = b"", 0
    for cell in cells:
        if len(sample) + len(cell) < _BYTES_RECOGNISED:
            sample, n_texts = sample + cell + b"\n", n_texts + 1
    best, confidence, of_fallback = _best(sample)
    is_usual = is_plausible(_decoded(sample, FALLBACK))
    if is_usual and confidence < _CLEARLY * of_fallback:
        best = FALLBACK
    is_told = len({byte for byte in sample if byte > 0x7F}) >= _ENOUGH_BYTES
    is_enough = n_texts >= _ENOUGH_TEXTS and (is_told or not is_usual or best == FALLBACK)
    if best and (is_enough or (best not in _LATIN and confidence >= _CONFIDENT)):
        return DetectedEncoding(best)
    name = FALLBACK if is_usual or not best else best
    return DetectedEncoding(
        name,
        doubt=f"the encoding is not certain: {name} was assumed; check the names, and choose "
        "the encoding if they are wrong",
    )


def _best(sample: bytes) -> tuple[str, float, float]:
    """Return the best encoding that gives plausible text, its confidence and cp1252's."""
    found: dict[str, float] = {}
    for one in chardet.detect_all(sample):
        try:
            codec = codecs.lookup(str(one["encoding"])).name
        except LookupError:
            continue
        codec = codecs.lookup(_WIDER.get(codec, codec)).name
        name = _RECOGNISED.get(codec, "")
        if name and name not in found and is_plausible(_decoded(sample, name)):
            found[name] = float(one["confidence"] or 0)
    best = max(found, key=lambda name: found[name], default="")
    return best, found.get(best, 0.0), found.get(FALLBACK, 0.0)


def _decoded(sample: bytes, encoding: str) -> str:
    """Return the text of a sample; "" if it is not strictly in this encoding."""
    if not encoding:
        return ""
    try:
        return sample.decode(encoding)
    except UnicodeDecodeError:
        return ""


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def read_alone(cell: str, encoding: str) -> str | None:
    """Return the text of a cell whose bytes are not UTF-8, or None if it is not plainly one.

    Parameters
    ----------
    cell : decoded as UTF-8 with `surrogateescape`. encoding : of the cells that are not UTF-8.

    Cells that mix both, that end within a character, or that become symbols are not guessed.
    """
    if any(not char.isascii() and not "\udc80" <= char <= "\udcff" for char in cell):
        return None
    raw = cell.encode("utf-8", "surrogateescape")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end - error.start > 1 and encoding == FALLBACK:
            return None
    text = _decoded(raw, encoding)
    return text if is_plausible(text) else None
