"""A small catalogue with real sound: short mp3 files of genres that differ by ear."""

from __future__ import annotations

import os
from pathlib import Path

from ml.simulation.synthesis import synthesise, write_mp3

GENRES = ("Drone", "Techno", "Piano", "Percussion")
LENGTH_S = 4.0
#: Synthesised once a run, then linked under as many names as a catalogue needs.
DISTINCT = 16


def make_recordings(folder: Path, n: int = DISTINCT) -> list[Path]:
    """Write mp3 files whose genres take turns."""
    folder.mkdir(parents=True)
    recordings = [folder / f"recording{number}.mp3" for number in range(n)]
    for number, path in enumerate(recordings):
        write_mp3(path, synthesise([genre_of(number)], number, LENGTH_S))
    return recordings


def genre_of(number: int) -> str:
    return GENRES[number % len(GENRES)]


def plant_catalogue(
    folder: Path, recordings: list[Path], n_tracks: int, *, n_labelled: int | None = None
) -> Path:
    """Link recordings as the tracks of a catalogue; return its table.

    The table has the genre of the first `n_labelled` tracks (None: of all).
    """
    folder.mkdir(parents=True)
    rows = ["filename,genre"]
    for number in range(n_tracks):
        name = f"track{number:03d}.mp3"
        os.link(recordings[number % len(recordings)], folder / name)
        is_labelled = n_labelled is None or number < n_labelled
        rows.append(f"{name},{genre_of(number) if is_labelled else ''}")
    table = folder / "catalogue.csv"
    table.write_text("\n".join(rows) + "\n")
    return table
