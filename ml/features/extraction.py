"""Feature extraction: decode the excerpt of a file, compute its windows and their summary.

Stage: features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.audio.reader import AudioPath, AudioReader
from ml.features.mfcc import mfcc_windows
from ml.features.spectra import spectral_windows
from ml.features.summaries import summarise
from ml.types import FeatureConfig, FloatArray


@dataclass(frozen=True)
class Extraction:
    """Features of one track.

    Attributes
    ----------
    windows : float32 array (n, *config.frame_shape), n >= 1.
    summary : float32 array (d,), see `summarise_windows`.
    bit_rate : of the file, in bits per second.
    length_known_s : as in `ml.audio.types.Excerpt`.
    warning : what a curator should know, None when all is well.
    """

    windows: FloatArray
    summary: FloatArray
    bit_rate: int
    length_known_s: float
    warning: str | None


def compute_windows(samples: npt.NDArray[np.floating], config: FeatureConfig) -> FloatArray:
    """Compute the windows of a signal, of the config's kind.

    Parameters
    ----------
    samples : float array (n,), mono, at `config.sample_rate_hz`; n > 0.
    config : kind and sizes.

    Returns
    -------
    float32 array (n_windows, *config.frame_shape).

    Raises
    ------
    ParameterError : `samples` is not one-dimensional or is empty, or the config is impossible.

    Examples
    --------
    >>> compute_windows(np.zeros(44_100, np.float32), FeatureConfig("seed-1s")).shape
    (1, 99, 13)
    """
    if config.kind == "mfcc":
        return mfcc_windows(samples, config)
    return spectral_windows(samples, config)


def summarise_windows(windows: npt.NDArray[np.floating], config: FeatureConfig) -> FloatArray:
    """Compute the summary of a track, see `ml.features.summaries`.

    The summary of a spectrogram is only the mean and the standard deviation of each band: the
    correlations of 80 bands would be thousands of values.

    Parameters
    ----------
    windows : float array (n, frames, coefficients), n >= 1.
    config : that they were computed with.

    Returns
    -------
    float32 array (d,).

    Raises
    ------
    ParameterError : `windows` is not three-dimensional or has no frame.

    Examples
    --------
    >>> config = FeatureConfig("mel", kind="log-mel", n_mels=2)
    >>> summarise_windows(np.array([[[0.0, 1.0], [2.0, 1.0]]]), config).tolist()
    [1.0, 1.0, 1.0, 0.0]
    """
    if config.kind != "log-mel":
        return summarise(windows, config.step_s)
    frames = windows.reshape(-1, windows.shape[-1]).astype(np.float64)
    return np.concatenate([frames.mean(axis=0), frames.std(axis=0)]).astype(np.float32)


def extract(reader: AudioReader, path: AudioPath, config: FeatureConfig) -> Extraction:
    """Extract the windows and the summary of the middle of a file.

    Parameters
    ----------
    reader : decodes the file.
    path : the file.
    config : kind and sizes of the features.

    Returns
    -------
    Extraction

    Raises
    ------
    AudioError : the file cannot be decoded; the reason says why.
    """
    excerpt = reader.excerpt(path, config, is_borrowed=True)
    windows = compute_windows(excerpt.samples, config)
    notes = [excerpt.warning] if excerpt.warning else []
    if len(excerpt.samples) < round(config.window_s * config.sample_rate_hz):
        notes.append(f"shorter than one window of {config.window_s:g} s: silence completes it")
    return Extraction(
        windows=windows,
        summary=summarise_windows(windows, config),
        bit_rate=excerpt.bit_rate,
        length_known_s=excerpt.length_known_s,
        warning="; ".join(notes) or None,
    )
