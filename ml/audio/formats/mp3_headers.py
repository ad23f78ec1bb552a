"""MPEG audio frame headers, and the tag that states the length of a stream.

Sources: ISO/IEC 11172-3 and 13818-3 (frame header), "MP3 Audio Frame Headers" by
K. Windström (layout of the Xing and VBRI tags), LAME's tag description.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ml.audio.formats.tags import FileBytes

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


@dataclass(frozen=True)
class FrameHeader:
    """One frame header.

    Attributes
    ----------
    version : the two bits of the header: 3 is MPEG-1, 2 is MPEG-2, 0 is MPEG-2.5.
    layer : the two bits of the header: 1 is Layer III, 2 is Layer II, 3 is Layer I.
    bit_rate : bits per second of this frame.
    sample_rate_hz, channels : format of the sound.
    size : bytes of the whole frame, header included.
    has_crc : whether a checksum follows the header.
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
        """Samples per channel that the frame decodes to."""
        if self.layer == 3:
            return 384
        return 1152 if self.layer == 2 or self.version == 3 else 576

    @property
    def side_bytes(self) -> int:
        """Bytes of Layer III side information, after which a Xing tag starts."""
        if self.version == 3:
            return 17 if self.channels == 1 else 32
        return 9 if self.channels == 1 else 17

    def fits(self, other: FrameHeader) -> bool:
        """Return whether both frames can be in one stream (bit rate and padding may vary).

        Parameters
        ----------
        other : header of another frame.

        Returns
        -------
        bool
        """
        return (self.version, self.layer, self.sample_rate_hz, self.channels) == (
            other.version,
            other.layer,
            other.sample_rate_hz,
            other.channels,
        )


@dataclass(frozen=True)
class LengthTag:
    """Claims of a Xing, Info or VBRI tag.

    Attributes
    ----------
    kind : "Xing", "Info" or "VBRI".
    frames : claimed number of frames, None if not stated.
    stream_bytes : claimed size of the stream, None if not stated.
    size : bytes of the frame that carries the tag.
    """

    kind: str
    frames: int | None
    stream_bytes: int | None
    size: int


def parse_header(raw: bytes) -> FrameHeader | None:
    """Parse a frame header.

    Parameters
    ----------
    raw : the first four bytes of a frame.

    Returns
    -------
    FrameHeader, or None if the bytes are not a header.

    Examples
    --------
    >>> header = parse_header(bytes.fromhex("fffb9064"))
    >>> header.bit_rate, header.sample_rate_hz, header.size
    (128000, 44100, 417)
    """
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


def read_tag(data: FileBytes, offset: int, header: FrameHeader) -> LengthTag | None:
    """Read the Xing, Info or VBRI tag in a frame.

    Parameters
    ----------
    data : the whole file, or a memory map of it.
    offset : first byte of the frame.
    header : its header.

    Returns
    -------
    LengthTag, or None if the frame carries no tag.
    """
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
    """Return the position of a Xing or Info tag in its frame.

    Parameters
    ----------
    header : header of the frame.

    Returns
    -------
    int, in bytes.
    """
    return 4 + header.side_bytes + (2 if header.has_crc else 0)


def mode_byte(header: FrameHeader) -> bytes:
    """Return the fourth byte of a header: mono, or stereo.

    Parameters
    ----------
    header : header of a frame of the stream.

    Returns
    -------
    bytes, one.
    """
    return b"\xc0" if header.channels == 1 else b"\x00"


def blank_frame(header: FrameHeader) -> bytearray:
    """Make a frame of the stream's kind that decodes to silence: all its bits are zero.

    Parameters
    ----------
    header : header of a frame of the stream.

    Returns
    -------
    bytearray : the whole frame.
    """
    second = 0xE1 | header.version << 3 | header.layer << 1
    row = _RATES_HZ[header.version].index(header.sample_rate_hz)
    raw = bytes((0xFF, second, 9 << 4 | row << 2)) + mode_byte(header)
    parsed = parse_header(raw)
    frame = bytearray(parsed.size if parsed else 0)
    frame[:4] = raw
    return frame
