"""Tags and padding around sound: ID3v1, ID3v2, APEv2, Lyrics3, and zeros.

Sources: id3.org (ID3v2.4 structure, section 3; ID3v1 and Lyrics3 v2 descriptions), the APEv2
specification of Hydrogenaudio.
"""

from __future__ import annotations

import mmap
import re
import struct

#: A file in memory, or a memory map of it.
FileBytes = bytes | mmap.mmap

_NOT_ZERO = re.compile(rb"[^\0]")
_APE_BYTES = 32
_ID3V1_BYTES = 128
#: Flag of an APEv2 tag: it has a header in addition to its footer.
_HAS_HEADER = 1 << 31


def id3_size(data: FileBytes, offset: int = 0) -> int:
    """Return the size of an ID3v2 tag.

    Parameters
    ----------
    data : the whole file, or a memory map of it.
    offset : byte at which the tag would start.

    Returns
    -------
    int, in bytes; 0 if there is no tag.

    Examples
    --------
    >>> id3_size(b"ID3" + bytes([4, 0, 0, 0, 0, 1, 2]) + bytes(130))
    140
    """
    head = data[offset : offset + 10]
    if len(head) < 10 or head[:3] != b"ID3" or any(byte & 0x80 for byte in head[6:10]):
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return size + (20 if head[5] & 0x10 else 10)


def skip_id3(data: FileBytes) -> int:
    """Return the first byte after all leading ID3v2 tags.

    Parameters
    ----------
    data : the whole file, or a memory map of it.

    Returns
    -------
    int; of a truncated tag only the first 10 bytes are skipped.
    """
    return _skip_tags(data, 0)


def skip_leading(data: FileBytes) -> int:
    """Return the first byte after all leading tags and zeros, however long they are.

    Parameters
    ----------
    data : the whole file, or a memory map of it.

    Returns
    -------
    int; 0 if the file holds nothing but zeros.

    Examples
    --------
    >>> skip_leading(bytes(3_000_000) + b"fLaC")
    3000000
    """
    at, before = 0, -1
    while at != before:
        before = at
        at = _skip_tags(data, at)
        found = _NOT_ZERO.search(data, at)
        at = found.start() if found else at
    return at


def _skip_tags(data: FileBytes, offset: int) -> int:
    """Return the first byte after the ID3v2 and APEv2 tags that start at `offset`."""
    while size := id3_size(data, offset) or _ape_size_at(data, offset):
        if offset + size >= len(data):
            return offset + 10
        offset += size
    return offset


def _ape_size_at(data: FileBytes, offset: int) -> int:
    """Return the size of an APEv2 tag whose header is at `offset`, 0 without one."""
    head = data[offset : offset + _APE_BYTES]
    if len(head) < _APE_BYTES or head[:8] != b"APETAGEX":
        return 0
    return _APE_BYTES + int(struct.unpack("<I", head[12:16])[0])


def sound_end(data: FileBytes, begin: int = 0, end: int | None = None) -> int:
    """Return the byte after the sound, where trailing tags begin.

    Parameters
    ----------
    data : the whole file, or a memory map of it.
    begin : first byte of the sound; the end is not before it.
    end : the byte after the last tag; None: the size of the file.

    Returns
    -------
    int : `end` if no tag ends there.

    Examples
    --------
    >>> sound_end(bytes(500) + b"TAG" + bytes(125))
    500
    """
    end, before = len(data) if end is None else end, -1
    while end != before:
        before = end
        end = max(begin, end - _trailing_size(data, end))
    return end


def _trailing_size(data: FileBytes, end: int) -> int:
    """Return the size of the tag that ends at `end`, 0 without one."""
    if end >= _ID3V1_BYTES and data[end - 128 : end - 125] == b"TAG":
        return 128 + (227 if end >= 355 and data[end - 355 : end - 351] == b"TAG+" else 0)
    foot = data[max(0, end - _APE_BYTES) : end]
    if len(foot) == _APE_BYTES and foot[:8] == b"APETAGEX":
        size, _, flags = struct.unpack("<III", foot[12:24])
        return int(size) + (_APE_BYTES if flags & _HAS_HEADER else 0)
    if foot[-9:] == b"LYRICS200" and foot[-15:-9].isdigit():
        return int(foot[-15:-9]) + 15
    if foot[-10:-7] == b"3DI":
        size = id3_size(b"ID3" + foot[-7:])
        return size if id3_size(data, end - size) == size else 0
    return 0
