"""WAV files whose header is wrong about its sound: how much is there, and how to read it.

A recorder that crashed leaves a length of 0; a program that writes to a pipe states 4 GB; some
write half. Such a file, and its forms for large files (RF64, BW64), gets a new header.

Sources: IBM and Microsoft, "Multimedia Programming Interface and Data Specifications 1.0"
(RIFF); EBU Tech 3306 (RF64); ITU-R BS.2088 (BW64).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from ml.audio.formats.tags import FileBytes, sound_end

_CHUNKS_READ = 1_000
_UNKNOWN = 0xFFFFFFFF
_CHUNK_NAME = re.compile(rb"[A-Za-z0-9_ ]{4}")
_WAV_HEAD = re.compile(rb"(RIFF|RIFX|RF64|BW64)....WAVE", re.DOTALL)
_LARGEST = 0xFFFF_0000
_NOT_ZERO = re.compile(rb"[^\0]")
#: Bytes of chunks and tags behind the sound in which a joined file is sought.
_GAP_BYTES = 1 << 20
#: Seconds of sound from which bytes behind the stated end count as sound.
_LEAST_S = 0.25


@dataclass(frozen=True)
class WavSound:
    """The sound in a WAV file, or in one of several that were joined.

    Attributes
    ----------
    head : a header with the true length, which replaces everything before `begin`.
    begin, end : first byte of the samples, and the byte after the last.
    stated_bytes : bytes of sound that the header states; None if it states none.
    is_regular : the header is right, or promises more than there is: the file can be read as
        it is.
    bytes_per_s : bytes of one second of sound.
    """

    head: bytes
    begin: int
    end: int
    stated_bytes: int | None
    is_regular: bool
    bytes_per_s: int


def wav_sounds(data: FileBytes, begin: int) -> list[WavSound]:
    """Find the sound of a WAV file, and of WAV files that follow in the same file.

    Parameters
    ----------
    data : the whole file, or a memory map of it.
    begin : byte at which the file starts with its RIFF header.

    Returns
    -------
    list of WavSound; empty if there is no chunk with samples.
    """
    found: list[WavSound] = []
    at = begin
    while (sound := _sound(data, at)) is not None:
        found.append(sound)
        match = _WAV_HEAD.search(data, sound.end, min(len(data), sound.end + _GAP_BYTES))
        if match is None:
            break
        at = match.start()
    return found


def _sound(data: FileBytes, begin: int) -> WavSound | None:
    form = data[begin : begin + 4]
    order = ">" if form == b"RIFX" else "<"
    fmt, large, at = b"", 0, begin + 12
    for _ in range(_CHUNKS_READ):
        head = data[at : at + 8]
        if len(head) < 8:
            return None
        size = int(struct.unpack(f"{order}I", head[4:])[0])
        if head[:4] == b"fmt ":
            fmt = data[at + 8 : at + 8 + min(size, 64)]
        elif head[:4] == b"ds64":
            large = int.from_bytes(data[at + 16 : at + 24], "little")
        elif head[:4] == b"data":
            break
        at += 8 + size + (size & 1)
    else:
        return None
    if len(fmt) < 16:
        return None
    is_large = form in (b"RF64", b"BW64") and size == _UNKNOWN
    return _measured(data, at + 8, large if is_large else size, order, fmt, form)


def _measured(
    data: FileBytes, first: int, stated: int, order: str, fmt: bytes, form: bytes
) -> WavSound:
    """Decide where the sound ends."""
    there = len(data) - first
    rate_hz = int(struct.unpack(f"{order}I", fmt[4:8])[0])
    frame_bytes = max(1, int(struct.unpack(f"{order}H", fmt[12:14])[0]))
    least = int(_LEAST_S * rate_hz * frame_bytes)
    is_unstated = stated in (0, _UNKNOWN)
    if stated > there:
        size, is_regular = _whole(sound_end(data, first) - first, frame_bytes), form != b"BW64"
    elif stated and _is_end(data, first + stated, order, least):
        size, is_regular = stated, form != b"BW64"
    elif not stated and _is_end(data, first, order, least):
        size, is_regular = 0, True
    else:
        size, is_regular = _whole(_continued_end(data, first) - first, frame_bytes), False
    kind = b"RIFX" if order == ">" else b"RIFF"
    body = b"WAVEfmt " + struct.pack(f"{order}I", len(fmt)) + fmt + bytes(len(fmt) & 1)
    body += b"data" + struct.pack(f"{order}I", min(size, _LARGEST))
    head = kind + struct.pack(f"{order}I", min(len(body) + size, _LARGEST)) + body
    return WavSound(
        head,
        first,
        first + size,
        None if is_unstated else stated,
        is_regular,
        rate_hz * frame_bytes,
    )


def _whole(size: int, frame_bytes: int) -> int:
    return max(0, size) // frame_bytes * frame_bytes


def _continued_end(data: FileBytes, first: int) -> int:
    """Return where sound of unknown length ends: at a joined file, or with this one."""
    joined = _WAV_HEAD.search(data, first)
    return sound_end(data, first, joined.start() if joined else None)


def _is_end(data: FileBytes, at: int, order: str, least: int) -> bool:
    """Return whether the sound can end at `at`.

    Chunks, tags, padding, a joined file, less than `least` bytes or nothing follow.
    """
    for place in (at + (at & 1), at):
        if sound_end(data, place) - place < max(8, least) or _WAV_HEAD.match(data, place):
            return True
        if _are_chunks(data, place, order) or not _NOT_ZERO.search(data, place):
            return True
    return False


def _are_chunks(data: FileBytes, at: int, order: str) -> bool:
    """Return whether named chunks follow that fill the file, the last perhaps cut."""
    for number in range(_CHUNKS_READ):
        head = data[at : at + 8]
        if len(head) < 8:
            return number > 0
        if not _CHUNK_NAME.fullmatch(head[:4]):
            return number > 0
        size = int(struct.unpack(f"{order}I", head[4:])[0])
        if not number and at + 8 + size > len(data):
            return False
        at += 8 + size + (size & 1)
    return True
