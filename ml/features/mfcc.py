"""MFCC windows with the semantics of python_speech_features, vectorised in float32.

Stage: features. Each window of `window_s` is treated as that package treats a separate signal:
pre-emphasis restarts at its first sample and its last frame is padded with zeros. (One call
over the whole excerpt, split afterwards, is *not* the same: the first and the last frame of
every window differ by up to 22.) Frames have a rectangular window; coefficient 0 is the
logarithm of the frame's energy; coefficients are liftered.

Conventions
-----------
Samples are float32 in -1 .. 1. A scale factor a shifts coefficient 0 by 2 ln(a) and nothing
else. An energy of exactly 0 counts as the float64 epsilon, so silence gives coefficient 0 =
-36.04.

Source: Davis, S., Mermelstein, P.: Comparison of parametric representations for monosyllabic
word recognition in continuously spoken sentences. IEEE Trans. ASSP 28(4), 1980; constants and
edge cases as in python_speech_features 0.6 by J. Lyons.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import fft

from ml.errors import ParameterError
from ml.types import FeatureConfig, FloatArray, round_half_up

_EPSILON = np.float32(np.finfo(np.float64).eps)
#: Frames transformed at once: the buffers stay within the second-level cache.
_BLOCK_FRAMES = 256
#: Below this total energy of a frame, single mel energies may leave the range of float32.
_FAINT_ENERGY = np.float32(1e-20)


@dataclass(frozen=True)
class _Band:
    """Weights of filters first .. last - 1 for the spectrum's columns low .. high - 1."""

    low: int
    high: int
    first: int
    last: int
    weights: FloatArray


@dataclass(frozen=True)
class _Plan:
    """Sizes in samples and matrices that follow from a FeatureConfig.

    `columns` is the number of spectral columns (two a bin, real and imaginary) that any filter
    reads; `bands` splits the mostly empty filter matrix into a few small full ones.
    """

    window: int
    frame: int
    step: int
    frames: int
    columns: int
    bands: tuple[_Band, ...]
    cepstra: FloatArray


