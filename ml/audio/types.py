"""What decoding takes and gives. Numpy only: the parent of the decoding child imports it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.types import FeatureConfig

#: Columns of the waveform: each has a lowest and a highest value.
PEAK_COLUMNS = 800


@dataclass(frozen=True)
class DecodeLimits:
    """What a file may be and may cost.

    Attributes
    ----------
    min_length_s : a shorter file has nothing to hear. max_length_s : decoded length.
    max_bytes : size of the file. max_channels, min_rate_hz, max_rate_hz : of its sound.
    memory_bytes : address space of the child. cpu_s : its processor time for one file.
    wall_s : seconds until the parent kills the child that works on one file.
    """

    min_length_s: float = 0.1
    max_length_s: float = 1_800.0
    max_bytes: int = 500_000_000
    max_channels: int = 8
    min_rate_hz: int = 8_000
    max_rate_hz: int = 192_000
    memory_bytes: int = 1_500_000_000
    cpu_s: int = 60
    wall_s: float = 60.0


@dataclass(frozen=True)
class Excerpt:
    """The middle of a track.

    Attributes
    ----------
    samples : float32, shape (n,), mono (mean of the channels), at the rate of the config.
    start_s : where it begins in the track.
    length_known_s : length of the track as far as known: stated by a header that agrees with
        the size of the file, counted over its frames, or counted by decoding.
    source_rate_hz, channels : of the file. container, subtype : libsndfile's names.
    bit_rate : bits a second, from bytes of sound and length.
    warning : what was mended or is missing, for a curator; None where all is well.
    """

    samples: npt.NDArray[np.float32]
    start_s: float
    length_known_s: float
    source_rate_hz: int
    channels: int
    container: str
    subtype: str
    bit_rate: int
    warning: str | None


@dataclass(frozen=True)
class Probe:
    """What one full decoding says about a file.

    Attributes
    ----------
    length_s : counted from the samples that came out, not from a header.
    loudness_db : gated RMS level in dB re full scale, see `ml.audio.levels.LoudnessMeter`; None
        for silence.
    peaks : int8, shape (800, 2): lowest and highest sample of any channel in each of 800
        equal parts, -127 .. 127 for -1 .. 1.
    is_silent : no sample exceeds -80 dB re full scale.
    mtime : modification time in seconds since the epoch; sha256 : of the file.
    The others as in `Excerpt`.
    """

    length_s: float
    sample_rate_hz: int
    channels: int
    container: str
    subtype: str
    bit_rate: int
    loudness_db: float | None
    peaks: npt.NDArray[np.int8]
    sha256: str
    size_bytes: int
    mtime: float
    is_silent: bool
    warning: str | None


def excerpt_frames(config: FeatureConfig) -> int:
    """Return the most samples that an excerpt of this config can have."""
    return round(config.excerpt_s * config.sample_rate_hz) + 1
