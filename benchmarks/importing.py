"""Speed and memory of importing a whole catalogue.

    python benchmarks/importing.py [--tracks 48411] [--csv FILE]

Imports a made-up catalogue (or FILE) into an empty database in a folder of its own, twice, and
exports it. Prints rows/s of the whole command, with the start of the program, and peak memory.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_WITH_PEAK = """
import resource, runpy, sys
sys.argv = ["manage.py", *sys.argv[1:]]
try:
    runpy.run_path("manage.py", run_name="__main__")
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tracks", type=int, default=48_411)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-import-") as folder:
        data = Path(folder)
        catalogue = options.csv or made_up(data / "catalogue.csv", options.tracks)
        run(data, "migrate", "--noinput")
        for name in ("first import", "again"):
            answer, seconds, peak = run(
                data, "import_library", catalogue.resolve(), "--library", "bench", "--json"
            )
            rate = answer["rows_read"] / seconds
            print(f"{name}: {answer['rows_read']} rows, {rate:,.0f} rows/s, peak {peak} MB")
        for form in ("long", "wide", "consensus"):
            answer, seconds, peak = run(
                data, "export_annotations", "--library", "bench", "--format", form,
                "--out", data / f"{form}.csv", "--json",
            )  # fmt: skip
            rate = answer["rows"] / seconds
            print(f"export {form}: {answer['rows']} rows, {rate:,.0f} rows/s, peak {peak} MB")


def run(data: Path, *arguments: object) -> tuple[dict, float, int]:
    """Run a command in its own process; return its answer, seconds and peak MB."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _WITH_PEAK, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "AUDIOTAG_DATA": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    seconds = time.perf_counter() - start
    answer = json.loads(done.stdout) if "--json" in arguments else {}
    return answer, seconds, int(done.stderr.split()[-1])


def made_up(path: Path, n_tracks: int) -> Path:
    """Write a catalogue of one or two genres a track out of 55."""
    rng = random.Random(48_411)
    names = [f"Genre {n}" for n in range(55)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "genre1", "genre2"])
        for n in range(n_tracks):
            first, second = rng.sample(names, 2)
            writer.writerow(
                [f"PM{n // 18:05d}_{n % 18:02d}.mp3", first, rng.choice([second, ""])]
            )
    return path


if __name__ == "__main__":
    main()
