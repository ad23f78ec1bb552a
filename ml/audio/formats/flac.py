"""FLAC streams: where each ends, and how many samples its frames really have.

The header states the number of samples, and decoders stop there. The last frame of a stream
says where it is, and has checksums, so a header that is wrong, a truncated file and tags behind
the sound are found without decoding.

Source: RFC 9639 (sections 8.2 "Streaminfo" and 9 "Frame structure").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from ml.audio.formats.tags import FileBytes, sound_end

_SYNC = re.compile(rb"\xff[\xf8\xf9][\x10-\xff]", re.DOTALL)
_STREAM_HEAD = b"fLaC\x00\x00\x00\x22"
_HEAD_BYTES = 42
#: Bytes at the end of a stream in which its last frames are sought, at least.
_TAIL_BYTES = 1 << 16
#: Bytes of the smallest frame: a header and a constant.
_LEAST_FRAME = 10
#: Places at which the numbers of frames are compared, to notice streams that were joined.
_PLACES = 8
_RATES_HZ = {1: 88_200, 2: 176_400, 3: 192_000, 4: 8_000, 5: 16_000, 6: 22_050, 7: 24_000}
_RATES_HZ |= {8: 32_000, 9: 44_100, 10: 48_000, 11: 96_000}
_BITS = {1: 8, 2: 12, 4: 16, 5: 20, 6: 24, 7: 32}


@dataclass(frozen=True)
class FlacStream:
    """One FLAC stream in a file.

    Attributes
    ----------
    begin, end : first byte, and the byte after the last whole frame.
    stated_frames : samples per channel that the header states, 0 if it states none.
    frames : samples per channel that the frames have; None if the last frame is not found.
    rate_hz : sample rate.
    """

    begin: int
    end: int
    stated_frames: int
    frames: int | None
    rate_hz: int = 0

    def head(self, data: FileBytes) -> bytes:
        """Return the first 26 bytes of the stream with the true number of samples.

        Parameters
        ----------
        data : the whole file, or a memory map of it.

        Returns
        -------
        bytes, which replace the first 26 of the stream.
        """
        raw = data[self.begin : self.begin + 26]
        field = int.from_bytes(raw[18:26], "big") >> 36 << 36 | (self.frames or 0)
        return raw[:18] + field.to_bytes(8, "big")


@dataclass(frozen=True)
class _Format:
    """The facts about all frames, from STREAMINFO."""

    block: int
    rate_hz: int
    channels: int
    bits: int
    total: int
    largest_frame: int


@dataclass(frozen=True)
class _Frame:
    offset: int
    first: int
    count: int


def flac_streams(data: FileBytes, begin: int) -> list[FlacStream]:
    """Find the FLAC streams in a file; usually it is one.

    Parameters
    ----------
    data : the whole file, or a memory map of it.
    begin : byte at which the first stream starts with "fLaC".

    Returns
    -------
    list of FlacStream, in order. A stream whose frames cannot be followed has `frames` None and
    ends with the file.
    """
    about = _format_of(data, begin)
    if about is None:
        return [FlacStream(begin, len(data), 0, None)]
    whole = _stream(data, begin, len(data), about)
    if whole.frames == whole.stated_frames and _is_rising(data, whole, about):
        return [whole]
    starts = _starts(data, begin)
    if len(starts) == 1:
        return [whole]
    found = []
    for first, end in zip(starts, [*starts[1:], len(data)], strict=True):
        about = _format_of(data, first)
        if about is not None:
            found.append(_stream(data, first, end, about))
    return found


def _starts(data: FileBytes, begin: int) -> list[int]:
    """Return the offsets of all stream headers from `begin` on."""
    starts, at = [], begin
    while at >= 0:
        if _format_of(data, at) is not None:
            starts.append(at)
        at = data.find(_STREAM_HEAD, at + 4)
    return starts


def _format_of(data: FileBytes, begin: int) -> _Format | None:
    head = data[begin : begin + _HEAD_BYTES]
    if len(head) < _HEAD_BYTES or head[:4] != b"fLaC" or head[4] & 0x7F or head[7] != 34:
        return None
    packed = int.from_bytes(head[18:26], "big")
    block = int.from_bytes(head[10:12], "big")
    largest = int.from_bytes(head[15:18], "big")
    rate, channels = packed >> 44, (packed >> 41 & 7) + 1
    bits, total = (packed >> 36 & 31) + 1, packed & (1 << 36) - 1
    return _Format(block, rate, channels, bits, total, largest)


def _stream(data: FileBytes, begin: int, end: int, about: _Format) -> FlacStream:
    """Describe a stream by its last whole frame, if that can be found."""
    bound = sound_end(data, begin, end)
    window = max(_TAIL_BYTES, 3 * about.largest_frame)
    frames = list(_frames_in(data, max(begin + _HEAD_BYTES, bound - window), bound, about))
    stops = {bound}
    for last in reversed(frames):
        stop = _end_of(data, last, stops, about)
        if stop is not None:
            return FlacStream(begin, stop, about.total, last.first + last.count, about.rate_hz)
        stops.add(last.offset)
    return FlacStream(begin, end, about.total, None, about.rate_hz)


def _is_rising(data: FileBytes, stream: FlacStream, about: _Format) -> bool:
    """Return whether later frames have higher positions, as in one single stream."""
    step = (stream.end - stream.begin) // _PLACES
    if step < _TAIL_BYTES // 2:
        return data.find(_STREAM_HEAD, stream.begin + 4, stream.end) < 0
    window = max(_TAIL_BYTES // 2, 2 * about.largest_frame)
    highest = -1
    for place in range(_PLACES):
        first = max(stream.begin + _HEAD_BYTES, stream.begin + place * step)
        found = next(_frames_in(data, first, min(first + window, stream.end), about), None)
        if found is not None and found.first < highest:
            return False
        highest = found.first if found is not None else highest
    return True


def _frames_in(data: FileBytes, first: int, end: int, about: _Format) -> Iterator[_Frame]:
    """Yield the frame headers between two bytes that fit the stream and have a true CRC."""
    for match in _SYNC.finditer(data, first, end):
        frame = _frame_at(data[match.start() : match.start() + 16], match.start(), about)
        if frame is not None:
            yield frame


def _frame_at(raw: bytes, offset: int, about: _Format) -> _Frame | None:
    if len(raw) < 6:
        return None
    size_code, rate_code = raw[2] >> 4, raw[2] & 15
    layout, bits_code = raw[3] >> 4, raw[3] >> 1 & 7
    channels = layout + 1 if layout < 8 else 2
    if rate_code == 15 or raw[3] & 1 or layout > 10 or channels != about.channels:
        return None
    if _RATES_HZ.get(rate_code, about.rate_hz) != about.rate_hz:
        return None
    if bits_code == 3 or _BITS.get(bits_code, about.bits) != about.bits:
        return None
    number, at = _coded_number(raw)
    count, at = _block_size(raw, size_code, at)
    at += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if number is None or at >= len(raw) or _crc8(raw[:at]) != raw[at]:
        return None
    is_variable = raw[1] & 1
    return _Frame(offset, number if is_variable else number * about.block, count)


def _coded_number(raw: bytes) -> tuple[int | None, int]:
    """Return the number at byte 4, coded as in UTF-8, and the byte after it."""
    first = raw[4]
    if first < 0x80:
        return first, 5
    more = 8 - (first ^ 0xFF).bit_length() - 1
    if more < 1 or more > 6 or len(raw) < 5 + more:
        return None, 5
    number = first & (0x3F >> more)
    for byte in raw[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    return number, 5 + more


def _block_size(raw: bytes, code: int, at: int) -> tuple[int, int]:
    """Return the samples in a frame, and the byte after the field at `at` if there is one."""
    if code == 6:
        return raw[at] + 1 if at < len(raw) else 0, at + 1
    if code == 7:
        return int.from_bytes(raw[at : at + 2], "big") + 1, at + 2
    if code == 1:
        return 192, at
    return (576 << (code - 2) if code < 6 else 256 << (code - 8)), at


def _end_of(data: FileBytes, frame: _Frame, stops: set[int], about: _Format) -> int | None:
    """Return where a frame ends: at one of `stops`, or before junk if it is the last one.

    The checksum over a whole frame is 0.
    """
    crc, table, before_junk = 0, _crc_table(0x8005, 16), None
    is_last = frame.first + frame.count == about.total
    for at, byte in enumerate(data[frame.offset : max(stops)], frame.offset + 1):
        crc = (crc << 8 & 0xFFFF) ^ table[crc >> 8 ^ byte]
        if not crc:
            # A checksum that ends with zeros is 0 already before them; more zeros are padding.
            is_padded = (
                before_junk is not None
                and at > before_junk + 2
                and not data[before_junk:at].strip(b"\0")
            )
            if at in stops and not is_padded:
                return at
            if is_last and before_junk is None and at > frame.offset + _LEAST_FRAME:
                before_junk = at
    return before_junk


def _crc8(raw: bytes) -> int:
    crc, table = 0, _crc_table(0x07, 8)
    for byte in raw:
        crc = table[crc ^ byte]
    return crc


@cache
def _crc_table(polynomial: int, bits: int) -> tuple[int, ...]:
    """Return the table of a CRC without reflection: one value for each leading byte."""
    top, mask, values = 1 << bits - 1, (1 << bits) - 1, []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
        values.append(value)
    return tuple(values)
