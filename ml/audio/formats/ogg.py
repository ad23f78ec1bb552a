"""Ogg files: the links of a chain, what each holds, and the FLAC stream inside one.

An Ogg file may be several complete files one after the other (a recorded radio stream, files
that were joined). libsndfile and some players know only the first of these links.

Sources: RFC 3533 (pages, section 6; chaining, section 4), the Ogg mappings of Vorbis, Opus
(RFC 7845), FLAC (RFC 9639, section 10.1), Speex and Theora.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ml.audio.formats.tags import FileBytes

_FIRST_PAGE = b"OggS\x00\x02"
_HEAD_BYTES = 27
#: (first bytes of the first packet, codec).
_CODECS = (
    (b"\x01vorbis", "Vorbis"),
    (b"OpusHead", "Opus"),
    (b"\x7fFLAC", "FLAC"),
    (b"Speex   ", "Speex"),
    (b"\x80theora", "Theora video"),
    (b"fishead\x00", "Skeleton"),
    (b"CELT    ", "CELT"),
    (b"PCM     ", "PCM"),
    (b"\x80kate", "Kate text"),
    (b"BBCD\x00", "Dirac video"),
    (b"\x01video\x00", "OGM video"),
    (b"\x01audio\x00", "OGM audio"),
)
_READABLE = ("Vorbis", "Opus", "FLAC")


@dataclass(frozen=True)
class OggLink:
    """One link of a chain: logical streams that run side by side.

    Attributes
    ----------
    begin, end : first byte, and the byte after the last.
    codecs : what its streams hold, by name; "unknown" for a codec that is not known.
    serials : serial number of each stream.
    """

    begin: int
    end: int
    codecs: tuple[str, ...]
    serials: tuple[int, ...]

    @property
    def sound(self) -> str | None:
        """Codec of its first stream of sound that can be read, None without any."""
        return next((codec for codec in self.codecs if codec in _READABLE), None)

    @property
    def other(self) -> str:
        """Codec that names a link without readable sound."""
        named = [codec for codec in self.codecs if codec not in ("Skeleton", "unknown")]
        return named[0] if named else "an unknown codec"


@dataclass(frozen=True)
class _Page:
    begin: int
    body: int
    end: int
    serial: int
    lacing: bytes
    is_continued: bool


def ogg_links(data: FileBytes, begin: int) -> list[OggLink]:
    """Find the links of an Ogg file; usually it is one.

    Parameters
    ----------
    data : the whole file, or a memory map of it.
    begin : byte at which the first page starts.

    Returns
    -------
    list of OggLink, in order; empty if no first page has a known codec.
    """
    groups: list[list[tuple[_Page, str]]] = []
    at = data.find(_FIRST_PAGE, begin)
    while at >= 0:
        page = _page_at(data, at)
        codec = _codec(data, page) if page else "unknown"
        is_beside = bool(groups) and groups[-1][-1][0].end == at
        if page and is_beside:
            groups[-1].append((page, codec))
        elif page and codec != "unknown":
            groups.append([(page, codec)])
        at = data.find(_FIRST_PAGE, at + 4)
    ends = [group[0][0].begin for group in groups[1:]] + [len(data)]
    return [
        OggLink(
            group[0][0].begin,
            end,
            tuple(codec for _, codec in group),
            tuple(page.serial for page, _ in group),
        )
        for group, end in zip(groups, ends, strict=True)
    ]


def _codec(data: FileBytes, page: _Page) -> str:
    head = data[page.body : min(page.body + 8, page.end)]
    return next((name for magic, name in _CODECS if head.startswith(magic)), "unknown")


def _page_at(data: FileBytes, at: int) -> _Page | None:
    head = data[at : at + _HEAD_BYTES]
    if len(head) < _HEAD_BYTES or head[:5] != b"OggS\x00":
        return None
    body = at + _HEAD_BYTES + head[26]
    lacing = data[at + _HEAD_BYTES : body]
    serial = int.from_bytes(head[14:18], "little")
    return _Page(at, body, body + sum(lacing), serial, lacing, bool(head[5] & 1))


def flac_of_link(data: FileBytes, link: OggLink) -> bytes:
    """Take the FLAC stream out of a link: the same frames without the pages.

    Parameters
    ----------
    data : the whole file, or a memory map of it.
    link : a link with FLAC.

    Returns
    -------
    bytes of a FLAC file; a packet that a damaged place cuts is left out.
    """
    serial = link.serials[link.codecs.index("FLAC")]
    packets = _packets(data, link, serial)
    first = next(packets, b"")
    # The first packet has 9 bytes of the mapping in front of "fLaC".
    return b"".join([first[9:], *packets])


def stream_of_link(data: FileBytes, link: OggLink) -> bytes:
    """Take the first stream of readable sound out of a link of several streams.

    Parameters
    ----------
    data : the whole file, or a memory map of it.
    link : a link with sound.

    Returns
    -------
    bytes of an Ogg file with this stream alone.
    """
    serial = link.serials[link.codecs.index(link.sound or "")]
    pages = (page for page in _pages(data, link) if page.serial == serial)
    return b"".join(data[page.begin : page.end] for page in pages)


def _packets(data: FileBytes, link: OggLink, serial: int) -> Iterator[bytes]:
    parts: list[bytes] = []
    for page in _pages(data, link):
        if page.serial != serial:
            continue
        if not page.is_continued:
            parts = []
        at = size = 0
        body = data[page.body : page.end]
        for value in page.lacing:
            size += value
            if value < 255:
                yield b"".join([*parts, body[at : at + size]])
                parts, at, size = [], at + size, 0
        if size:
            parts.append(body[at:])


def _pages(data: FileBytes, link: OggLink) -> Iterator[_Page]:
    at = link.begin
    while 0 <= at < link.end:
        page = _page_at(data, at)
        if page is not None and page.end <= link.end:
            yield page
            at = page.end
        if page is None or page.end > link.end or data[at : at + 4] != b"OggS":
            at = data.find(b"OggS\x00", at + 1, link.end)
