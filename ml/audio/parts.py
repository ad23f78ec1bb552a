"""Parts of a sound file: bytes that libsndfile can decode in one go.

Only the decoding child imports this module: libsndfile and the libraries it calls can crash on
a hostile file. Most files are one part, which is decoded as it is; `ml.audio.layout` says which
parts the others have.

Conventions
-----------
Positions and counts are in frames (one sample of every channel) at the rate of the part.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile as sf

from ml.audio.formats.tags import FileBytes
from ml.errors import AudioError
from ml.types import FloatArray

#: Samples (frames times channels) decoded at once.
BLOCK_SAMPLES = 1 << 18
#: MPEG frames decoded before a position sought, in addition to the decoder's own four.
_WARM_UP_FRAMES = 8
#: Frames decoded at once next to a damaged place.
_SALVAGE_FRAMES = 1024


@dataclass(frozen=True)
class SoundPart:
    """Bytes of a file that are one stream for a decoder.

    Attributes
    ----------
    head : bytes that are put in front: a mended header, or a whole mended stream.
    begin, end : first byte of the rest, and the byte after the last.
    is_file : the file itself is read from `begin` on; `head` and `end` do not matter.
    lead : frames before the sound begins.
    mpeg_samples : samples in an MPEG frame, 0 for other formats.
    is_cut : the end of the sound is missing.
    """

    head: bytes = b""
    begin: int = 0
    end: int = 0
    is_file: bool = False
    lead: int = 0
    mpeg_samples: int = 0
    is_cut: bool = False


class FileView(io.RawIOBase):
    """A readable file of some bytes and a range of another file, without a copy of the range.

    Parameters
    ----------
    data : the whole file, or a memory map of it.
    head : bytes that come first.
    begin, end : the range that follows.
    """

    def __init__(self, data: FileBytes, head: bytes, begin: int, end: int) -> None:
        super().__init__()
        self._data, self._head, self._begin = data, head, begin
        self._size = len(head) + max(0, end - begin)
        self._at = 0

    def seekable(self) -> bool:
        """Say that `seek` works.

        Returns
        -------
        bool, always True.
        """
        return True

    def readable(self) -> bool:
        """Say that reading works.

        Returns
        -------
        bool, always True.
        """
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, as in `io.IOBase.seek`.

        Parameters
        ----------
        offset, whence : as in `io.IOBase.seek`.

        Returns
        -------
        int, the new position.
        """
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Return the position.

        Returns
        -------
        int
        """
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, as in `io.RawIOBase.readinto`.

        Parameters
        ----------
        buffer : writable.

        Returns
        -------
        int, bytes read; 0 at the end.
        """
        target = memoryview(buffer).cast("B")
        done = 0
        count = max(0, min(len(target), self._size - self._at))
        if self._at < len(self._head):
            some = self._head[self._at : self._at + count]
            target[: len(some)] = some
            done = len(some)
        if done < count:
            at = self._begin + self._at + done - len(self._head)
            target[done:count] = self._data[at : at + count - done]
        self._at += count
        return count


class _Stream(sf.SoundFile):
    """A SoundFile that continues to read at its position.

    After every read of a seekable file the base class seeks to the position it already has.
    For mpg123 that is a real seek: it drops the bit reservoir, and the first frames of every
    block of a low rate come out silent.
    """

    def seekable(self) -> bool:
        """Return False, so that reading never seeks; `seek` still works."""
        return False


class PartReader:
    """Decodes one part, block by block, as far as it is whole.

    Parameters
    ----------
    fd : descriptor of the file.
    data : the whole file, or a memory map of it.
    part : what to decode.
    container : format of the file, for messages.

    Attributes
    ----------
    rate_hz, channels, subtype, kind : format; `kind` is libsndfile's name of the container.
    frames : length to assume until decoding shows otherwise.
    damaged_at : position of the first damage found while reading, None if none.
    scale : factor that all samples are multiplied by.

    Raises
    ------
    AudioError : the part cannot be decoded.
    """

    def __init__(self, fd: int, data: FileBytes, part: SoundPart, container: str) -> None:
        self._fd, self._data, self.part, self._container = fd, data, part, container
        self._open: _Stream | None = None
        self._has_failed = False
        self.scale = np.float32(1)
        file = self._file
        self.rate_hz, self.channels = int(file.samplerate), int(file.channels)
        self.subtype, self.kind = str(file.subtype), str(file.format)
        self.frames = max(0, int(file.frames) - part.lead)
        self.damaged_at = self.frames if part.is_cut else None

    @property
    def _file(self) -> _Stream:
        if self._open is None:
            self._open = self._opened()
        return self._open

    def _opened(self) -> _Stream:
        """Open the part at its beginning."""
        part = self.part
        try:
            if part.is_file:
                os.lseek(self._fd, part.begin, os.SEEK_SET)
                return _Stream(os.dup(self._fd), closefd=True)
            if part.end <= part.begin:
                return _Stream(io.BytesIO(part.head))
            return _Stream(FileView(self._data, part.head, part.begin, part.end))
        except sf.LibsndfileError as error:
            raise AudioError(
                f"damaged: its {self._container} data cannot be decoded"
            ) from error

    def close(self) -> None:
        """Give the decoder back; reading opens it again."""
        if self._open is not None:
            self._open.close()
            self._open = None
        self._has_failed = False

    def blocks(self, start: int, count: int) -> Iterator[FloatArray]:
        """Yield up to `count` frames from `start` on.

        Ends early where the part ends or is damaged.

        Parameters
        ----------
        start : position of the first frame.
        count : number of frames.

        Yields
        ------
        float32 array (n, channels), reused for the next block.
        """
        for block in self._raw_blocks(start, count):
            if self.scale != 1:
                np.multiply(block, self.scale, out=block)
            yield block

    def _raw_blocks(self, start: int, count: int) -> Iterator[FloatArray]:
        if self._has_failed:
            self.close()
        if not self._seek(start + self.part.lead):
            return
        buffer = np.empty((BLOCK_SAMPLES // self.channels, self.channels), np.float32)
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
        self.close()
        with suppress(sf.LibsndfileError):
            if self._seek(position + self.part.lead):
                for at in range(0, len(buffer), _SALVAGE_FRAMES):
                    block = self._file.read(out=buffer[at : at + _SALVAGE_FRAMES])
                    if not len(block):
                        break
                    yield block
                    position += len(block)
        self.damaged_at = position
        self._has_failed = True

    def _seek(self, frames: int) -> bool:
        """Go to a position; if the part cannot seek there, by decoding up to it.

        In an MP3 it starts a little earlier: mpg123 warms up for four frames, but the first
        frames of a low rate need bits of up to nine frames before them and come out silent.
        """
        warm_up = min(frames, _WARM_UP_FRAMES * self.part.mpeg_samples)
        with suppress(sf.LibsndfileError):
            if self._file.seek(frames - warm_up) == frames - warm_up:
                return self._skip(warm_up)
        self.close()
        return self._skip(frames)

    def _skip(self, frames: int) -> bool:
        """Decode and drop so many frames; return False if the part ends or fails first."""
        channels = self.channels
        skipped = np.empty((min(frames, BLOCK_SAMPLES // channels), channels), np.float32)
        with suppress(sf.LibsndfileError):
            while frames > 0:
                got = len(self._file.read(out=skipped[:frames]))
                if not got:
                    break
                frames -= got
        return frames == 0
