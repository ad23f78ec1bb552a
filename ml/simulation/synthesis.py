"""The sound of the simulated tracks: music-like audio in a dozen genres that differ by ear.

For the demo library and the tests: it lets the whole way from file to prediction run without
any recording. Numpy only; `write_mp3` imports soundfile when it is called, so this module may
be loaded anywhere, but only workers and commands may call that function.

A genre is a function that fills a short loop; the loop is repeated to the length, its parts
rise and fall, and a track with two genres is the sum of both at equal loudness.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.simulation.genre_loops import RECIPES
from ml.simulation.instruments import Loop

#: Genres that can be heard, named as in the study.
SYNTHESISED_GENRES: tuple[str, ...] = tuple(RECIPES)
_LOUDNESS = 0.12
_PEAK = 0.9
_FADE_S = 0.4


def synthesise(
    genres: Sequence[str], seed: int, duration_s: float, rate: int = 44_100
) -> npt.NDArray[np.float32]:
    """Make a track of one or more genres.

    Parameters
    ----------
    genres : names out of `SYNTHESISED_GENRES`, at least one; the first is a little louder.
    seed : of key, tempo, pattern and timbre; the same seed gives the same samples.
    duration_s : length in seconds, > 0. rate : samples a second.

    Returns
    -------
    float32 (n_samples, 2) within -0.9 and 0.9.

    Raises
    ------
    ParameterError : an unknown genre, none at all, or a length of 0.
    """
    unknown = [genre for genre in genres if genre not in RECIPES]
    if unknown or not genres:
        raise ParameterError(f"genres {list(genres)} must be some of {SYNTHESISED_GENRES}")
    n = round(duration_s * rate)
    if n < 1:
        raise ParameterError(f"duration_s {duration_s} must be above 0")
    mixed = np.zeros((2, n), dtype=np.float32)
    for place, genre in enumerate(genres):
        rng = np.random.default_rng([seed, place, SYNTHESISED_GENRES.index(genre)])
        loop = RECIPES[genre](rng, rate)
        loop.samples *= np.float32(0.8**place) / _root_mean_square(loop)
        mixed += loop.tiled(n) * _course(n, loop.n, rng)
    mixed *= _fade(n, rate)
    peak = float(np.abs(mixed).max())
    mixed *= np.float32(min(_LOUDNESS, _PEAK / peak if peak > 0 else _LOUDNESS))
    return np.ascontiguousarray(mixed.T)


def write_mp3(path: pathlib.Path, samples: npt.NDArray[np.float32], rate: int = 44_100) -> None:
    """Write an mp3 that is either whole or not there: a temporary name, then a rename.

    Parameters
    ----------
    path : file to make; its folder must exist. samples : float32 (n, channels) in [-1, 1].
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


def _course(n: int, n_loop: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """How loud each pass of the loop is, gliding from one to the next: a track has a shape."""
    levels = rng.uniform(0.6, 1.0, n // n_loop + 2)
    at = np.arange(0, n + 1_024, 1_024)
    coarse = np.interp(at / n_loop, np.arange(len(levels)), levels)
    return np.interp(np.arange(n), at, coarse).astype(np.float32)


def _fade(n: int, rate: int) -> npt.NDArray[np.float32]:
    shape = np.ones(n, dtype=np.float32)
    edge = min(int(_FADE_S * rate), n // 2)
    shape[:edge] = np.linspace(0, 1, edge, endpoint=False)
    shape[n - edge :] = np.linspace(1, 0, edge)
    return shape
