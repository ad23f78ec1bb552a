"""From a file to its features: decode the excerpt, make the windows, pool them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.audio.reader import AudioPath, AudioReader
from ml.features.mfcc import mfcc_windows
from ml.features.spectra import spectral_windows
from ml.features.summaries import summarise
from ml.types import FeatureConfig


@dataclass(frozen=True)
class Extraction:
    """Features of one track.

    Attributes
    ----------
    windows : float32, shape (n, *config.frame_shape), n >= 1.
    summary : float32, shape (d,), see `summarise_windows`.
    bit_rate : of the file, bits a second. length_known_s : as in `Excerpt`.
    warning : what a curator should know, None where all is well.
    """

    windows: npt.NDArray[np.float32]
    summary: npt.NDArray[np.float32]
    bit_rate: int
    length_known_s: float
    warning: str | None


def compute_windows(
    samples: npt.NDArray[np.floating], config: FeatureConfig
) -> npt.NDArray[np.float32]:
    """Return the windows of a signal, float32 (n, *config.frame_shape), of the config's kind.

    Raises
    ------
    ParameterError : `samples` is not one-dimensional or is empty, or the config is impossible.
    """
    if config.kind == "mfcc":
        return mfcc_windows(samples, config)
    return spectral_windows(samples, config)


def summarise_windows(
    windows: npt.NDArray[np.floating], config: FeatureConfig
) -> npt.NDArray[np.float32]:
    """Return the summary of a track, float32 (d,): see `ml.features.summaries`.

    Of a spectrogram it is the mean and the deviation of each band: the correlations of 80
    bands would be thousands of numbers.
    """
    if config.kind != "log-mel":
        return summarise(windows, config.step_s)
    frames = windows.reshape(-1, windows.shape[-1]).astype(np.float64)
    return np.concatenate([frames.mean(axis=0), frames.std(axis=0)]).astype(np.float32)


def extract(reader: AudioReader, path: AudioPath, config: FeatureConfig) -> Extraction:
    """Return the windows and the summary of the middle of a file.

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
