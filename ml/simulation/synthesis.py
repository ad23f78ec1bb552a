"""Sound of the simulated tracks: music-like audio in a dozen genres that differ audibly.

For the demo library and the tests: it exercises everything from file to prediction without any
recording. Numpy only; `write_mp3` imports soundfile when it is called, so this module can be
imported anywhere, but only workers and commands may call that function.

A genre is a function that fills a short loop. The loop is repeated to the length of the track,
its level rises and falls, and a track with two genres is the sum of both at equal loudness.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from ml.errors import ParameterError
from ml.simulation.genre_loops import GENRE_LOOPS
from ml.simulation.instruments import Loop
from ml.types import FloatArray

#: Genres that can be synthesised, named as in the study.
SYNTHESISED_GENRES: tuple[str, ...] = tuple(GENRE_LOOPS)
_LOUDNESS = 0.12
_PEAK = 0.9
_FADE_S = 0.4


def synthesise(
    genres: Sequence[str], seed: int, duration_s: float, rate: int = 44_100
) -> FloatArray:
    """Synthesise a track of one or more genres.

    Parameters
    ----------
    genres : names in `SYNTHESISED_GENRES`, at least one; the first is a little louder.
    seed : seed of key, tempo, pattern and timbre; the same seed gives the same samples.
    duration_s : length in seconds, > 0.
    rate : samples per second.

    Returns
    -------
    float32 array (n_samples, 2) within -0.9 and 0.9.

    Raises
    ------
    ParameterError : an unknown genre, none at all, or a length of 0.

    Examples
    --------
    >>> synthesise(["Percussion"], seed=1, duration_s=0.5, rate=8_000).shape
    (4000, 2)
    """
    unknown = [genre for genre in genres if genre not in GENRE_LOOPS]
    if unknown or not genres:
        raise ParameterError(
            f"genres {list(genres)} must be one or more of {', '.join(SYNTHESISED_GENRES)}"
        )
    n = round(duration_s * rate)
    if n < 1:
        raise ParameterError(f"duration_s is {duration_s}; it must be above 0")
    mixed = np.zeros((2, n), dtype=np.float32)
    for place, genre in enumerate(genres):
        rng = np.random.default_rng([seed, place, SYNTHESISED_GENRES.index(genre)])
        loop = GENRE_LOOPS[genre](rng, rate)
        loop.samples *= np.float32(0.8**place) / _root_mean_square(loop)
        mixed += loop.tiled(n) * _level_curve(n, loop.n, rng)
    mixed *= _fade(n, rate)
    peak = float(np.abs(mixed).max())
    mixed *= np.float32(min(_LOUDNESS, _PEAK / peak if peak > 0 else _LOUDNESS))
    return np.ascontiguousarray(mixed.T)


def write_mp3(path: pathlib.Path, samples: FloatArray, rate: int = 44_100) -> None:
    """Write an mp3 file completely or not at all, under a temporary name at first.

    Parameters
    ----------
    path : the file; its folder must exist.
    samples : float32 array (n, channels) in [-1, 1].
    rate : samples per second.
    """
    import soundfile

    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    channels = samples.shape[1] if samples.ndim == 2 else 1
    try:
        with soundfile.SoundFile(
            temporary, "w", rate, channels, format="MP3", subtype="MPEG_LAYER_III"
        ) as file:
            # One large block makes the encoder of libsndfile crash.
            for start in range(0, len(samples), rate):
                file.write(samples[start : start + rate])
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _root_mean_square(loop: Loop) -> np.float32:
    return np.float32(max(1e-6, float(np.sqrt(np.mean(loop.samples**2)))))


def _level_curve(n: int, n_loop: int, rng: np.random.Generator) -> FloatArray:
    """Return the level of each pass of the loop, gliding from one to the next."""
    levels = rng.uniform(0.6, 1.0, n // n_loop + 2)
    at = np.arange(0, n + 1_024, 1_024)
    coarse = np.interp(at / n_loop, np.arange(len(levels)), levels)
    return np.interp(np.arange(n), at, coarse).astype(np.float32)


def _fade(n: int, rate: int) -> FloatArray:
    shape = np.ones(n, dtype=np.float32)
    edge = min(int(_FADE_S * rate), n // 2)
    shape[:edge] = np.linspace(0, 1, edge, endpoint=False)
    shape[n - edge :] = np.linspace(1, 0, edge)
    return shape
