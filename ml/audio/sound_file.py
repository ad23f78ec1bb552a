"""An open sound file that yields its actual content, block by block.

Only the decoding child imports this module: libsndfile and the libraries it calls can crash on
a hostile file. Lengths stated by headers are checked against what is decoded. An MP3 without a
tag, with a wrong tag, truncated, or with junk between its frames is mended first
(`ml.audio.mp3_frames`); of any other damaged file the part before the damage is used.

Conventions
-----------
Positions and counts are in frames (one sample of every channel) at the rate of the file.
"""

from __future__ import annotations

import errno
import io
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

import numpy as np
import soundfile as sf

from ml.audio import mp3_frames
from ml.audio.sniffing import sniff
from ml.audio.types import DecodeLimits
from ml.errors import AudioError
from ml.types import FloatArray

_PLAIN = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
_PACKED = ("VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")
#: Samples (frames times channels) decoded at once.
_BLOCK_SAMPLES = 1 << 18
#: MPEG frames decoded before a position sought, in addition to the decoder's own four.
_WARM_UP_FRAMES = 8
#: Frames decoded at once next to a damaged place.
_SALVAGE_FRAMES = 1024
#: Difference between stated and real length from which a curator is told.
_LENGTH_TOLERANCE_S = 0.25


class _Stream(sf.SoundFile):
    """A SoundFile that continues to read at its position.

    After every read of a seekable file the base class seeks to the position it already has.
    For mpg123 that is a real seek: it drops the bit reservoir, and the first frames of every
    block of a low rate come out silent.
    """

    def seekable(self) -> bool:
        """Return False, so that reading never seeks; `seek` still works."""
        return False


