"""Cost of features: middle 40 s of a 180 s mp3 to MFCC windows, ours and other ways.

    python -m benchmarks.features [--tracks 6] [--rounds 3] [--audio DIR]

Every row has its own process, pinned to one core and one thread; the rows take turns, round by
round, over the same files. The figure is processor time per track (own and children's); the
lowest of the rounds counts. Files are synthesised (CBR 128 to 320 and VBR) unless a folder is
given. Bars: at least 6 times cheaper than the study's way, at most 1.65 times decoding alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import numpy as np

RATE_HZ = 44_100
TRACK_S = 180
RESULTS = Path(__file__).parent / "results"
#: (bitrate_mode, compression_level): libsndfile maps the level to 320 .. 32 kb/s or V0 .. V9.
QUALITIES = [
    ("CONSTANT", 0.0),
    ("CONSTANT", 0.45),
    ("CONSTANT", 0.7),
    ("VARIABLE", 0.0),
    ("VARIABLE", 0.2),
    ("VARIABLE", 0.4),
]


def synthesise(folder: Path, count: int) -> list[Path]:
    """Write mp3 files of chords, beats and noise: no two seconds are alike."""
    return [_synthesise_one(folder / f"{i}.mp3", i) for i in range(count)]


def _synthesise_one(path: Path, seed: int) -> Path:
    import soundfile as sf

    rng = np.random.default_rng(seed)
    mode, level = QUALITIES[seed % len(QUALITIES)]
    with sf.SoundFile(
        path, "w", RATE_HZ, 2, format="MP3", bitrate_mode=mode, compression_level=level
    ) as out:
        for second in range(TRACK_S):
            out.write(_second(rng, second))
    return path


def _second(rng: np.random.Generator, second: int) -> np.ndarray:
    t = np.arange(RATE_HZ) / RATE_HZ
    root = 55 * 2 ** (rng.integers(0, 24) / 12)
    x = sum(
        rng.uniform(0.1, 1) / n * np.sin(2 * np.pi * root * n * t + rng.uniform(0, 6))
        for n in range(1, 24)
    )
    beat = np.exp(-((t * 4) % 1) * 12) * rng.standard_normal(RATE_HZ)
    stereo = np.stack([x + 0.6 * beat, 0.7 * x + 0.8 * beat], axis=1)
    stereo += 0.05 * rng.standard_normal(stereo.shape)
    return (0.12 * stereo).astype(np.float32)


def study() -> Callable[[Path], object]:
    """The study's way: the file to a wav by ffmpeg; per sample the wav again, and psf."""
    import python_speech_features as psf
    from scipy.io import wavfile

    folder = Path(tempfile.mkdtemp())

    def run(path: Path) -> object:
        wav = folder / "track.wav"
        command = ["ffmpeg", "-y", "-loglevel", "error", "-threads", "1", "-i", path]
        subprocess.run([*command, "-ac", "1", "-ar", str(RATE_HZ), wav], check=True)
        frames = len(wavfile.read(wav)[1])
        return [
            _psf(psf, wavfile.read(wav)[1][first : first + RATE_HZ])
            for first in _starts(_middle(frames))
        ]

    return run


def study_without_ffmpeg() -> Callable[[Path], object]:
    """The same where ffmpeg is missing: the whole file by soundfile, then psf."""
    import python_speech_features as psf
    import soundfile as sf

    def run(path: Path) -> object:
        signal = sf.read(path, dtype="float32")[0]
        mono = (signal[:, 0] + signal[:, 1]) * np.float32(0.5)
        return [
            _psf(psf, mono[first : first + RATE_HZ]) for first in _starts(_middle(len(mono)))
        ]

    return run


def _middle(frames: int) -> slice:
    wanted = min(frames, 40 * RATE_HZ)
    start = (frames - wanted) // 2
    return slice(start, start + wanted)


def _starts(excerpt: slice) -> range:
    return range(excerpt.start, excerpt.stop - RATE_HZ + 1, RATE_HZ)


def _psf(psf: ModuleType, window: np.ndarray) -> np.ndarray:
    """The study's parameters: filters up to half the sample rate."""
    return psf.mfcc(window, RATE_HZ, numcep=13, nfilt=26, nfft=2_048)


def librosa_careful() -> Callable[[Path], object]:
    """Librosa used well: seek, native rate, one call for the excerpt."""
    import librosa
    import soundfile as sf

    def run(path: Path) -> object:
        start = max(0.0, sf.info(path).duration / 2 - 20)
        y, rate = librosa.load(path, sr=None, mono=True, offset=start, duration=40)
        return librosa.feature.mfcc(
            y=y, sr=rate, n_mfcc=13, n_mels=26, n_fft=2_048, hop_length=441, fmax=15_000
        )

    return run


