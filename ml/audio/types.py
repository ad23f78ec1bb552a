"""Limits, excerpts and probes: the values that go into decoding and come out of it.

Numpy only: the parent of the decoding child imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.types import FeatureConfig

#: Version of the rules by which files are decoded. It changes with the parts that are read of a
#: file, and with where the excerpt is taken; files of an older version are worth another probe.
DECODING = 1
#: Columns of the waveform; each has a lowest and a highest value.
PEAK_COLUMNS = 800


@dataclass(frozen=True)
class DecodeLimits:
    """Limits on a file and on the cost of decoding it.

    Attributes
    ----------
    min_length_s : shorter files are refused, in seconds.
    max_length_s : longer files are refused, in seconds.
    max_bytes : largest size of a file.
    max_channels, min_rate_hz, max_rate_hz : accepted formats.
    memory_bytes : address space of the child.
    cpu_s : processor time of the child for one file, in seconds.
    wall_s : seconds after which the parent kills a child that works on one file.
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
    """The middle of a track, or what `ml.audio.mixing` takes instead.

    Attributes
    ----------
    samples : float32 array (n,), mono, at the rate of the config.
    start_s : start of the excerpt in the track, in seconds.
    length_known_s : length of the track in seconds, as far as known: stated by a header that
        agrees with the size of the file, counted over its frames, or counted by decoding.
    source_rate_hz, channels : format of the file.
    container, subtype : format, as libsndfile names it.
    bit_rate : bits per second, from bytes of sound and length.
    warning : what was mended or is missing, for a curator; None when all is well.
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
    """Measurements of one full decoding of a file.

    Attributes
    ----------
    length_s : length in seconds, counted from the decoded samples, not from a header.
    sample_rate_hz, channels, container, subtype, bit_rate, warning : as in `Excerpt`.
    loudness_db : gated RMS level in dB re full scale, see `ml.audio.levels.LoudnessMeter`; None
        for silence.
    peaks : int8 array (800, 2): lowest and highest sample of any channel in each of 800 equal
        parts, -127 .. 127 for -1 .. 1.
    sha256 : hash of the file, 64 hexadecimal digits.
    size_bytes : size of the file.
    mtime : its modification time, in seconds since the epoch.
    is_silent : no sample exceeds -80 dB re full scale, or there is only a constant offset.
    unplayable : why browsers cannot play the file; None if they can.
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
    unplayable: str | None = None


def excerpt_frames(config: FeatureConfig) -> int:
    """Return the largest number of samples that an excerpt can have.

    Parameters
    ----------
    config : with `excerpt_s` and `sample_rate_hz`.

    Returns
    -------
    int

    Examples
    --------
    >>> excerpt_frames(FeatureConfig("seed-1s"))
    1764001
    """
    return round(config.excerpt_s * config.sample_rate_hz) + 1