class Sound:
    """An open file whose format was checked against the limits. Use it as a context manager.

    Parameters
    ----------
    path : the file.
    limits : what is accepted.

    Attributes
    ----------
    stated_frames : length to assume until decoding shows otherwise; None if the header states
        none, or one beyond the limit, which may be right or wrong.
    damaged_at : position of the first damage found while reading, None if none.
    notes : what a curator should know, one clause each.
    fd, status : descriptor and status of the file.
    sniffed : its container.
    audio_bytes : bytes of sound in it.

    Raises
    ------
    AudioError : the file cannot be opened or decoded, or exceeds the limits.
    """

    def __init__(self, path: str, limits: DecodeLimits) -> None:
        self.limits = limits
        self.notes: list[str] = []
        self.damaged_at: int | None = None
        self._is_mended = self._is_counted = self._has_failed = False
        self._lead = 0
        self.fd = _open_regular(path)
        try:
            self.status = os.fstat(self.fd)
            if self.status.st_size > limits.max_bytes:
                raise AudioError(f"larger than {limits.max_bytes // 1_000_000} MB")
            self._map: bytes | mmap.mmap = b""
            if self.status.st_size:
                self._map = mmap.mmap(self.fd, 0, access=mmap.ACCESS_READ)
            self.sniffed = sniff(self._map)
            self.audio_bytes = self.status.st_size - self.sniffed.offset
            self._stream: bytes | None = None
            self._file = self._opened()
            self._start()
        except BaseException:
            os.close(self.fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()
        os.close(self.fd)

    def _start(self) -> None:
        self._check_format()
        self.stated_frames = self._plausible(self._file.frames)
        start = self.sniffed.mp3
        if start and not mp3_frames.is_tag_plausible(start, self.status.st_size):
            self.mend()

    def _opened(self) -> _Stream:
        """Open the file, or its mended stream, at the beginning."""
        try:
            if self._stream is not None:
                return _Stream(io.BytesIO(self._stream))
            os.lseek(self.fd, self.sniffed.offset, os.SEEK_SET)
            return _Stream(os.dup(self.fd), closefd=True)
        except sf.LibsndfileError as error:
            name = self.sniffed.container
            raise AudioError(f"damaged: its {name} data cannot be decoded") from error

    def _check_format(self) -> None:
        sound, limits = self._file, self.limits
        if sound.subtype not in _PLAIN + _PACKED:
            raise AudioError(
                f"a format that audiotag does not read: {sound.format} with {sound.subtype}"
            )
        if not 1 <= sound.channels <= limits.max_channels:
            raise AudioError(
                f"it has {sound.channels} channels; audiotag reads up to {limits.max_channels}"
            )
        if not limits.min_rate_hz <= sound.samplerate <= limits.max_rate_hz:
            raise AudioError(
                f"a sample rate of {sound.samplerate} Hz; audiotag reads {limits.min_rate_hz} "
                f"to {limits.max_rate_hz} Hz"
            )

    @property
    def rate_hz(self) -> int:
        """Sample rate in Hz."""
        return int(self._file.samplerate)

    @property
    def max_frames(self) -> int:
        """Length limit in frames."""
        return int(self.limits.max_length_s * self.rate_hz)

    def format_fields(self) -> dict[str, Any]:
        """Return channels, container and subtype, as `Excerpt` and `Probe` name them.

        Returns
        -------
        dict
        """
        return {
            "channels": self._file.channels,
            "container": self.sniffed.container,
            "subtype": self._file.subtype,
        }

    def bit_rate(self, frames: int) -> int:
        """Return the bit rate for a number of frames.

        Parameters
        ----------
        frames : length of the track.

        Returns
        -------
        int, in bits per second; 0 for 0 frames.
        """
        return round(self.audio_bytes * 8 * self.rate_hz / frames) if frames else 0

    def _plausible(self, frames: int) -> int | None:
        return frames if 0 <= frames <= self.max_frames else None

    def mend(self) -> None:
        """Count the frames of an MP3; if its header is wrong, decode a mended stream.

        Raises
        ------
        AudioError : the track exceeds the length limit.
        """
        self._is_mended, self.damaged_at = True, None
        start = self.sniffed.mp3
        if start is None or start.header.layer != 1:
            return
        per_frame = start.header.samples_per_frame
        there = mp3_frames.scan_frames(self._map, start, self.max_frames // per_frame + 2)
        if not there.is_complete:
            raise self.too_long()
        stated = start.tag.frames if start.tag and start.tag.kind != "VBRI" else None
        if stated == there.frames and not there.junk_bytes:
            return
        self._note_mended(there, per_frame, stated)
        result = mp3_frames.mend(self._map, start, there)
        self._stream, self._lead = result.stream, result.lead_frames
        self.audio_bytes = sum(end - begin for begin, end in there.spans)
        self.reopen()
        self.stated_frames = max(0, self._file.frames - self._lead)

    def _note_mended(
        self, there: mp3_frames.FrameScan, per_frame: int, stated: int | None
    ) -> None:
        if there.junk_bytes:
            self.notes.append(
                f"damaged: {there.junk_bytes:,} bytes in the middle are not sound and were "
                "left out"
            )
        if stated is not None:
            self.note_length(stated * per_frame, there.frames * per_frame)

    def note_length(self, stated: int, real: int) -> None:
        """Add a note if a header is wrong by more than a curator would overlook.

        Parameters
        ----------
        stated, real : lengths in frames.
        """
        if abs(stated - real) > _LENGTH_TOLERANCE_S * self.rate_hz:
            self.notes.append(
                f"the file states a length of {stated / self.rate_hz:.1f} s, but "
                f"{real / self.rate_hz:.1f} s are there"
            )

    def too_long(self) -> AudioError:
        """Make the error for a track that exceeds the length limit.

        Returns
        -------
        AudioError
        """
        return AudioError(f"longer than {self.limits.max_length_s / 60:g} minutes")

    def reopen(self) -> None:
        """Start again at the first frame, even after the decoder has failed."""
        self._file.close()
        self._file = self._opened()
        self._has_failed = False

    def measure(self) -> bool:
        """Determine the real length by the next method, and set `stated_frames`.

        An MP3 is mended first; after that, and for other files, all frames are decoded and
        counted.

        Returns
        -------
        bool; False when all methods have been used.

        Raises
        ------
        AudioError : the track exceeds the length limit.
        """
        if not self._is_mended and self.sniffed.mp3 is not None:
            self.mend()
            return True
        if self._is_counted:
            return False
        self._is_counted = True
        stated = self.stated_frames
        self.stated_frames = self.count()
        if stated is not None and self.damaged_at is None:
            self.note_length(stated, self.stated_frames)
        return True

    def count(self) -> int:
        """Decode everything and count the frames.

        Returns
        -------
        int

        Raises
        ------
        AudioError : the track exceeds the length limit.
        """
        total = sum(len(block) for block in self.blocks(0, self.max_frames + 1))
        if total > self.max_frames:
            raise self.too_long()
        return total

    def blocks(self, start: int, count: int) -> Iterator[FloatArray]:
        """Yield up to `count` frames from `start` on.

        Ends early where the file ends or is damaged.

        Parameters
        ----------
        start : position of the first frame.
        count : number of frames.

        Yields
        ------
        float32 array (n, channels), reused for the next block.
        """
        if self._has_failed:
            self.reopen()
        if not self._seek(start + self._lead):
            return
        channels = self._file.channels
        buffer = np.empty((_BLOCK_SAMPLES // channels, channels), np.float32)
        done = 0
        while done < count:
            part = buffer[: min(len(buffer), count - done)]
            try:
                block = self._file.read(out=part)
            except sf.LibsndfileError:
                yield from self._salvaged(start + done, part)
                return
            if not len(block):
                return
            yield block
            done += len(block)

    def _salvaged(self, position: int, buffer: FloatArray) -> Iterator[FloatArray]:
        """Read the block before damage again, in small steps, as far as possible."""
        self.reopen()
        with suppress(sf.LibsndfileError):
            if self._seek(position + self._lead):
                for at in range(0, len(buffer), _SALVAGE_FRAMES):
                    block = self._file.read(out=buffer[at : at + _SALVAGE_FRAMES])
                    if not len(block):
                        break
                    yield block
                    position += len(block)
        self.damaged_at = position
        self._has_failed = True

    def _seek(self, frames: int) -> bool:
        """Go to a position; if the file cannot seek there, by decoding up to it.

        In an MP3 it starts a little earlier: mpg123 warms up for four frames, but the first
        frames of a low rate need bits of up to nine frames before them and come out silent.
        """
        warm_up = 0
        if self.sniffed.mp3 is not None:
            warm_up = min(frames, _WARM_UP_FRAMES * self.sniffed.mp3.header.samples_per_frame)
        with suppress(sf.LibsndfileError):
            if self._file.seek(frames - warm_up) == frames - warm_up:
                return self._skip(warm_up)
        self.reopen()
        return self._skip(frames)

    def _skip(self, frames: int) -> bool:
        """Decode and drop so many frames; return False if the file ends or fails first."""
        channels = self._file.channels
        skipped = np.empty((min(frames, _BLOCK_SAMPLES // channels), channels), np.float32)
        with suppress(sf.LibsndfileError):
            while frames > 0:
                got = len(self._file.read(out=skipped[:frames]))
                if not got:
                    break
                frames -= got
        return frames == 0


def _open_regular(path: str) -> int:
    """Open a regular file for reading; never waits, refuses devices and pipes."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        code = getattr(error, "errno", None)
        if code in (errno.ENOENT, errno.ENOTDIR):
            raise AudioError("the file is not there", kind="missing") from error
        reason = os.strerror(code) if code else "not a possible file name"
        raise AudioError(f"the file cannot be opened: {reason}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise AudioError("not a file: a folder, a device or a pipe")
    return fd
