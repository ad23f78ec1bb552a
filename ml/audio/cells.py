"""Levels of a signal second by second: of its channels, and of their mean. Numpy only.

They tell where a track is silent, and where its channels cancel each other in the mix. Cells
begin at whole seconds of the track, so that a part of it has the cells of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.types import FloatArray

#: Mean square below which a cell is silent: -70 dB re full scale, as for the loudness.
_SILENT = 1e-7
#: Silent seconds that are not just a pause.
_LEAST_SILENT = 10
#: Samples of a piece that are compared to notice a constant.
_LOOKS = 16
_CONSTANT = np.float32(2e-3)
#: A mean of n channels cancels below this mean square, times n, re that of the channels; for
#: two channels that is -9 dB. Channels that have nothing in common reach 1 / n.
CANCELLED = 0.25
#: Share of the audible cells that may cancel: a stereo effect here and there.
CANCELLED_SHARE = 0.05


@dataclass(frozen=True)
class Cells:
    """Levels of consecutive cells of a second.

    Attributes
    ----------
    begin, frames : int64 arrays (n,): first frame and number of frames of each cell.
    level : float64 array (n,): mean square over all channels, without a constant.
    mono : float64 array (n,): mean square of the mean of the channels, without a constant.
    is_constant : bool array (n,): the signal is a constant other than 0, and little else.
    channels : number of channels.
    """

    begin: npt.NDArray[np.int64]
    frames: npt.NDArray[np.int64]
    level: npt.NDArray[np.float64]
    mono: npt.NDArray[np.float64]
    is_constant: npt.NDArray[np.bool_]
    channels: int

    @property
    def is_audible(self) -> npt.NDArray[np.bool_]:
        """Cells that are not silent: bool array (n,)."""
        return self.level > _SILENT

    def within(self, start: int, count: int, rate_hz: int, total: int) -> Cells:
        """Return the whole cells between two positions.

        Parameters
        ----------
        start, count : range of frames.
        rate_hz : frames of a whole cell.
        total : length of the track in frames; its last cell may be shorter.

        Returns
        -------
        Cells
        """
        end = self.begin + self.frames
        is_whole = (self.frames == rate_hz) | (end == total)
        keep = is_whole & (self.begin >= start) & (end <= start + count)
        keep &= (self.begin % rate_hz) == 0
        return Cells(
            self.begin[keep],
            self.frames[keep],
            self.level[keep],
            self.mono[keep],
            self.is_constant[keep],
            self.channels,
        )

    def is_mostly_silent(self) -> bool:
        """Return whether more than half of the cells are silent, and at least ten.

        Returns
        -------
        bool
        """
        silent = int((~self.is_audible).sum())
        return silent >= _LEAST_SILENT and 2 * silent > len(self.level)

    def is_cancelling(self) -> bool:
        """Return whether the channels cancel each other in more than a few cells.

        Returns
        -------
        bool
        """
        lost = self.is_audible & (self.mono * self.channels < CANCELLED * self.level)
        return bool(lost.sum() > CANCELLED_SHARE * self.is_audible.sum())

    def is_only_constant(self) -> bool:
        """Return whether there is an offset from zero and no sound.

        Returns
        -------
        bool
        """
        return bool(self.is_constant.any()) and not self.is_audible.any()


class CellMeter:
    """Levels of a signal that arrives in blocks.

    Parameters
    ----------
    rate_hz : frames of a cell.
    channels : number of channels.
    first : position of the first block.
    mono_range : (first, end) of the frames for which the mean of the channels is measured;
        None: all. It costs more than the rest.

    Examples
    --------
    >>> meter = CellMeter(4, 2)
    >>> meter.add(np.array([[0.5, -0.5], [-0.5, 0.5]] * 4, np.float32))
    >>> cells = meter.cells()
    >>> cells.level.tolist(), cells.mono.tolist(), cells.is_cancelling()
    ([0.25, 0.25], [0.0, 0.0], True)
    """

    def __init__(
        self,
        rate_hz: int,
        channels: int,
        first: int = 0,
        mono_range: tuple[int, int] | None = None,
    ) -> None:
        self._rate, self._channels, self._at = rate_hz, channels, first
        self._mono_range = mono_range or (0, 1 << 62)
        self._begin: list[int] = []
        self._frames: list[int] = []
        self._power: list[float] = []
        self._mono: list[float] = []
        self._constant: list[bool] = []

    def add(self, block: FloatArray, mono: FloatArray | None = None) -> None:
        """Add frames.

        Parameters
        ----------
        block : float32 array (n, channels).
        mono : float32 array (n,), the mean of the channels if it is known.
        """
        done = 0
        while done < len(block):
            count = min(len(block) - done, self._rate - self._at % self._rate)
            if not self._begin or self._at % self._rate == 0:
                self._begin.append(self._at)
                self._frames.append(0)
                self._power.append(0.0)
                self._mono.append(0.0)
                self._constant.append(False)
            piece = block[done : done + count]
            self._add(piece, None if mono is None else mono[done : done + count])
            done += count
            self._at += count

    def _add(self, piece: FloatArray, mono: FloatArray | None) -> None:
        flat = piece.reshape(-1)
        power = float(np.dot(flat, flat))
        if power > _SILENT * flat.size and _looks_constant(piece):
            piece = piece - piece.mean(axis=0, dtype=np.float64).astype(np.float32)
            mono, flat = None, piece.reshape(-1)
            power = float(np.dot(flat, flat))
            self._constant[-1] = True
        first, end = self._mono_range
        if first <= self._at < end and self._channels > 1:
            mean = mean_of_channels(piece) if mono is None else mono
            total = float(mean.sum())
            self._mono[-1] += float(np.dot(mean, mean)) - total * total / len(mean)
        elif self._channels == 1:
            self._mono[-1] += power
        self._power[-1] += power
        self._frames[-1] += len(piece)

    def cells(self) -> Cells:
        """Return the levels so far.

        Returns
        -------
        Cells
        """
        frames = np.array(self._frames, np.int64)
        sizes = np.maximum(frames, 1)
        return Cells(
            np.array(self._begin, np.int64),
            frames,
            np.array(self._power, np.float64) / sizes / self._channels,
            np.array(self._mono, np.float64) / sizes,
            np.array(self._constant, bool),
            self._channels,
        )


def _looks_constant(piece: FloatArray) -> bool:
    some = piece[:: max(1, len(piece) // _LOOKS)]
    return bool((some.max(axis=0) - some.min(axis=0)).max() < _CONSTANT)


def mean_of_channels(block: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """Return the mean of the channels; `mean(axis=1)` would take ten times as long.

    Parameters
    ----------
    block : float32 array (n, channels).
    out : float32 array (n,) for the result; None: a new array.

    Returns
    -------
    float32 array (n,)

    Examples
    --------
    >>> mean_of_channels(np.array([[0.5, 0.0]], np.float32)).tolist()
    [0.25]
    """
    if out is None:
        out = np.empty(len(block), np.float32)
    if block.shape[1] == 1:
        out[:] = block[:, 0]
        return out
    np.add(block[:, 0], block[:, 1], out=out)
    for channel in range(2, block.shape[1]):
        out += block[:, channel]
    out *= np.float32(1 / block.shape[1])
    return out
