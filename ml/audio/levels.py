"""Peaks and loudness of a signal that arrives in blocks, in constant memory. Numpy only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ml.types import FloatArray

_MAX_BUCKETS = 16_384


class PeakMeter:
    """Lowest and highest value of a signal of unknown length, in equal parts of it.

    Extremes are kept for buckets of 1, 2, 4, ... frames: whenever there are too many,
    neighbours are merged in pairs.

    Attributes
    ----------
    frames : number of frames so far.

    Examples
    --------
    >>> meter = PeakMeter()
    >>> meter.add(np.array([[0.5], [-1.0], [0.0], [0.25]], np.float32))
    >>> meter.peak(), meter.columns(2).tolist()
    (1.0, [[-127, 64], [0, 32]])
    """

    def __init__(self) -> None:
        self._bucket = 1
        self._extremes = np.empty((0, 2), np.float32)
        self._rest: FloatArray | None = None
        self.frames = 0

    def add(self, block: FloatArray) -> None:
        """Add frames.

        Parameters
        ----------
        block : float32 array (n, channels).
        """
        self.frames += len(block)
        if self._rest is not None:
            block = np.concatenate([self._rest, block])
        whole = len(block) // self._bucket * self._bucket
        self._rest = block[whole:].copy() if whole < len(block) else None
        if whole:
            rows = block[:whole].reshape(whole // self._bucket, -1)
            self._append(rows.min(axis=1), rows.max(axis=1))

    def _append(self, low: FloatArray, high: FloatArray) -> None:
        self._extremes = np.concatenate([self._extremes, np.stack([low, high], axis=1)])
        while len(self._extremes) > _MAX_BUCKETS:
            self._halve()

    def _halve(self) -> None:
        if len(self._extremes) % 2:
            self._extremes = np.concatenate([self._extremes, self._extremes[-1:]])
        pairs = self._extremes.reshape(-1, 2, 2)
        low, high = pairs[:, :, 0].min(axis=1), pairs[:, :, 1].max(axis=1)
        self._extremes = np.stack([low, high], axis=1)
        self._bucket *= 2

    def peak(self) -> float:
        """Return the largest magnitude so far.

        Returns
        -------
        float; 0.0 before the first frame.
        """
        extremes = self._all()
        return float(np.abs(extremes).max()) if len(extremes) else 0.0

    def columns(self, count: int) -> npt.NDArray[np.int8]:
        """Return the extremes in equal parts of the signal.

        Parameters
        ----------
        count : number of parts, >= 1.

        Returns
        -------
        int8 array (count, 2): lowest and highest value in each part, 127 for full scale. A
        signal of fewer than `count` frames repeats its frames; an empty one gives zeros.
        """
        extremes = self._all()
        if not len(extremes):
            return np.zeros((count, 2), np.int8)
        starts = np.arange(count) * len(extremes) // count
        low = np.minimum.reduceat(extremes[:, 0], starts)
        high = np.maximum.reduceat(extremes[:, 1], starts)
        scaled = np.clip(np.rint(np.stack([low, high], axis=1) * 127), -127, 127)
        return scaled.astype(np.int8)

    def _all(self) -> FloatArray:
        if self._rest is None:
            return self._extremes
        last = np.array([[self._rest.min(), self._rest.max()]], np.float32)
        return np.concatenate([self._extremes, last])


class LoudnessMeter:
    """Gated RMS level, in dB re full scale.

    The mean square over all channels is computed in steps of 0.4 s. Steps below -70 dB are
    dropped, then those more than 10 dB below the mean of the rest; the loudness is
    10 log10 of the mean square of what remains. A full-scale sine in every channel is -3.01.
    This is the gating of ITU-R BS.1770-4 without its K weighting and without overlap.

    Parameters
    ----------
    sample_rate_hz : rate of the signal.

    Examples
    --------
    >>> meter = LoudnessMeter(1_000)
    >>> meter.add(np.full((1_000, 2), 0.5, np.float32))
    >>> round(meter.loudness_db(), 2)
    -6.02
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._step = max(1, round(0.4 * sample_rate_hz))
        self._sums: list[float] = []
        self._sizes: list[int] = []
        self._channels = 1

    def add(self, block: FloatArray) -> None:
        """Add frames.

        Parameters
        ----------
        block : float32 array (n, channels).
        """
        self._channels = block.shape[1]
        at = 0
        while at < len(block):
            if not self._sizes or self._sizes[-1] == self._step:
                self._sums.append(0.0)
                self._sizes.append(0)
            part = block[at : at + self._step - self._sizes[-1]].ravel()
            self._sums[-1] += float(np.dot(part, part))
            self._sizes[-1] += len(part) // self._channels
            at += len(part) // self._channels

    def loudness_db(self) -> float | None:
        """Return the level so far.

        Returns
        -------
        float, in dB re full scale; None when no step reaches -70 dB.
        """
        sizes = np.array(self._sizes, np.float64)
        sums = np.array(self._sums) / self._channels
        keep = sums > 1e-7 * sizes
        if not keep.any():
            return None
        gate = 0.1 * sums[keep].sum() / sizes[keep].sum()
        keep &= sums > gate * sizes
        return float(10 * np.log10(sums[keep].sum() / sizes[keep].sum()))
