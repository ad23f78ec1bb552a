"""The synthetic tracks: length, level, repeatability, difference by genre, and the mp3."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from python_speech_features import mfcc

from ml.constants import GENRE_COUNTS
from ml.errors import ParameterError
from ml.simulation.instruments import (
    Loop,
    decay,
    envelope,
    harmonics,
    kick,
    midi_hz,
    tone,
    wavetable,
)
from ml.simulation.synthesis import SYNTHESISED_GENRES, synthesise, write_mp3

RATE = 22_050


def test_at_least_ten_genres_of_the_study_can_be_heard():
    assert len(SYNTHESISED_GENRES) >= 10
    assert set(SYNTHESISED_GENRES) <= set(GENRE_COUNTS)


@pytest.mark.parametrize("genre", SYNTHESISED_GENRES)
def test_every_genre_is_stereo_finite_and_neither_silent_nor_clipped(genre):
    samples = synthesise([genre], 4, 3.0, RATE)
    assert samples.shape == (3 * RATE, 2)
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 0.9 + 1e-6
    assert 0.03 < np.sqrt((samples**2).mean()) < 0.3
    assert abs(samples.mean()) < 0.01


def test_the_same_seed_gives_the_same_samples_and_another_seed_another_track():
    first = synthesise(["Techno"], 1, 2.0, RATE)
    np.testing.assert_array_equal(first, synthesise(["Techno"], 1, 2.0, RATE))
    other = synthesise(["Techno"], 2, 2.0, RATE)
    assert np.abs(first - other).max() > 0.05


def test_a_longer_track_is_longer_than_its_loop_and_keeps_going():
    samples = synthesise(["Percussion"], 3, 25.0, RATE)
    seconds = samples[: 25 * RATE].reshape(25, -1)
    assert (np.abs(seconds).max(axis=1) > 0.05).all()


def test_two_genres_hold_the_sound_of_both():
    """High-frequency energy of the hats, and the low partials of the drone."""

    def share_above(samples, frequency):
        spectrum = np.abs(np.fft.rfft(samples.mean(axis=1))) ** 2
        at = np.fft.rfftfreq(len(samples), 1 / RATE)
        return spectrum[at > frequency].sum() / spectrum.sum()

    drone, techno, both = (
        share_above(synthesise(genres, 5, 6.0, RATE), 4_000)
        for genres in (["Drone"], ["Techno"], ["Drone", "Techno"])
    )
    assert drone < both < techno


def test_genres_lie_apart_in_their_mean_mfcc():
    """Nearest centroid over six seeds a genre, each left out in turn: at least 85 % right."""
    genres = SYNTHESISED_GENRES
    points = np.array(
        [
            [statistics(synthesise([genre], seed, 6.0, RATE)) for seed in range(6)]
            for genre in genres
        ]
    )
    points = (points - points.mean(axis=(0, 1))) / points.std(axis=(0, 1))
    right = 0
    for seed in range(6):
        centroids = np.delete(points, seed, axis=1).mean(axis=1)
        gaps = np.linalg.norm(points[:, seed, None] - centroids[None], axis=2)
        right += (gaps.argmin(axis=1) == np.arange(len(genres))).sum()
    assert right / (6 * len(genres)) >= 0.85


def statistics(samples):
    mono = 32_768 * samples.mean(axis=1)
    frames = mfcc(mono, RATE, 0.025, 0.02, numcep=13, nfilt=26, nfft=1_024)
    changes = np.abs(np.diff(frames, axis=0)).mean(axis=0)
    return np.concatenate([frames.mean(axis=0), frames.std(axis=0), changes])


@pytest.mark.parametrize(
    ("genres", "duration_s"), [([], 1.0), (["Filmscore"], 1.0), (["Drone"], 0.0)]
)
def test_what_cannot_be_made_is_refused(genres, duration_s):
    with pytest.raises(ParameterError):
        synthesise(genres, 0, duration_s)


def test_the_mp3_is_whole_decodes_to_its_length_and_leaves_no_part(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "a track.mp3"
    samples = synthesise(["Piano", "A Cappella"], 2, 2.5)
    write_mp3(path, samples)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a track.mp3"]
    decoded, rate = soundfile.read(path)
    assert (rate, decoded.shape[1]) == (44_100, 2)
    assert len(decoded) == pytest.approx(len(samples), abs=2_400)
    assert np.sqrt((decoded**2).mean()) == pytest.approx(np.sqrt((samples**2).mean()), rel=0.1)


def test_a_failed_write_leaves_nothing_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "track.mp3"
    path.write_bytes(b"old")
    with pytest.raises(Exception, match=r"."):
        write_mp3(path, np.zeros((10, 2, 2), dtype=np.float32))
    assert [entry.name for entry in tmp_path.iterdir()] == ["track.mp3"]
    assert path.read_bytes() == b"old"


def test_the_simulation_and_the_synthesis_load_no_audio_library():
    code = (
        "import sys, ml.simulation.library, ml.simulation.answers, ml.simulation.synthesis,"
        " ml.acquisition.strategies, ml.consistency.agreement, ml.consistency.aggregation,"
        " ml.metrics.scores, ml.metrics.calibration, ml.metrics.splits;"
        "print(sorted({name.split('.')[0] for name in sys.modules}"
        " & {'soundfile', 'scipy', 'pandas', 'sklearn', 'librosa', 'tensorflow', 'django'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_pitch_of_a_tone_is_the_one_asked_for():
    assert midi_hz(69) == 440.0
    assert midi_hz(57) == pytest.approx(220.0)
    samples = tone(wavetable([1.0, 0.5]), 440.0, 1.0, RATE)
    assert np.abs(np.fft.rfft(samples)).argmax() == 440


def test_harmonics_stay_below_the_top():
    samples = tone(harmonics(1_000.0, 1.0, RATE, top_hz=4_500), 1_000.0, 1.0, RATE)
    spectrum = np.abs(np.fft.rfft(samples))
    assert spectrum[4_000] > 100 * spectrum[5_000:].max() / 10


def test_envelopes_begin_and_end_at_nothing():
    assert envelope(100, 0.01, 0.01, 1_000)[[0, 50, -1]].tolist() == [0, 1, 0]
    assert envelope(1, 1, 1, 1_000).shape == (1,)
    falling = decay(1_000, 0.1, 1_000)
    assert falling[100] == pytest.approx(np.exp(-1), rel=1e-5)
    assert kick(RATE)[0] == 0


def test_what_runs_past_the_end_of_a_loop_comes_round():
    loop = Loop(1.0, 10)
    loop.add(0.8, np.ones(5, np.float32), 0.5)
    assert loop.samples[0].tolist() == [0.5, 0.5, 0.5, 0, 0, 0, 0, 0, 0.5, 0.5]
    loop.add(0.0, np.ones(2, np.float32), 1.0, pan=1.0)
    assert loop.samples[:, 0].tolist() == [0.5, 1.5]
    assert loop.tiled(25).shape == (2, 25)
    np.testing.assert_array_equal(loop.tiled(25)[:, :10], loop.tiled(25)[:, 10:20])
