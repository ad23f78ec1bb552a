"""An open sound file that yields its actual content, block by block.

Only the decoding child imports this module. `ml.audio.layout` finds the parts of the file and
mends headers; this module joins the parts into one track. Lengths are checked against what is
decoded; of a damaged part what comes before the damage is used.

Conventions
-----------
Positions and counts are in frames (one sample of every channel) at `Sound.rate_hz`, the highest
rate of all parts. A part of fewer channels repeats them.
"""

from __future__ import annotations

import errno
import itertools
import mmap
import os
import stat
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from ml.audio.layout import as_it_is, layout_of, mended_mp3, too_long
from ml.audio.parts import PartReader
from ml.audio.playing import unplayable_reason
from ml.audio.scaling import scale_of
from ml.audio.sniffing import sniff
from ml.audio.types import DecodeLimits
from ml.errors import AudioError
from ml.types import FloatArray

_PLAIN = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
_PACKED = ("VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")
#: Frames of a part decoded before a position sought, when its rate is converted.
_RESAMPLER_FRAMES = 2_048


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
    notes : what a curator should know, one clause each.
    rate_hz, channels : format of the track.
    fd, status : descriptor and status of the file.
    sniffed : its container.

    Raises
    ------
    AudioError : the file cannot be opened or decoded, or exceeds the limits.
    """

    def __init__(self, path: str, limits: DecodeLimits) -> None:
        self.limits = limits
        self._parts: list[PartReader] = []
        self._is_mended = self._is_counted = False
        self.fd = _open_regular(path)
        try:
            self.status = os.fstat(self.fd)
            if self.status.st_size > limits.max_bytes:
                raise AudioError(f"larger than {limits.max_bytes // 1_000_000} MB")
            self._map: bytes | mmap.mmap = b""
            if self.status.st_size:
                self._map = mmap.mmap(self.fd, 0, access=mmap.ACCESS_READ)
            self.sniffed = sniff(self._map)
            self._layout = layout_of(self._map, self.sniffed, limits)
            self._read_parts()
        except BaseException:
            os.close(self.fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for part in self._parts:
            part.close()
        os.close(self.fd)

    @property
    def notes(self) -> list[str]:
        """Notes for a curator, one clause each."""
        return self._layout.notes

    def _read_parts(self) -> None:
        """Open each part of the layout and check its format; of several none stays open."""
        for old in self._parts:
            old.close()
        self._parts = []
        for part in self._layout.parts:
            reader = PartReader(self.fd, self._map, part, self.sniffed.container)
            self._check_format(reader)
            self._parts.append(reader)
            scale = scale_of(reader)
            if scale is not None:
                reader.scale = np.float32(scale.factor)
                self.notes.append(scale.note)
            if len(self._layout.parts) > 1:
                reader.close()
        self.rate_hz = max(part.rate_hz for part in self._parts)
        self.channels = max(part.channels for part in self._parts)
        self._note_formats()
        self.stated_frames = self._plausible(sum(map(self._length_of, self._parts)))

    def _check_format(self, part: PartReader) -> None:
        limits = self.limits
        if part.subtype not in _PLAIN + _PACKED:
            raise AudioError(
                f"a format that audiotag does not read: {part.kind} with {part.subtype}"
            )
        if not 1 <= part.channels <= limits.max_channels:
            raise AudioError(
                f"it has {part.channels} channels; audiotag reads up to {limits.max_channels}"
            )
        if not limits.min_rate_hz <= part.rate_hz <= limits.max_rate_hz:
            raise AudioError(
                f"a sample rate of {part.rate_hz} Hz; audiotag reads {limits.min_rate_hz} "
                f"to {limits.max_rate_hz} Hz"
            )

    def _note_formats(self) -> None:
        rates = sorted({part.rate_hz for part in self._parts})
        counts = sorted({part.channels for part in self._parts})
        if len(rates) > 1:
            listed = " and ".join(f"{rate:,} Hz" for rate in rates)
            self.notes.append(f"their sample rates differ: {listed}")
        if len(counts) > 1:
            listed = " and ".join(str(count) for count in counts)
            self.notes.append(f"their numbers of channels differ: {listed}")

    @property
    def max_frames(self) -> int:
        """Length limit in frames."""
        return int(self.limits.max_length_s * self.rate_hz)

    @property
    def damaged_at(self) -> int | None:
        """Position of the first damage found while reading, None if none."""
        before = 0
        for part in self._parts:
            if part.damaged_at is not None:
                return before + self._converted(part, part.damaged_at)
            before += self._length_of(part)
        return None

    def format_fields(self) -> dict[str, Any]:
        """Return channels, container and subtype, as `Excerpt` and `Probe` name them.

        Returns
        -------
        dict
        """
        return {
            "channels": self.channels,
            "container": self.sniffed.container,
            "subtype": self._parts[0].subtype,
        }

    def unplayable(self) -> str | None:
        """Say why browsers cannot play the file.

        Returns
        -------
        str, the reason; None if they can play it.
        """
        subtype = self._parts[0].subtype
        return unplayable_reason(self._map, self.sniffed, subtype, self._layout.plays_short)

    def bit_rate(self, frames: int) -> int:
        """Return the bit rate for a number of frames.

        Parameters
        ----------
        frames : length of the track.

        Returns
        -------
        int, in bits per second; 0 for 0 frames.
        """
        size = self._layout.sound_bytes
        return round(size * 8 * self.rate_hz / frames) if frames else 0

    def _plausible(self, frames: int) -> int | None:
        return frames if 0 <= frames <= self.max_frames else None

    def _converted(self, part: PartReader, frames: int) -> int:
        """Convert a count at the rate of a part."""
        return round(frames * self.rate_hz / part.rate_hz)

    def _length_of(self, part: PartReader) -> int:
        return self._converted(part, part.frames)

    def note_length(self, stated: int, real: int) -> None:
        """Add a note if a header is wrong by more than a curator would overlook.

        Parameters
        ----------
        stated, real : lengths in frames.
        """
        self._layout.note_length(stated / self.rate_hz, real / self.rate_hz)

    def too_long(self) -> AudioError:
        """Make the error for a track that exceeds the length limit.

        Returns
        -------
        AudioError
        """
        return too_long(self.limits)

    def measure(self) -> bool:
        """Determine the real length by the next method, and set `stated_frames`.

        An MP3 that was taken as it is gets mended first; after that, and for other files, all
        frames are decoded and counted.

        Returns
        -------
        bool; False when all methods have been used.

        Raises
        ------
        AudioError : the track exceeds the length limit.
        """
        is_as_it_is = self._layout.parts == as_it_is(self._map, self.sniffed).parts
        if self.sniffed.mp3 is not None and is_as_it_is and not self._is_mended:
            self._is_mended = True
            self._layout = mended_mp3(self._map, self.sniffed, self.limits)
            self._read_parts()
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
        """Decode everything and count the frames of each part.

        Returns
        -------
        int

        Raises
        ------
        AudioError : the track exceeds the length limit.
        """
        total = 0
        for part in self._parts:
            left = self.max_frames - total
            most = left * part.rate_hz // self.rate_hz + 1
            part.frames = sum(len(block) for block in part.blocks(0, most))
            self._leave(part)
            total += self._length_of(part)
            if total > self.max_frames:
                raise self.too_long()
        return total

    def blocks(self, start: int, count: int) -> Iterator[FloatArray]:
        """Yield up to `count` frames from `start` on.

        Ends early where the file ends, or where a part is shorter than assumed.

        Parameters
        ----------
        start : position of the first frame.
        count : number of frames.

        Yields
        ------
        float32 array (n, channels), reused for the next block.
        """
        if len(self._parts) == 1:
            yield from self._parts[0].blocks(start, count)
            return
        before = 0
        for part in self._parts:
            length = self._length_of(part)
            first = max(0, start - before)
            wanted = min(length - first, count)
            if wanted > 0:
                got = 0
                for block in self._unified(part, first, wanted):
                    got += len(block)
                    yield block
                self._leave(part)
                if got < wanted:
                    return
                count -= got
            before += length

    def all_blocks(self) -> Iterator[FloatArray]:
        """Yield all frames that there are, up to one more than the length limit.

        Yields
        ------
        float32 array (n, channels), reused for the next block.
        """
        left = self.max_frames + 1
        if len(self._parts) == 1:
            yield from self._parts[0].blocks(0, left)
            return
        for part in self._parts:
            for block in self._unified(part, 0, left):
                left -= len(block)
                yield block
            self._leave(part)

    def _leave(self, part: PartReader) -> None:
        if len(self._parts) > 1:
            part.close()

    def _unified(self, part: PartReader, first: int, wanted: int) -> Iterator[FloatArray]:
        """Yield frames of a part with the rate and the channels of the track."""
        blocks = (
            part.blocks(first, wanted)
            if part.rate_hz == self.rate_hz
            else self._resampled(part, first, wanted)
        )
        for block in blocks:
            if part.channels < self.channels:
                yield block[:, np.arange(self.channels) % part.channels]
            else:
                yield block

    def _resampled(self, part: PartReader, first: int, wanted: int) -> Iterator[FloatArray]:
        import soxr  # loaded only for the few files that need it

        begin = max(0, first * part.rate_hz // self.rate_hz - _RESAMPLER_FRAMES)
        surplus = first - self._converted(part, begin)
        stream = soxr.ResampleStream(
            part.rate_hz, self.rate_hz, part.channels, dtype="float32", quality="HQ"
        )
        left = min(wanted, self._length_of(part) - first)
        for block in itertools.chain(part.blocks(begin, part.frames - begin), [None]):
            if block is None:
                empty = np.zeros((0, part.channels), np.float32)
                out = stream.resample_chunk(empty, last=True)
            else:
                out = stream.resample_chunk(block)
            dropped = min(surplus, len(out))
            surplus -= dropped
            out = out[dropped : dropped + left]
            left -= len(out)
            if len(out):
                yield out
            if not left:
                return


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
