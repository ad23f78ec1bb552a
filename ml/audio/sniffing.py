"""Detection of the container of a file by its first bytes, never by its name.

Only containers and codecs whose decoders are simple or widely used are passed on to libsndfile;
ADPCM and exotic formats are refused before that library reads their headers. The reason is
written for a curator, who can do something about "Windows Media (WMA)" but not about "Format
not recognised".
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from ml.audio.formats.tags import FileBytes, skip_id3, skip_leading
from ml.audio.mp3_frames import SEARCH_BYTES, Mp3Start, find_start
from ml.errors import AudioError

#: (pattern at the very start, format). Order matters if one is a prefix of another.
_FOREIGN = (
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media (WMA)"),
    (rb"....ftyp", "MPEG-4 (M4A, AAC, ALAC or video)"),
    (rb"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (rb"OFR |\*RIFF", "OptimFROG"),
    (rb"MAC ", "Monkey's Audio"),
    (rb"wvpk", "WavPack"),
    (rb"MPCK|MP\+", "Musepack"),
    (rb"TTA\d", "True Audio"),
    (rb"DSD |FRM8", "DSD"),
    (rb"\.snd", "Sun audio (AU)"),
    (rb"caff", "Core Audio (CAF)"),
    (rb"riff\x2e\x91", "Wave64"),
    (rb"MThd", "MIDI"),
    (rb"#!AMR", "AMR"),
    (rb"\xff[\xf0\xf1\xf8\xf9]", "raw AAC"),
    (rb"FLV\x01|RIFF....AVI ", "a video"),
)
_NOT_AUDIO = (
    (rb"(?i)\s*(<!doctype html|<html|<head|<body)", "a web page"),
    (rb"(?i)\s*<\?xml|\s*<svg", "an XML document"),
    (rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!", "an archive"),
    (rb"%PDF", "a PDF document"),
    (rb"\xff\xd8\xff|\x89PNG|GIF8|BM....\0\0\0\0", "a picture"),
    (rb"MZ|\x7fELF", "a program"),
)
_WAV_CODECS = {1: "PCM", 3: "float", 6: "A-law", 7: "mu-law"}
_WAV_FOREIGN = {2: "MS ADPCM", 0x11: "IMA ADPCM", 0x31: "GSM", 0x50: "MPEG", 0x55: "MP3"}
_AIFF_PCM = (b"NONE", b"sowt", b"twos", b"raw ", b"in24", b"in32")
_AIFF_OTHER = (b"fl32", b"FL32", b"fl64", b"FL64", b"ulaw", b"ULAW", b"alaw", b"ALAW")
#: Headers that are looked for behind junk.
_ANY_MAGIC = re.compile(
    rb"(RIFF|RIFX|RF64|BW64)....WAVE|FORM....AIF[FC]|fLaC\x00\x00\x00\x22|OggS\x00\x02",
    re.DOTALL,
)
#: Number of leading chunks of a RIFF or IFF file to read.
_CHUNKS_READ = 64


@dataclass(frozen=True)
class Sniffed:
    """Container of a file.

    Attributes
    ----------
    container : "WAV", "AIFF", "FLAC", "OGG" or "MP3".
    offset : byte at which libsndfile should start.
    mp3 : start of the MPEG stream; None for other containers.
    """

    container: str
    offset: int = 0
    mp3: Mp3Start | None = None


def sniff(data: FileBytes) -> Sniffed:
    """Detect the container of a file.

    Parameters
    ----------
    data : the whole file, or a memory map of it.

    Returns
    -------
    Sniffed

    Raises
    ------
    AudioError : empty, not audio, or an unsupported format; the reason says which.

    Examples
    --------
    >>> sniff(b"fLaC" + bytes(50)).container
    'FLAC'
    """
    if not len(data):
        raise AudioError("empty file: it has no content at all")
    tagged = skip_leading(data)
    for offset in sorted({0, tagged}):
        found = _known_at(data, offset)
        if found is not None:
            return found
    behind_tags = skip_id3(data)
    for offset in sorted({behind_tags, tagged}):
        _refuse_known(data[offset : offset + 512])
    start = find_start(data)
    if start is None or start.offset > tagged:
        found = _behind_junk(data, tagged, start.offset if start else len(data))
        if found is not None:
            return found
    if start is not None:
        return Sniffed("MP3", start.offset, start)
    raise AudioError(_describe_unknown(data, behind_tags))


def _known_at(data: FileBytes, offset: int) -> Sniffed | None:
    """Return the container whose header is at `offset`, None if there is no such header."""
    head = data[offset : offset + 16]
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        _check_wav_codec(data, offset, ">" if head[:4] == b"RIFX" else "<")
        return Sniffed("WAV", offset)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        _check_aiff_codec(data, offset)
        return Sniffed("AIFF", offset)
    if head[:4] == b"fLaC":
        return Sniffed("FLAC", offset)
    if head[:4] == b"OggS":
        return Sniffed("OGG", offset)
    return None


def _behind_junk(data: FileBytes, first: int, end: int) -> Sniffed | None:
    """Return the container whose header comes first in up to 1 MiB of junk."""
    match = _ANY_MAGIC.search(data, first, min(end, first + SEARCH_BYTES))
    return _known_at(data, match.start()) if match else None


def _refuse_known(head: bytes) -> None:
    for pattern, name in _NOT_AUDIO:
        if re.match(pattern, head, re.DOTALL):
            raise AudioError(f"not an audio file: it looks like {name}")
    for pattern, name in _FOREIGN:
        if re.match(pattern, head, re.DOTALL):
            raise AudioError(f"a format that audiotag does not read: {name}")


def _describe_unknown(data: FileBytes, tagged: int) -> str:
    head = data[:4096]
    if tagged:
        return "no sound in it: the file holds tags (title, artist) and nothing else"
    if not head.strip(b"\0"):
        return "not an audio file: it begins with nothing but zeros"
    if not re.search(rb"[^\x09-\x0d\x20-\x7e]", head):
        return "not an audio file: it looks like a text"
    return "not an audio file, or one in a format that audiotag does not know"


def _chunks(data: FileBytes, offset: int, order: str) -> dict[bytes, bytes]:
    """Return the first bytes of the leading chunks of a RIFF or IFF file, by name."""
    found: dict[bytes, bytes] = {}
    at = offset + 12
    for _ in range(_CHUNKS_READ):
        head = data[at : at + 8]
        if len(head) < 8:
            break
        size = struct.unpack(f"{order}I", head[4:])[0]
        found.setdefault(head[:4], data[at + 8 : at + 8 + min(size, 64)])
        at += 8 + size + (size & 1)
    return found


def _check_wav_codec(data: FileBytes, offset: int, order: str) -> None:
    fmt = _chunks(data, offset, order).get(b"fmt ", b"")
    if len(fmt) < 16:
        raise AudioError("damaged: a WAV file without a description of its samples")
    codec = struct.unpack(f"{order}H", fmt[:2])[0]
    if codec == 0xFFFE and len(fmt) >= 26:
        codec = struct.unpack(f"{order}H", fmt[24:26])[0]
    if codec not in _WAV_CODECS:
        name = _WAV_FOREIGN.get(codec, f"code {codec:#06x}")
        raise AudioError(f"a format that audiotag does not read: WAV with {name} compression")


def _check_aiff_codec(data: FileBytes, offset: int) -> None:
    comm = _chunks(data, offset, ">").get(b"COMM", b"")
    if len(comm) < 18:
        raise AudioError("damaged: an AIFF file without a description of its samples")
    if data[offset + 8 : offset + 12] == b"AIFC" and comm[18:22] not in _AIFF_PCM + _AIFF_OTHER:
        name = comm[18:22].decode("ascii", "replace").strip()
        raise AudioError(f"a format that audiotag does not read: AIFF with {name} compression")
