"""From a file to its features: decode the excerpt, make the windows, pool them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.audio import AudioPath, AudioReader
from ml.features import mfcc_windows
from ml.summaries import summarise
from ml.types import FeatureConfig


@dataclass(frozen=True)
class Extraction:
    """Features of one track.

    Attributes
    ----------
    windows : float32, shape (n, *config.frame_shape), n >= 1.
    summary : float32, shape (d,), see `ml.summaries`.
    bit_rate : of the file, bits a second. length_known_s : as in `Excerpt`.
    warning : what a curator should know, None where all is well.
    """

    windows: npt.NDArray[np.float32]
    summary: npt.NDArray[np.float32]
    bit_rate: int
    length_known_s: float
    warning: str | None


def extract(reader: AudioReader, path: AudioPath, config: FeatureConfig) -> Extraction:
    """Return the windows and the summary of the middle of a file.

    Raises
    ------
    AudioError : the file cannot be decoded; the reason says why.
    """
    excerpt = reader.excerpt(path, config, is_borrowed=True)
    windows = mfcc_windows(excerpt.samples, config)
    notes = [excerpt.warning] if excerpt.warning else []
    if len(excerpt.samples) < round(config.window_s * config.sample_rate_hz):
        notes.append(f"shorter than one window of {config.window_s:g} s: silence completes it")
    return Extraction(
        windows=windows,
        summary=summarise(windows, config.step_s),
        bit_rate=excerpt.bit_rate,
        length_known_s=excerpt.length_known_s,
        warning="; ".join(notes) or None,
    )
