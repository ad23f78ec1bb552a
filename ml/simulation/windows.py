"""MFCC windows of simulated tracks, without synthesising sound.

For the experiments. Numpy only. `ml.simulation.library` gives each track a point in feature
space; here that point becomes frames that resemble those of recorded music. The constants below
are the moments of the `seed-1s` coefficients over 38 recordings of many genres, so that scaling
by the global minimum and maximum, for example, meets realistic ranges.

Model
-----
The 39 numbers of a point, plus a deviation for each window, give for each of the 13
coefficients an offset of its mean, and the log amplitudes of a slow and of a fast wave over
time. Frame noise (autoregressive) and, in a few windows, digital silence are added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.errors import ParameterError
from ml.simulation.library import SimulatedTracks
from ml.types import Doubles, FloatArray, Hashed

N_COEFFICIENTS = 13
#: Size of a track's point: mean offset, slow wave and fast wave of each coefficient.
N_FEATURES = 3 * N_COEFFICIENTS
FRAMES, STEP_S = 99, 0.010
#: Frames of a quarter-second window (24, not 25: the last analysis frame must fit).
QUARTER_FRAMES, _QUARTER_STARTS = 24, (0, 25, 50, 75)

#: Mean over all frames, deviation between tracks and within a window, per coefficient.
_MEAN = np.array([-2.9, 15.6, -15.3, 13.5, -13.2, 14.0, -9.8, 8.9, -5.8, 6.5, -2.6, 4.2, -1.4])
_BETWEEN = np.array([1.3, 11.3, 9.1, 11.4, 8.9, 9.6, 7.9, 9.2, 7.0, 8.1, 6.3, 6.3, 4.2])
_WITHIN = np.array([0.8, 7.2, 7.1, 7.5, 8.0, 8.2, 8.9, 9.1, 9.3, 9.0, 8.9, 8.4, 7.6])
_AUTOCORRELATION = 0.7
#: Coefficient 0 of digital silence: the log of the smallest energy that is not zero.
_SILENCE = -36.04
_SLOW_HZ, _FAST_HZ = (1.5, 4.0), (8.0, 16.0)


@dataclass(frozen=True)
class WindowModel(Hashed):
    """Parameters of the way from points to windows.

    Attributes
    ----------
    windows_per_track : >= 1.
    window_deviation : deviation of a window's point from its track's, in the unit of the noise
        of `ml.simulation.library`; recordings have about 0.8.
    wave_share : amplitude of both waves at the middle of feature space, as a share of the
        deviation within a window.
    wave_response : change of the log of an amplitude per unit of its number.
    silent_share : share of windows that begin or end in digital silence.

    Raises
    ------
    ParameterError : a value is out of range.
    """

    windows_per_track: int = 4
    window_deviation: float = 0.8
    wave_share: float = 0.5
    wave_response: float = 0.4
    silent_share: float = 0.02

    def __post_init__(self) -> None:
        if self.windows_per_track < 1 or not 0 <= self.silent_share <= 1:
            raise ParameterError(
                f"windows_per_track {self.windows_per_track} must be >= 1 and silent_share "
                f"{self.silent_share} in 0..1"
            )


def simulate_windows(tracks: SimulatedTracks, model: WindowModel) -> FloatArray:
    """Simulate the windows of tracks; the same tracks give the same windows.

    Parameters
    ----------
    tracks : simulated with `n_features` = 39.
    model : parameters of the windows.

    Returns
    -------
    float32 array (n_tracks, windows_per_track, 99, 13).

    Raises
    ------
    ParameterError : the tracks have another number of features.

    Examples
    --------
    >>> from ml.simulation.library import SimulationConfig, simulate_tracks
    >>> tracks = simulate_tracks(SimulationConfig(n_tracks=3, n_features=39))
    >>> simulate_windows(tracks, WindowModel(windows_per_track=2)).shape
    (3, 2, 99, 13)
    """
    n_tracks, n_features = tracks.features.shape
    if n_features != N_FEATURES:
        raise ParameterError(f"n_features is {n_features}; windows need {N_FEATURES}")
    rng = np.random.default_rng([tracks.config.seed, 1])
    n_windows = n_tracks * model.windows_per_track
    points = np.repeat(tracks.features, model.windows_per_track, axis=0).astype(np.float64)
    points += model.window_deviation * rng.normal(size=points.shape)
    unit = np.sqrt(points.var(axis=0).mean())
    offset, slow, fast = np.split(points, 3, axis=1)
    frames = np.empty((n_windows, FRAMES, N_COEFFICIENTS), dtype=np.float32)
    frames[:] = (_MEAN + offset / unit * _BETWEEN)[:, None]
    for numbers, band in ((slow, _SLOW_HZ), (fast, _FAST_HZ)):
        frames += _waves(numbers / unit, band, model, rng)
    frames += _frame_noise(n_windows, rng)
    _silence(frames, model.silent_share, rng)
    return frames.reshape(n_tracks, model.windows_per_track, FRAMES, N_COEFFICIENTS)


def quarter_windows(windows: FloatArray) -> FloatArray:
    """Divide windows of 1 s into quarter seconds.

    Parameters
    ----------
    windows : float32 array (..., w, 99, 13).

    Returns
    -------
    float32 array (..., 4 w, 24, 13).

    Examples
    --------
    >>> quarter_windows(np.zeros((5, 2, 99, 13), np.float32)).shape
    (5, 8, 24, 13)
    """
    parts = [windows[..., start : start + QUARTER_FRAMES, :] for start in _QUARTER_STARTS]
    stacked = np.stack(parts, axis=-3)
    shape = (*windows.shape[:-3], -1, QUARTER_FRAMES, windows.shape[-1])
    return stacked.reshape(shape)


def _waves(
    numbers: Doubles,
    band_hz: tuple[float, float],
    model: WindowModel,
    rng: np.random.Generator,
) -> FloatArray:
    amplitude = model.wave_share * _WITHIN * np.exp(model.wave_response * numbers)
    hz = rng.uniform(*band_hz, size=len(numbers))
    phase = rng.uniform(0, 2 * np.pi, size=numbers.shape)
    at_s = STEP_S * np.arange(FRAMES)
    angle = 2 * np.pi * hz[:, None, None] * at_s[None, :, None] + phase[:, None]
    waves: FloatArray = np.sin(angle.astype(np.float32))
    waves *= amplitude[:, None].astype(np.float32)
    return waves


def _frame_noise(n_windows: int, rng: np.random.Generator) -> FloatArray:
    noise = rng.normal(size=(n_windows, FRAMES, N_COEFFICIENTS)).astype(np.float32)
    innovation = np.sqrt(1 - _AUTOCORRELATION**2)
    for frame in range(1, FRAMES):
        noise[:, frame] = _AUTOCORRELATION * noise[:, frame - 1] + innovation * noise[:, frame]
    scaled: FloatArray = noise * _WITHIN.astype(np.float32)
    return scaled


def _silence(frames: FloatArray, share: float, rng: np.random.Generator) -> None:
    """Put digital silence at the start or the end of some windows, in place."""
    silent = np.zeros(N_COEFFICIENTS, dtype=np.float32)
    silent[0] = _SILENCE
    for window in np.flatnonzero(rng.random(len(frames)) < share):
        length = int(rng.integers(5, FRAMES // 2))
        part = slice(None, length) if rng.random() < 0.5 else slice(FRAMES - length, None)
        frames[window, part] = silent
