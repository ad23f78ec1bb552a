"""The parts of a file, and what its headers say wrongly: one answer for probe and features.

Headers are compared with the structure of the file, without decoding. A file that is as its
header says is one part, read as it is. Anything else becomes parts with mended headers, so that
all of the sound is decoded and its length is known:

- links of a chained Ogg file, and joined MP3, FLAC or WAV files, one part each;
- a FLAC or MP3 file whose header states another length than its frames have;
- a WAV file that states no length or too little, RF64 and BW64;
- FLAC inside Ogg, and FLAC with tags behind it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from ml.audio import mp3_frames
from ml.audio.formats.flac import FlacStream, flac_streams
from ml.audio.formats.ogg import OggLink, flac_of_link, ogg_links, stream_of_link
from ml.audio.formats.tags import FileBytes
from ml.audio.formats.wav import wav_sounds
from ml.audio.parts import SoundPart
from ml.audio.sniffing import Sniffed
from ml.audio.types import DecodeLimits
from ml.errors import AudioError

#: Difference between stated and real length from which a curator is told.
_LENGTH_TOLERANCE_S = 0.25
#: An MPEG stream of fewer frames is too short to mend; the decoder says what is wrong with it.
_LEAST_FRAMES = 3
#: Joined recordings that are read; the rest of a file with more is left out.
_MOST_PARTS = 1_000


@dataclass
class Layout:
    """Parts of a file.

    Attributes
    ----------
    parts : in order; one that is the file itself for a file that is as its header says.
    notes : what a curator should know, one clause each.
    sound_bytes : bytes of sound.
    plays_short : other players, such as browsers, end before the end of the sound.
    """

    parts: list[SoundPart]
    sound_bytes: int
    notes: list[str] = field(default_factory=list)
    plays_short: bool = False

    def note_length(self, stated: float, real: float) -> None:
        """Add a note if a header is wrong by more than a curator would overlook.

        Parameters
        ----------
        stated, real : lengths in seconds.
        """
        if abs(stated - real) > _LENGTH_TOLERANCE_S:
            self.notes.append(
                f"the file states a length of {stated:.1f} s, but {real:.1f} s are there"
            )

    def note_parts(self) -> None:
        """Add a note if recordings are joined, and leave out what exceeds their limit."""
        if len(self.parts) > _MOST_PARTS:
            del self.parts[_MOST_PARTS:]
            self.notes.append(
                f"over {_MOST_PARTS:,} recordings are joined in the file; the rest was left out"
            )
        elif len(self.parts) > 1:
            self.notes.append(f"{len(self.parts)} recordings are joined in the file")


def layout_of(data: FileBytes, sniffed: Sniffed, limits: DecodeLimits) -> Layout:
    """Find the parts of a file.

    Parameters
    ----------
    data : the whole file, or a memory map of it.
    sniffed : its container.
    limits : what is accepted.

    Returns
    -------
    Layout

    Raises
    ------
    AudioError : nothing in it can be read; or it exceeds the length limit.
    """
    if sniffed.mp3 is not None:
        if mp3_frames.is_tag_true(data, sniffed.mp3):
            return as_it_is(data, sniffed)
        return mended_mp3(data, sniffed, limits)
    if sniffed.container == "FLAC":
        return _flac_layout(data, sniffed)
    if sniffed.container == "OGG":
        return _ogg_layout(data, sniffed)
    if sniffed.container == "WAV":
        return _wav_layout(data, sniffed)
    return as_it_is(data, sniffed)


def as_it_is(data: FileBytes, sniffed: Sniffed) -> Layout:
    """Return the layout of a file that is decoded as it is.

    Parameters
    ----------
    data : the whole file, or a memory map of it.
    sniffed : its container.

    Returns
    -------
    Layout
    """
    samples = sniffed.mp3.header.samples_per_frame if sniffed.mp3 else 0
    # With a start behind tags libsndfile reads MP3 rightly, but neither Ogg nor RF64.
    is_file = not sniffed.offset or sniffed.mp3 is not None
    part = SoundPart(begin=sniffed.offset, end=len(data), is_file=is_file, mpeg_samples=samples)
    return Layout([part], len(data) - sniffed.offset)


def mended_mp3(data: FileBytes, sniffed: Sniffed, limits: DecodeLimits) -> Layout:
    """Count the frames of an MP3; where its header is wrong, use mended streams.

    Parameters
    ----------
    data : the whole file, or a memory map of it.
    sniffed : its container, with the start of the MPEG stream.
    limits : what is accepted.

    Returns
    -------
    Layout

    Raises
    ------
    AudioError : the track exceeds the length limit.
    """
    layout = as_it_is(data, sniffed)
    start = sniffed.mp3
    if start is None:
        return layout
    streams = []
    found = mp3_frames.scan_parts(data, start, limits.max_length_s)
    for part, there in itertools.islice(found, _MOST_PARTS + 1):
        if not there.is_complete:
            raise too_long(limits)
        streams.append((part, there))
    is_layer_3 = start.header.layer == 1
    stated = start.tag.frames if start.tag and start.tag.kind != "VBRI" else None
    first = streams[0][1]
    is_right = not is_layer_3 or (stated == first.frames and not first.junk_bytes)
    is_one = len(streams) == 1
    if is_one and (is_right or first.frames < _LEAST_FRAMES):
        return layout
    layout.parts = [_mp3_part(data, part, there) for part, there in streams]
    layout.sound_bytes = sum(end - begin for _, there in streams for begin, end in there.spans)
    junk = sum(there.junk_bytes for _, there in streams)
    if junk:
        layout.notes.append(
            f"damaged: {junk:,} bytes in the middle are not sound and were left out"
        )
    if stated is not None and is_layer_3:
        frame_s = start.header.samples_per_frame / start.header.sample_rate_hz
        layout.note_length(stated * frame_s, first.frames * frame_s)
    layout.note_parts()
    return layout


def _mp3_part(
    data: FileBytes, start: mp3_frames.Mp3Start, there: mp3_frames.FrameScan
) -> SoundPart:
    samples = start.header.samples_per_frame
    if start.header.layer != 1:  # other layers carry no tag
        stream = b"".join(bytes(data[begin:end]) for begin, end in there.spans)
        return SoundPart(head=stream, mpeg_samples=samples)
    mended = mp3_frames.mend(data, start, there)
    return SoundPart(head=mended.stream, lead=mended.lead_frames, mpeg_samples=samples)


def too_long(limits: DecodeLimits) -> AudioError:
    """Make the error for a track that exceeds the length limit.

    Parameters
    ----------
    limits : what is accepted.

    Returns
    -------
    AudioError
    """
    return AudioError(f"longer than {limits.max_length_s / 60:g} minutes")


def _flac_layout(data: FileBytes, sniffed: Sniffed) -> Layout:
    layout = as_it_is(data, sniffed)
    streams = flac_streams(data, sniffed.offset)
    if len(streams) == 1 and _is_flac_right(streams[0], len(data)):
        return layout
    layout.parts = [_flac_part(data, stream) for stream in streams]
    layout.sound_bytes = sum(stream.end - stream.begin for stream in streams)
    layout.plays_short = len(streams) > 1
    _note_flac(layout, streams)
    layout.note_parts()
    return layout


def _is_flac_right(stream: FlacStream, file_bytes: int) -> bool:
    if stream.frames is None:  # unknown: decoding will tell
        return True
    return stream.frames == stream.stated_frames and stream.end == file_bytes


def _flac_part(data: FileBytes, stream: FlacStream) -> SoundPart:
    if stream.frames is None:
        return SoundPart(begin=stream.begin, end=stream.end)
    head = stream.head(data)
    is_cut = stream.frames < stream.stated_frames
    return SoundPart(head, stream.begin + len(head), stream.end, is_cut=is_cut)


def _note_flac(layout: Layout, streams: list[FlacStream]) -> None:
    """Note what headers state too low; what they state too high is a part that is cut."""
    for stream in streams:
        if stream.frames is not None and 0 < stream.stated_frames < stream.frames:
            rate_hz = stream.rate_hz
            layout.note_length(stream.stated_frames / rate_hz, stream.frames / rate_hz)


def _ogg_layout(data: FileBytes, sniffed: Sniffed) -> Layout:
    layout = as_it_is(data, sniffed)
    links = ogg_links(data, sniffed.offset)
    if not links:
        return layout
    heard = [link for link in links if link.sound]
    lost = sorted({link.other for link in links if not link.sound})
    if not heard:
        raise AudioError(f"a format that audiotag does not read: OGG with {lost[0]}")
    if len(links) == 1 and links[0].codecs[0] in ("Vorbis", "Opus"):
        return layout
    layout.parts = []
    for link in heard:
        layout.parts += _ogg_parts(data, link, layout)
    layout.sound_bytes = sum(link.end - link.begin for link in heard)
    layout.notes += [f"a part in OGG with {name} was left out" for name in lost]
    layout.note_parts()
    return layout


def _ogg_parts(data: FileBytes, link: OggLink, layout: Layout) -> list[SoundPart]:
    if link.sound != "FLAC":
        if link.codecs[0] == link.sound:
            return [SoundPart(begin=link.begin, end=link.end)]
        return [SoundPart(head=stream_of_link(data, link))]
    stream = flac_of_link(data, link)
    found = flac_streams(stream, 0)
    _note_flac(layout, found)
    return [
        SoundPart(head=part.head + stream[part.begin : part.end], is_cut=part.is_cut)
        for part in (_flac_part(stream, one) for one in found)
    ]


def _wav_layout(data: FileBytes, sniffed: Sniffed) -> Layout:
    layout = as_it_is(data, sniffed)
    sounds = wav_sounds(data, sniffed.offset)
    if not sounds or (len(sounds) == 1 and sounds[0].is_regular):
        return layout
    layout.parts = [SoundPart(sound.head, sound.begin, sound.end) for sound in sounds]
    layout.sound_bytes = sum(sound.end - sound.begin for sound in sounds)
    layout.plays_short = len(sounds) > 1
    for sound in sounds:
        size = sound.end - sound.begin
        if sound.stated_bytes is None:
            layout.notes.append("the file states no length: its sound ends with the file")
        elif sound.bytes_per_s and sound.stated_bytes < size:
            layout.plays_short = True
            rate = sound.bytes_per_s
            layout.note_length(sound.stated_bytes / rate, size / rate)
    layout.note_parts()
    return layout
