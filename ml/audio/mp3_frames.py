"""MPEG audio frames: find them, count them, and mend a file whose header lies.

libsndfile believes what the first frame says. Without a Xing/Info tag it guesses the length
from the first frames, and a tag that lies, a cut file or junk between two frames ends the
reading early. The headers themselves are easy to walk, so this module counts the frames that
are really there, and writes an equivalent stream that holds exactly those and a true tag.

Conventions
-----------
Offsets and sizes are in bytes, lengths in frames of `samples_per_frame` samples.

Sources: ISO/IEC 11172-3 and 13818-3 (frame header), "MP3 Audio Frame Headers" by
K. Windström (layout of the Xing and VBRI tags), LAME's tag description.
"""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass
from functools import lru_cache

#: A file in memory, or a memory map of it.
FileBytes = bytes | mmap.mmap

_RATES_HZ = {
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}
_KBPS = {
    (3, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_ANY_HEADER = re.compile(rb"\xff[\xe2-\xe7\xf2-\xff][\x10-\xef]", re.DOTALL)
#: Leading junk and padding behind the tags that are searched for the first frame.
SEARCH_BYTES = 1 << 20
#: Junk between frames that is searched for the next one; more counts as the end.
_RESYNC_BYTES = 16 << 20
_CHAIN = 3
#: Samples that mpg123 trims at the start of any tagged Layer III stream.
_MPG123_DELAY = 529


@dataclass(frozen=True)
class FrameHeader:
    """One frame header.

    Attributes
    ----------
    version : the two bits of the header: 3 is MPEG-1, 2 is MPEG-2, 0 is MPEG-2.5.
    layer : the two bits of the header: 1 is Layer III, 2 is Layer II, 3 is Layer I.
    bit_rate : bits a second of this frame. size : the whole frame in bytes, header included.
    """

    version: int
    layer: int
    bit_rate: int
    sample_rate_hz: int
    channels: int
    size: int
    has_crc: bool

    @property
    def samples_per_frame(self) -> int:
        """Samples of one channel that the frame decodes to."""
        if self.layer == 3:
            return 384
        return 1152 if self.layer == 2 or self.version == 3 else 576

    @property
    def side_bytes(self) -> int:
        """Bytes of Layer III side information, behind which a Xing tag stands."""
        if self.version == 3:
            return 17 if self.channels == 1 else 32
        return 9 if self.channels == 1 else 17

    def fits(self, other: FrameHeader) -> bool:
        """Return whether both may stand in one stream (bit rate and padding may vary)."""
        return (self.version, self.layer, self.sample_rate_hz, self.channels) == (
            other.version,
            other.layer,
            other.sample_rate_hz,
            other.channels,
        )


@dataclass(frozen=True)
class LengthTag:
    """What a Xing, Info or VBRI tag claims. `size` is that of the frame that carries it."""

    kind: str
    frames: int | None
    stream_bytes: int | None
    size: int


@dataclass(frozen=True)
class Mp3Start:
    """Where the stream begins: `offset` of the first frame, its header, its tag if any."""

    offset: int
    header: FrameHeader
    tag: LengthTag | None


@dataclass(frozen=True)
class Mp3Walk:
    """Frames that are really there.

    Attributes
    ----------
    spans : (first byte, one past the last byte) of each run of whole frames.
    frames : number of whole frames that hold sound (the frame of a tag is not counted).
    junk_bytes : bytes between the runs that are no frames.
    is_complete : False where the walk stopped at `max_frames`.
    """

    spans: tuple[tuple[int, int], ...]
    frames: int
    junk_bytes: int
    is_complete: bool


def parse_header(raw: bytes) -> FrameHeader | None:
    """Read the four bytes of a frame header; None where they are not one."""
    if len(raw) < 4 or raw[0] != 0xFF or raw[1] & 0xE0 != 0xE0:
        return None
    version, layer = raw[1] >> 3 & 3, raw[1] >> 1 & 3
    rate_code, row = raw[2] >> 4, raw[2] >> 2 & 3
    if version == 1 or layer == 0 or rate_code in (0, 15) or row == 3:
        return None
    family = (3, layer) if version == 3 else (2, 3 if layer == 3 else 1)
    bit_rate = _KBPS[family][rate_code - 1] * 1_000
    sample_rate_hz = _RATES_HZ[version][row]
    padding = raw[2] >> 1 & 1
    if layer == 3:
        size = (12 * bit_rate // sample_rate_hz + padding) * 4
    else:
        slots = 144 if layer == 2 or version == 3 else 72
        size = slots * bit_rate // sample_rate_hz + padding
    channels = 1 if raw[3] >> 6 == 3 else 2
    return FrameHeader(version, layer, bit_rate, sample_rate_hz, channels, size, not raw[1] & 1)


def id3_size(data: FileBytes, offset: int = 0) -> int:
    """Return the bytes of the ID3v2 tag at `offset`, 0 where there is none."""
    head = data[offset : offset + 10]
    if len(head) < 10 or head[:3] != b"ID3" or any(byte & 0x80 for byte in head[6:10]):
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return size + (20 if head[5] & 0x10 else 10)


def skip_id3(data: FileBytes) -> int:
    """Return the offset behind all leading ID3v2 tags, of one cut short its first 10 bytes."""
    offset = 0
    while size := id3_size(data, offset):
        if offset + size >= len(data):
            return offset + 10
        offset += size
    return offset


def find_start(data: FileBytes) -> Mp3Start | None:
    """Find the first of a chain of frames behind the ID3 tags, over junk of up to 1 MiB.

    Three frames must follow one another; fewer are enough where the file ends.
    """
    first = skip_id3(data)
    for match in _ANY_HEADER.finditer(data, first, min(len(data), first + SEARCH_BYTES)):
        header = _chain_header(data, match.start())
        if header is not None:
            return Mp3Start(match.start(), header, _read_tag(data, match.start(), header))
    return None


def _chain_header(data: FileBytes, offset: int) -> FrameHeader | None:
    """Return the header at `offset` if whole frames of its kind follow one another there."""
    first = parse_header(data[offset : offset + 4])
    if first is None or offset + first.size > len(data):
        return None
    at = offset + first.size
    for _ in range(_CHAIN - 1):
        if at + 4 > len(data):
            break
        header = parse_header(data[at : at + 4])
        if header is None or not header.fits(first):
            return None
        at += header.size
    return first


def _read_tag(data: FileBytes, offset: int, header: FrameHeader) -> LengthTag | None:
    frame = data[offset : offset + header.size]
    at = xing_offset(header)
    if frame[at : at + 4] in (b"Xing", b"Info"):
        flags = int.from_bytes(frame[at + 4 : at + 8], "big")
        fields = [int.from_bytes(frame[at + i : at + i + 4], "big") for i in (8, 12)]
        frames = fields.pop(0) if flags & 1 else None
        stream_bytes = fields.pop(0) if flags & 2 else None
        return LengthTag(frame[at : at + 4].decode(), frames, stream_bytes, header.size)
    if frame[36:40] == b"VBRI" and len(frame) >= 54:
        stream_bytes, frames = struct.unpack(">II", frame[46:54])
        return LengthTag("VBRI", frames, stream_bytes, header.size)
    return None


def xing_offset(header: FrameHeader) -> int:
    """Return where in its frame a Xing or Info tag stands."""
    return 4 + header.side_bytes + (2 if header.has_crc else 0)


def is_tag_plausible(start: Mp3Start, file_bytes: int) -> bool:
    """Return whether the length that the tag claims can be true of a file of this size.

    The bytes claimed must be there and make up most of the file, and the mean bit rate that
    follows must be one that MPEG has (for an Info tag, which stands for a constant rate, about
    that of the first frame).
    """
    tag, header = start.tag, start.header
    if tag is None or not tag.frames or tag.kind == "VBRI":
        return False
    there = file_bytes - start.offset
    stream_bytes = tag.stream_bytes or there
    if not 0.9 * there <= stream_bytes <= there + header.size:
        return False
    mean_rate = stream_bytes * 8 * header.sample_rate_hz / tag.frames / header.samples_per_frame
    if tag.kind == "Info":
        return abs(mean_rate / header.bit_rate - 1) < 0.05
    return 6_000 < mean_rate < 500_000


def walk(data: FileBytes, start: Mp3Start, max_frames: int) -> Mp3Walk:
    """Walk over all frame headers; plain Python, about 0.6 microseconds a frame.

    Parameters
    ----------
    data : the whole file, or a memory map of it.
    start : from `find_start`.
    max_frames : where to stop; a longer file comes back with `is_complete` False.
    """
    sizes = _size_table(start.header)
    at = begin = start.offset + (start.tag.size if start.tag else 0)
    end, frames, junk, spans = len(data), 0, 0, []
    while frames < max_frames:
        size = sizes.get(data[at : at + 3])
        if size is not None and at + size <= end:
            at += size
            frames += 1
            continue
        if at > begin:
            spans.append((begin, at))
        found = _next_chain(data, at + 1, start.header)
        if found is None:
            return Mp3Walk(tuple(spans), frames, junk, True)
        junk += found - at
        at = begin = found
    spans.append((begin, at))
    return Mp3Walk(tuple(spans), frames, junk, at + 4 > end)


@lru_cache(maxsize=16)
def _size_table(header: FrameHeader) -> dict[bytes, int]:
    """Frame size by the first three bytes, of all headers that fit into the stream."""
    table = {}
    for has_no_crc in (0, 1):
        for third in range(0x100):
            raw = bytes(
                (0xFF, 0xE0 | header.version << 3 | header.layer << 1 | has_no_crc, third)
            )
            parsed = parse_header(raw + _mode_byte(header))
            if parsed is not None and parsed.fits(header):
                table[raw] = parsed.size
    return table


def _mode_byte(header: FrameHeader) -> bytes:
    return b"\xc0" if header.channels == 1 else b"\x00"


def _resync_pattern(header: FrameHeader) -> re.Pattern[bytes]:
    heads = list(_size_table(header))
    seconds, thirds = {raw[1] for raw in heads}, {raw[2] for raw in heads}
    return re.compile(rb"\xff[%b][%b]" % (_byte_class(seconds), _byte_class(thirds)), re.DOTALL)


def _byte_class(values: set[int]) -> bytes:
    return b"".join(b"\\x%02x" % value for value in sorted(values))


def _next_chain(data: FileBytes, at: int, like: FrameHeader) -> int | None:
    """Return the offset of the next chain of frames that fit `like`, None at the end."""
    for match in _resync_pattern(like).finditer(data, at, min(len(data), at + _RESYNC_BYTES)):
        header = _chain_header(data, match.start())
        if header is not None and header.fits(like):
            return match.start()
    return None


@dataclass(frozen=True)
class MendedMp3:
    """A stream of whole frames with a true tag; sound begins `lead_frames` samples into it."""

    stream: bytes
    lead_frames: int


def mended(data: FileBytes, start: Mp3Start, there: Mp3Walk) -> MendedMp3:
    """Return the stream of the whole frames alone, led by a tag with their true number.

    A tag that was there keeps its encoder delay, so that samples stay where they were; its
    end padding goes when frames are missing, since what it would trim is no longer there.
    Without one a new tag is made. mpg123 takes any tag as leave to trim its own delay of 529
    samples, so a silent frame goes in between and `lead_frames` says where sound begins:
    samples then stand where a plain decoding of the untagged file has them.
    """
    body = b"".join(bytes(data[a:b]) for a, b in there.spans)
    head = _patched_tag(data, start, there.frames, len(body))
    if head is not None:
        return MendedMp3(head + body, 0)
    silent = bytes(_blank_frame(start.header))
    body = silent + body
    head = _new_tag(start.header, there.frames + 1, len(body))
    return MendedMp3(head + body, start.header.samples_per_frame - _MPG123_DELAY)


def _patched_tag(
    data: FileBytes, start: Mp3Start, frames: int, body_bytes: int
) -> bytes | None:
    """Return the frame of the tag with the true counts, None where there is none to patch."""
    if start.tag is None or start.tag.frames is None or start.tag.kind == "VBRI":
        return None
    head = bytearray(data[start.offset : start.offset + start.tag.size])
    at = xing_offset(start.header)
    flags = int.from_bytes(head[at + 4 : at + 8], "big")
    struct.pack_into(">I", head, at + 8, frames)
    if flags & 2:
        struct.pack_into(">I", head, at + 12, body_bytes + len(head))
    lame = at + 8 + 4 * (flags & 11).bit_count() + (100 if flags & 4 else 0)
    if start.tag.frames != frames and len(head) >= lame + 24:
        head[lame + 22] &= 0xF0
        head[lame + 23] = 0
    return bytes(head)


def _blank_frame(header: FrameHeader) -> bytearray:
    """Make a frame of the stream's kind that decodes to silence: all its bits are zero."""
    second = 0xE1 | header.version << 3 | header.layer << 1
    row = _RATES_HZ[header.version].index(header.sample_rate_hz)
    raw = bytes((0xFF, second, 9 << 4 | row << 2)) + _mode_byte(header)
    parsed = parse_header(raw)
    frame = bytearray(parsed.size if parsed else 0)
    frame[:4] = raw
    return frame


def _new_tag(header: FrameHeader, frames: int, body_bytes: int) -> bytes:
    frame = _blank_frame(header)
    tag = b"Xing" + struct.pack(">III", 3, frames, body_bytes + len(frame))
    at = 4 + header.side_bytes
    frame[at : at + len(tag)] = tag
    return bytes(frame)
