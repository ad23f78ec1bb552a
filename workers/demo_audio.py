"""Sound of the demo tracks, made in a few processes without the database."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from ml.simulation.library import SimulatedTracks
from ml.simulation.synthesis import synthesise, write_mp3


def make_audio(
    tracks: SimulatedTracks,
    lengths_s: Sequence[float],
    folder: Path,
    processes: int,
    progress: Callable[[int, int], None],
) -> int:
    """Write the missing files; return how many were made.

    An alternate mix sounds like its track, because it has the same seed.
    """
    wanted = []
    for n, key in enumerate(tracks.keys):
        path = folder / key
        if not path.exists():
            seed = int(tracks.family[n]) if tracks.family[n] >= 0 else n
            wanted.append((path, tracks.genres_of(n), seed, lengths_s[n]))
    if not wanted:
        return 0
    for path in {path.parent for path, *_ in wanted}:
        path.mkdir(parents=True, exist_ok=True)
    # Spawned, not forked: the parent may hold a database connection.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        jobs = [pool.submit(_make, *one) for one in wanted]
        for done, job in enumerate(as_completed(jobs), start=1):
            job.result()
            progress(done, len(jobs))
    return len(wanted)


def _make(path: Path, genres: list[str], seed: int, length_s: float) -> None:
    write_mp3(path, synthesise(genres, seed, length_s))
