"""Windows of Hann-weighted spectra: log-mel spectrograms, and timbral descriptions of frames.

Stage: features. The networks `parallel-cnn` (log-mel) and `gmm`, `knn` (timbral) read them;
MFCC windows are in `ml.features.mfcc`. Windows are independent of each other: frames lie
completely within one, and nothing is carried over.

Conventions
-----------
Samples are float32 in -1 .. 1; frames have a periodic Hann window; powers are the squares of
the unnormalised FFT, as librosa's. Mel filters are triangles of peak 1 on the HTK mel scale
with corners between FFT bins, as `librosa.filters.mel(htk=True, norm=None)`. Energies below
1e-10 count as 1e-10. Nothing above `fmax_hz` is used.

A timbral frame holds, for m = `config.n_mfcc`:

=================  ======  ================================================================
part               values  content
=================  ======  ================================================================
log energy         1       of all bins, ln(sum of powers / n_fft); silence -36.04
cepstra            m - 1   coefficients 1 .. m - 1 of the orthonormal DCT of ln mel energies
spectral contrast  7       ln(peak / valley) of magnitudes, 0-200 Hz and six octaves above
roll-off           1       kHz below which 85 % of the magnitudes lie
centroid           1       mean frequency in kHz, weighted by magnitude
flux               1       distance of neighbouring spectra of length 1, 0 .. sqrt(2)
zero crossings     1       changes of sign per sample
=================  ======  ================================================================

Sources: Tzanetakis, G., Cook, P.: Musical genre classification of audio signals. IEEE Trans.
SAP 10(5), 2002 (roll-off, centroid, flux, zero crossings); Jiang, D.-N. et al.: Music type
classification by spectral contrast feature. ICME 2002.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft

from ml.errors import ParameterError
from ml.types import FeatureConfig, FloatArray, round_half_up

_FLOOR = np.float32(1e-10)
_SILENCE = np.float32(np.finfo(np.float64).eps)
#: Frames transformed at once: the buffers stay within the second-level cache.
_BLOCK_FRAMES = 256
_ROLL_OFF = 0.85
#: Spectral contrast: lowest octave, number of octaves, share of bins that make a peak.
_LOWEST_OCTAVE_HZ, _OCTAVES, _PEAK_SHARE = 200.0, 6, 0.02


@dataclass(frozen=True)
class _Plan:
    """Sizes in samples and arrays that follow from a FeatureConfig.

    `bands` are the (first, last + 1, averaged) bins of the spectral contrast; `khz` the
    frequency of each bin up to `fmax_hz`.
    """

    window: int
    frame: int
    step: int
    frames: int
    hann: FloatArray
    filters: FloatArray
    cepstra: FloatArray
    khz: FloatArray
    bands: tuple[tuple[int, int, int], ...]


def spectral_windows(samples: npt.NDArray[np.floating], config: FeatureConfig) -> FloatArray:
    """Compute the log-mel or timbral frames of all whole windows of a signal.

    Parameters
    ----------
    samples : float array (n,), mono, at `config.sample_rate_hz`; finite; n > 0.
    config : of kind "log-mel" or "timbral".

    Returns
    -------
    float32 array (n_windows, *config.frame_shape). As for MFCCs an incomplete last window is
    dropped unless it is the only one; then it is padded with zeros.

    Raises
    ------
    ParameterError : `samples` is not one-dimensional or is empty, the kind is another, or the
        config is impossible.

    Examples
    --------
    >>> from ml.types import FEATURE_CONFIGS
    >>> silence = np.zeros(44_100, np.float32)
    >>> windows = spectral_windows(silence, FEATURE_CONFIGS["mel-80"])
    >>> windows.shape, round(float(windows[0, 0, 0]), 2)
    ((1, 40, 80), -23.03)
    """
    if samples.ndim != 1 or not samples.size:
        raise ParameterError(f"samples must be one-dimensional and not empty: {samples.shape}")
    if config.kind not in ("log-mel", "timbral"):
        raise ParameterError(
            f"kind is {config.kind!r}; spectral windows are 'log-mel' or 'timbral'"
        )
    plan = _plan(config)
    count = max(1, samples.size // plan.window)
    whole = samples[: count * plan.window].astype(np.float32, copy=False)
    if whole.size < plan.window:
        whole = np.concatenate([whole, np.zeros(plan.window - whole.size, np.float32)])
    out = np.empty((count, *config.frame_shape), np.float32)
    done = 0
    for frames in _blocks(whole.reshape(count, plan.window), plan):
        part = out[done : done + len(frames)]
        spectra = np.abs(fft.rfft(frames * plan.hann, config.n_fft, axis=-1))
        if config.kind == "log-mel":
            part[:] = _log_mel(spectra, plan)
        else:
            _describe(frames, spectra, plan, config, part)
        done += len(frames)
    return out


def _blocks(windows: FloatArray, plan: _Plan) -> Iterator[FloatArray]:
    """Yield the frames of a few windows at a time, (windows, frames, samples)."""
    framed = np.lib.stride_tricks.sliding_window_view(windows, plan.frame, axis=1)
    framed = framed[:, :: plan.step][:, : plan.frames]
    size = max(1, _BLOCK_FRAMES // plan.frames)
    for first in range(0, len(windows), size):
        yield framed[first : first + size]


def _log_mel(spectra: FloatArray, plan: _Plan) -> FloatArray:
    return np.log(np.maximum(np.square(spectra) @ plan.filters, _FLOOR))


def _describe(
    frames: FloatArray, spectra: FloatArray, plan: _Plan, config: FeatureConfig, out: FloatArray
) -> None:
    """Write the timbral values of (windows, frames, bins) to `out`."""
    energy = np.square(spectra).sum(axis=-1) / np.float32(config.n_fft)
    out[..., 0] = np.log(np.where(energy > 0, energy, _SILENCE))
    out[..., 1 : config.n_mfcc] = _log_mel(spectra, plan) @ plan.cepstra[:, 1:]
    shape = out[..., config.n_mfcc :]
    n_bands = len(plan.bands)
    for number, band in enumerate(plan.bands):
        shape[..., number] = _contrast(spectra, band)
    used = spectra[..., : len(plan.khz)]
    total = used.sum(axis=-1)
    shape[..., n_bands] = _roll_off(used, total, plan.khz)
    shape[..., n_bands + 1] = used @ plan.khz / np.maximum(total, _FLOOR)
    shape[..., n_bands + 2] = _flux(used)
    shape[..., n_bands + 3] = _zero_crossings(frames)


def _contrast(spectra: FloatArray, band: tuple[int, int, int]) -> FloatArray:
    """Return ln of the mean of the largest over the mean of the smallest magnitudes."""
    first, last, averaged = band
    ordered = np.sort(spectra[..., first:last], axis=-1)
    valley = np.maximum(ordered[..., :averaged].mean(axis=-1), _FLOOR)
    peak = np.maximum(ordered[..., -averaged:].mean(axis=-1), _FLOOR)
    return np.log(peak / valley)


def _roll_off(used: FloatArray, total: FloatArray, khz: FloatArray) -> FloatArray:
    below = np.cumsum(used, axis=-1) < np.float32(_ROLL_OFF) * total[..., None]
    return khz[np.minimum(below.sum(axis=-1), len(khz) - 1)]


def _flux(used: FloatArray) -> FloatArray:
    """Return the distance between neighbouring spectra of length 1; the first is repeated.

    A silent frame has no direction: its length stays 0.
    """
    length = np.linalg.norm(used, axis=-1, keepdims=True)
    steps = np.diff(used / np.maximum(length, _FLOOR), axis=-2)
    if steps.shape[-2] == 0:
        return np.zeros(used.shape[:-1], np.float32)
    flux = np.linalg.norm(steps, axis=-1)
    return np.concatenate([flux[..., :1], flux], axis=-1)


def _zero_crossings(frames: FloatArray) -> FloatArray:
    negative = frames < -_FLOOR
    changes: FloatArray = (negative[..., 1:] != negative[..., :-1]).mean(
        axis=-1, dtype=np.float32
    )
    return changes


@lru_cache(maxsize=8)
def _plan(config: FeatureConfig) -> _Plan:
    frame = round_half_up(config.frame_s * config.sample_rate_hz)
    if frame > config.n_fft or config.n_fft % 2:
        raise ParameterError(f"n_fft {config.n_fft} must be even and hold {frame} samples")
    hz = np.arange(config.n_fft // 2 + 1) * config.sample_rate_hz / config.n_fft
    basis = fft.dct(np.eye(config.n_mels), type=2, axis=1, norm="ortho")[:, : config.n_mfcc]
    turn = 2 * np.pi * np.arange(frame) / frame
    return _Plan(
        window=round(config.window_s * config.sample_rate_hz),
        frame=frame,
        step=round_half_up(config.step_s * config.sample_rate_hz),
        frames=config.frame_shape[0],
        hann=(0.5 - 0.5 * np.cos(turn)).astype(np.float32),
        filters=smooth_mel_filters(config).T.astype(np.float32),
        cepstra=np.ascontiguousarray(basis, np.float32),
        khz=(hz[hz <= config.fmax_hz] / 1_000).astype(np.float32),
        bands=_bands(hz, config.fmax_hz) if config.kind == "timbral" else (),
    )


def _bands(hz: npt.NDArray[np.float64], fmax_hz: float) -> tuple[tuple[int, int, int], ...]:
    """Return the bins of each band; neighbours meet, the last one ends at `fmax_hz`."""
    edges = [0.0, *(_LOWEST_OCTAVE_HZ * 2.0**octave for octave in range(_OCTAVES + 1))]
    if edges[-2] >= fmax_hz:
        raise ParameterError(f"fmax_hz {fmax_hz} leaves no bins above {edges[-2]:g} Hz")
    edges[-1] = max(edges[-1], fmax_hz)
    bands = []
    for number in range(_OCTAVES + 1):
        first = int(np.searchsorted(hz, edges[number])) - (number > 0)
        last = int(np.searchsorted(hz, min(edges[number + 1], fmax_hz), side="right"))
        averaged = max(1, round(_PEAK_SHARE * (last - first)))
        bands.append((first, last - (number < _OCTAVES), averaged))
    return tuple(bands)


def smooth_mel_filters(config: FeatureConfig) -> npt.NDArray[np.float64]:
    """Return triangular mel filters whose corners lie between FFT bins.

    Parameters
    ----------
    config : with the range, number and FFT length of the filters.

    Returns
    -------
    float64 array (n_mels, n_fft // 2 + 1), peak at most 1.

    Raises
    ------
    ParameterError : `fmin_hz` and `fmax_hz` are not in order or exceed half the sample rate.

    Examples
    --------
    >>> smooth_mel_filters(FeatureConfig("seed-1s")).shape
    (26, 1025)
    """
    if not 0 <= config.fmin_hz < config.fmax_hz <= config.sample_rate_hz / 2:
        raise ParameterError(
            f"fmin_hz {config.fmin_hz} and fmax_hz {config.fmax_hz} must be in order and "
            f"within 0 .. {config.sample_rate_hz / 2}"
        )
    low, high = (2595 * np.log10(1 + hz / 700.0) for hz in (config.fmin_hz, config.fmax_hz))
    corners = 700 * (10 ** (np.linspace(low, high, config.n_mels + 2) / 2595.0) - 1)
    hz = np.arange(config.n_fft // 2 + 1) * config.sample_rate_hz / config.n_fft
    rising = (hz - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - hz) / (corners[2:] - corners[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling))