def mfcc_windows(samples: npt.NDArray[np.floating], config: FeatureConfig) -> FloatArray:
    """Compute the MFCCs of all whole windows of a signal.

    Parameters
    ----------
    samples : float array (n,), mono, at `config.sample_rate_hz`; finite; n > 0.
    config : sizes and ranges; its `frame_shape` is the shape of one window.

    Returns
    -------
    float32 array (n_windows, frames, coefficients), one entry per whole window. An incomplete
    last window is dropped unless it is the only one; then it is padded with zeros. Equal to
    `python_speech_features.mfcc` called window by window, within 1e-3.

    Raises
    ------
    ParameterError : `samples` is not one-dimensional or is empty, or the config is impossible.

    Examples
    --------
    >>> windows = mfcc_windows(np.zeros(88_200, np.float32), FeatureConfig("seed-1s"))
    >>> windows.shape, round(float(windows[0, 0, 0]), 2)
    ((2, 99, 13), -36.04)
    """
    if samples.ndim != 1 or not samples.size:
        raise ParameterError(f"samples must be one-dimensional and not empty: {samples.shape}")
    plan = _plan(config)
    count = max(1, samples.size // plan.window)
    whole = samples[: count * plan.window]
    if whole.size < plan.window:
        whole = np.concatenate([whole, np.zeros(plan.window - whole.size, whole.dtype)])
    logarithms = _log_energies(whole.reshape(count, plan.window), plan, config)
    result = logarithms[:, :-1] @ plan.cepstra
    result[:, 0] = logarithms[:, -1]
    return result.reshape(count, plan.frames, config.n_mfcc)


def _log_energies(windows: FloatArray, plan: _Plan, config: FeatureConfig) -> FloatArray:
    """Return shape (windows * frames, mels + 1): logarithms of mel and of total energies.

    A few windows at a time go through two small buffers; fresh memory for the whole signal
    would cost more than the arithmetic done on it.
    """
    per_block = max(1, _BLOCK_FRAMES // plan.frames)
    signal = np.zeros((per_block, (plan.frames - 1) * plan.step + plan.frame), np.float32)
    framed = np.lib.stride_tricks.sliding_window_view(signal, plan.frame, axis=1)
    framed = framed[:, :: plan.step]
    padded = np.zeros((per_block, plan.frames, config.n_fft), np.float32)
    out = np.empty((len(windows) * plan.frames, config.n_mels + 1), np.float32)
    for first in range(0, len(windows), per_block):
        block = windows[first : first + per_block]
        count = len(block)
        _preemphasise(block, config.preemphasis, signal[:count, : plan.window])
        padded[:count, :, : plan.frame] = framed[:count]
        frames = padded[:count].reshape(-1, config.n_fft)
        rows = out[first * plan.frames :][: len(frames)]
        _filter_energies(frames, plan, rows)
        faint = np.flatnonzero(rows[:, -1] < _FAINT_ENERGY)
        np.copyto(rows, _EPSILON, where=rows == 0)
        np.log(rows, out=rows)
        if faint.size:
            rows[faint] = _faint_log_energies(frames[faint], plan)
    return out


def _preemphasise(windows: npt.NDArray[np.floating], factor: float, out: FloatArray) -> None:
    """Write x[n] - factor * x[n - 1] of each window; the first sample is unchanged."""
    np.multiply(windows[:, :-1], np.float32(-factor), out=out[:, 1:], casting="same_kind")
    out[:, 0] = 0
    out += windows


def _filter_energies(frames: FloatArray, plan: _Plan, out: FloatArray) -> None:
    """Write the energies of zero-padded frames to `out`, shape (frames, mels + 1).

    Squares of the real and imaginary parts go into the matrix products as they are: their
    weights are repeated, which saves a pass over the spectra; bins above the top filter are
    left out. The total over the one-sided spectrum follows from Parseval's theorem.
    """
    n_fft = frames.shape[1]
    spectra = fft.rfft(frames, axis=-1).view(np.float32)
    ends = np.square(spectra[:, 0]) + np.square(spectra[:, -2])
    used = spectra[:, : plan.columns]
    np.square(used, out=used)
    out[:] = 0
    for band in plan.bands:
        out[:, band.first : band.last] += used[:, band.low : band.high] @ band.weights
    sounding = frames[:, : plan.frame]
    out[:, -1] = 0.5 * np.einsum("ij,ij->i", sounding, sounding) + ends / (2 * n_fft)


def _faint_log_energies(frames: FloatArray, plan: _Plan) -> FloatArray:
    """Return log energies of frames so faint that their squares leave the range of float32.

    They are scaled to a peak of 1 and the logarithm is corrected; an energy of exactly 0
    stays the epsilon, whatever the peak.
    """
    peak = np.abs(frames).max(axis=1, keepdims=True).astype(np.float64)
    peak[peak == 0] = 1
    energies = np.empty((len(frames), len(plan.cepstra) + 1), np.float32)
    _filter_energies((frames / peak).astype(np.float32), plan, energies)
    shift = np.where(energies == 0, 0, 2 * np.log(peak))
    return (np.log(np.where(energies == 0, _EPSILON, energies)) + shift).astype(np.float32)


@lru_cache(maxsize=8)
def _plan(config: FeatureConfig) -> _Plan:
    frame = round_half_up(config.frame_s * config.sample_rate_hz)
    if frame > config.n_fft or config.n_fft % 2:
        raise ParameterError(f"n_fft {config.n_fft} must be even and hold {frame} samples")
    weights = np.repeat(mel_filters(config) / config.n_fft, 2, axis=1).T.astype(np.float32)
    bands = _bands(weights)
    lifter = 1 + config.lifter / 2 * np.sin(
        np.pi * np.arange(config.n_mfcc) / max(1, config.lifter)
    )
    basis = fft.dct(np.eye(config.n_mels), type=2, axis=1, norm="ortho")[:, : config.n_mfcc]
    return _Plan(
        window=round(config.window_s * config.sample_rate_hz),
        frame=frame,
        step=round_half_up(config.step_s * config.sample_rate_hz),
        frames=config.frame_shape[0],
        columns=bands[-1].high,
        bands=bands,
        cepstra=np.ascontiguousarray(basis * lifter, np.float32),
    )


def _bands(weights: FloatArray) -> tuple[_Band, ...]:
    """Split (columns, filters) where each quarter of the filters begins; drop zeros."""
    filters = weights.shape[1]
    begins = [int(np.flatnonzero(column)[0]) for column in weights.T if column.any()]
    end = int(np.flatnonzero(weights.any(axis=1))[-1]) + 1
    edges = [begins[0], *begins[max(1, filters // 4) :: max(1, filters // 4)], end]
    bands = []
    for low, high in pairwise(edges):
        used = np.flatnonzero(weights[low:high].any(axis=0))
        if len(used):
            first, last = int(used[0]), int(used[-1]) + 1
            part = np.ascontiguousarray(weights[low:high, first:last])
            bands.append(_Band(low, high, first, last, part))
    return tuple(bands)


def mel_filters(config: FeatureConfig) -> npt.NDArray[np.float64]:
    """Return the triangular mel filters of python_speech_features.

    Corners are rounded down to FFT bins, so low filters are a few bins wide and not smooth.

    Parameters
    ----------
    config : with the range, number and FFT length of the filters.

    Returns
    -------
    float64 array (n_mels, n_fft // 2 + 1), peak 1.

    Raises
    ------
    ParameterError : `fmin_hz` and `fmax_hz` are not in order or exceed half the sample rate.

    Examples
    --------
    >>> filters = mel_filters(FeatureConfig("seed-1s"))
    >>> filters.shape, float(filters.max())
    ((26, 1025), 1.0)
    """
    if not 0 <= config.fmin_hz < config.fmax_hz <= config.sample_rate_hz / 2:
        raise ParameterError(
            f"fmin_hz {config.fmin_hz} and fmax_hz {config.fmax_hz} must be in order and "
            f"within 0 .. {config.sample_rate_hz / 2}"
        )
    low, high = (2595 * np.log10(1 + hz / 700.0) for hz in (config.fmin_hz, config.fmax_hz))
    corners_hz = 700 * (10 ** (np.linspace(low, high, config.n_mels + 2) / 2595.0) - 1)
    corner = np.floor((config.n_fft + 1) * corners_hz / config.sample_rate_hz).astype(int)
    filters = np.zeros((config.n_mels, config.n_fft // 2 + 1))
    for row, (left, middle, right) in enumerate(
        zip(corner[:-2], corner[1:-1], corner[2:], strict=True)
    ):
        rising, falling = np.arange(left, middle), np.arange(middle, right)
        filters[row, rising] = (rising - left) / max(1, middle - left)
        filters[row, falling] = (right - falling) / max(1, right - middle)
    return filters
