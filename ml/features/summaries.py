"""Summary of a track: one vector of statistics of its MFCC windows, which `pooled` reads.

Stage: features. The vector describes the distribution of the coefficients over the frames,
their correlations and how fast they change. It was chosen on 145 instrument recordings (14
labels, five folds by recording family, one logistic regression per label): mean and deviation
alone reach a macro AP of 0.67, against a baseline of 0.18; the whole vector reaches 0.81.

For c coefficients the vector has, in this order:

====================  ================  ================================================
part                  entries           content
====================  ================  ================================================
mean                  c                 mean over the frames
deviation             c                 standard deviation over the frames
movement              c                 mean absolute difference of neighbouring frames
quantiles             3 c               10 %, 50 % and 90 % quantile
loud mean, deviation  2 c - 1           the same two, frames weighted by their amplitude
                                        (without the weighted mean of coefficient 0)
correlation           c (c - 1) / 2     of each pair of coefficients, row by row
modulation            4 c               log of the mean amplitude of change at 0.5-4,
                                        4-10, 10-25 and 25-50 Hz, within windows
====================  ================  ================================================

Frames of digital silence (coefficient 0 below -30, including the padding of a short track)
count only if there is nothing else.

Sources: Tzanetakis, G., Cook, P.: Musical
genre classification of audio signals. IEEE Trans. SAP 10(5), 2002 (moments of frames);
McKinney, M., Breebaart, J.: Features for audio and music classification. ISMIR 2003
(modulation energies); Mandel, M., Ellis, D.: Song-level features and support vector machines
for music classification. ISMIR 2005 (covariance of MFCCs).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.types import Doubles, FloatArray

_SILENT_LOG_ENERGY = -30.0
_QUANTILES = (0.1, 0.5, 0.9)
_BANDS_HZ = ((0.5, 4.0), (4.0, 10.0), (10.0, 25.0), (25.0, 50.1))
#: Added to deviations before dividing, so that a constant coefficient correlates with nothing.
_FLOOR = 1e-3


def summary_size(n_mfcc: int) -> int:
    """Return the length of the vector for a number of coefficients.

    Parameters
    ----------
    n_mfcc : number of coefficients, >= 1.

    Returns
    -------
    int

    Examples
    --------
    >>> summary_size(13)
    233
    """
    return 12 * n_mfcc - 1 + n_mfcc * (n_mfcc - 1) // 2


def summarise(windows: npt.NDArray[np.floating], step_s: float = 0.010) -> FloatArray:
    """Compute the statistics of one track.

    Parameters
    ----------
    windows : float array (n, frames, c), n >= 1, from `ml.features.mfcc.mfcc_windows`.
    step_s : seconds from frame to frame.

    Returns
    -------
    float32 array (summary_size(c),).

    Raises
    ------
    ParameterError : `windows` is not three-dimensional or has no frame.

    Examples
    --------
    >>> windows = np.arange(12.0).reshape(1, 4, 3)
    >>> summary = summarise(windows)
    >>> len(summary) == summary_size(3), summary[:3].tolist()
    (True, [4.5, 5.5, 6.5])
    """
    if windows.ndim != 3 or not windows.size:
        raise ParameterError(f"windows must be (n, frames, coefficients): {windows.shape}")
    values = windows.astype(np.float64)
    is_sounding = values[..., 0] > _SILENT_LOG_ENERGY
    if not is_sounding.any():
        is_sounding[:] = True
    frames = values[is_sounding]
    mean, deviation = frames.mean(axis=0), frames.std(axis=0)
    parts = [
        mean,
        deviation,
        _movement(values, is_sounding),
        *_quantiles(frames),
        *_loud_moments(frames),
        _correlations((frames - mean) / (deviation + _FLOOR)),
        _modulation(values, step_s),
    ]
    return np.concatenate(parts).astype(np.float32)


def _movement(values: Doubles, is_sounding: npt.NDArray[np.bool_]) -> Doubles:
    steps = np.abs(np.diff(values, axis=1))[is_sounding[:, 1:] & is_sounding[:, :-1]]
    return steps.mean(axis=0) if len(steps) else np.zeros(values.shape[-1])


def _quantiles(frames: Doubles) -> Doubles:
    """Return shape (3, c), by linear interpolation between the sorted values."""
    ordered = np.sort(frames.T, axis=1).T
    place = np.array(_QUANTILES) * (len(ordered) - 1)
    below = place.astype(int)
    above = np.minimum(below + 1, len(ordered) - 1)
    share = (place - below)[:, None]
    return ordered[below] * (1 - share) + ordered[above] * share


def _loud_moments(frames: Doubles) -> tuple[Doubles, Doubles]:
    """Return mean without coefficient 0, and deviation, of frames weighted by amplitude."""
    weight = np.exp(0.5 * (frames[:, 0] - frames[:, 0].max()))
    weight /= weight.sum()
    mean = weight @ frames
    return mean[1:], np.sqrt(weight @ np.square(frames - mean))


def _correlations(standardised: Doubles) -> Doubles:
    matrix = standardised.T @ standardised / len(standardised)
    return matrix[np.triu_indices(len(matrix), 1)]


def _modulation(values: Doubles, step_s: float) -> Doubles:
    """Return log(1 + mean amplitude) of each coefficient's spectrum over time, band by band.

    A window too short to hold a band gives 0 there.
    """
    moving = values - values.mean(axis=1, keepdims=True)
    amplitude = np.abs(np.fft.rfft(moving, axis=1)).mean(axis=0)
    hz = np.fft.rfftfreq(values.shape[1], step_s)
    bands = []
    for low, high in _BANDS_HZ:
        inside = amplitude[(hz >= low) & (hz < high)]
        bands.append(
            np.log1p(inside.mean(axis=0)) if len(inside) else np.zeros(values.shape[-1])
        )
    return np.concatenate(bands)