def decode_only() -> Callable[[Path], object]:
    """Soundfile: seek to the middle and read 40 s, nothing else."""
    import soundfile as sf

    def run(path: Path) -> object:
        with sf.SoundFile(path) as file:
            wanted = min(file.frames, 40 * RATE_HZ)
            file.seek((file.frames - wanted) // 2)
            return file.read(wanted, dtype="float32")

    return run


def ours_in_process() -> Callable[[Path], object]:
    """Our decoding, windows and summary without the child."""
    from ml.audio.decoding import decode_excerpt
    from ml.audio.types import DecodeLimits
    from ml.features.mfcc import mfcc_windows
    from ml.features.summaries import summarise
    from ml.types import FEATURE_CONFIGS

    config, limits = FEATURE_CONFIGS["audiotag"], DecodeLimits()

    def run(path: Path) -> object:
        excerpt = decode_excerpt(os.fspath(path), config, limits)
        return summarise(mfcc_windows(excerpt.samples, config))

    return run


def ours_like_the_study() -> Callable[[Path], object]:
    """The same with the study's own parameters, for a like-for-like ratio."""
    return ours_through_the_child("seed-1s")


def ours_through_the_child(features: str = "audiotag") -> Callable[[Path], object]:
    """The way of the product: `ml.features.extraction.extract`."""
    from ml.audio.reader import AudioReader
    from ml.features.extraction import extract
    from ml.types import FEATURE_CONFIGS

    reader = AudioReader()

    def run(path: Path) -> object:
        return extract(reader, path, FEATURE_CONFIGS[features])

    run.child = reader  # type: ignore[attr-defined]
    return run


def ours_probe() -> Callable[[Path], object]:
    """The other pass: decode all of it once for length, peaks, loudness and hash."""
    from ml.audio.reader import AudioReader

    reader = AudioReader()

    def run(path: Path) -> object:
        return reader.probe(path)

    run.child = reader  # type: ignore[attr-defined]
    return run


ROWS: dict[str, Callable[[], Callable[[Path], object]]] = {
    "study: ffmpeg to wav; wav and psf per window": study,
    "study without ffmpeg: soundfile whole, psf": study_without_ffmpeg,
    "librosa: offset and duration, one mfcc": librosa_careful,
    "ours, through the child": ours_through_the_child,
    "the same with the study's parameters": ours_like_the_study,
    "ours, in one process": ours_in_process,
    "decode only: soundfile seek and read": decode_only,
    "probe, through the child (whole file)": ours_probe,
}
DECODE_ONLY = "decode only: soundfile seek and read"
OURS = "ours, through the child"
LIKE_THE_STUDY = "the same with the study's parameters"


def cpu_s(child_pid: int | None) -> float:
    """Processor time of this process, its ended children and one living child."""
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    if child_pid is not None:
        total += int(Path(f"/proc/{child_pid}/schedstat").read_text().split()[0]) / 1e9
    return total


def measure(row: str, files: list[Path]) -> dict[str, float]:
    """In the row's own process: the first file warms up and is not counted."""
    run = ROWS[row]()
    run(files[0])
    reader = getattr(run, "child", None)
    pid = reader.child_pid if reader else None
    cpu, wall = cpu_s(pid), time.perf_counter()
    for path in files:
        run(path)
    result = {
        "cpu_ms": (cpu_s(pid) - cpu) * 1_000 / len(files),
        "wall_ms": (time.perf_counter() - wall) * 1_000 / len(files),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
    }
    if reader:
        result["child_peak_mb"] = reader.peak_rss_bytes / 1e6
        reader.close()
    return result


def measure_in_a_process(row: str, files: list[Path]) -> dict[str, float]:
    """Start this module again, pinned to one core and one thread."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(threads, "1")}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.features", "--row", row, *map(str, files)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return json.loads(done.stdout)


def machine() -> dict[str, object]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    import scipy
    import soundfile

    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "soundfile": soundfile.__version__,
        "libsndfile": soundfile.__libsndfile_version__,
    }


def compare(files: list[Path], rounds: int) -> dict[str, dict[str, float]]:
    rows = [row for row in ROWS if "ffmpeg to wav" not in row or shutil.which("ffmpeg")]
    best: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for row in rows:
            result = measure_in_a_process(row, files)
            if row not in best or result["cpu_ms"] < best[row]["cpu_ms"]:
                best[row] = result
    study_row = next(iter(best))
    for result in best.values():
        result["times_cheaper_than_study"] = best[study_row]["cpu_ms"] / result["cpu_ms"]
        result["times_decode_only"] = result["cpu_ms"] / best[DECODE_ONLY]["cpu_ms"]
    return best


def report(rows: dict[str, dict[str, float]], about: dict[str, object]) -> None:
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    print(
        f"{'CPU ms per track':<46}{'cpu':>7}{'wall':>7}{'study/x':>9}{'x/decode':>9}{'MB':>6}"
    )
    for row, result in rows.items():
        print(
            f"{row:<46}{result['cpu_ms']:7.1f}{result['wall_ms']:7.1f}"
            f"{result['times_cheaper_than_study']:9.2f}{result['times_decode_only']:9.2f}"
            f"{result['peak_mb']:6.0f}"
        )
    like_for_like = rows[LIKE_THE_STUDY]["times_cheaper_than_study"]
    for name, is_met in (
        ("at least 6 times cheaper than the study, its parameters", like_for_like >= 6),
        ("at most 1.65 times decoding alone", rows[OURS]["times_decode_only"] <= 1.65),
    ):
        print(f"{'met' if is_met else 'MISSED'}: {name}")


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if len(sys.argv) > 2 and sys.argv[1] == "--row":
        print(json.dumps(measure(sys.argv[2], [Path(name) for name in sys.argv[3:]])))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tracks", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--audio", type=Path, help="a folder of mp3 files to use instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.audio:
            files = sorted(options.audio.rglob("*.mp3"))[: options.tracks]
        else:
            files = synthesise(Path(folder), options.tracks)
        rows, about = compare(files, options.rounds), machine()
    report(rows, about)
    RESULTS.mkdir(exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    result = {"machine": about, "tracks": len(files), "rounds": options.rounds, "rows": rows}
    (RESULTS / f"features-{stamp}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
