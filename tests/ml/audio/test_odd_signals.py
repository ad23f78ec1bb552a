"""Signals that a plain middle or a plain mean would make silent, and wrong scales."""

from __future__ import annotations

import numpy as np
import pytest

from ml.audio.cells import CellMeter
from ml.audio.reader import AudioReader
from ml.types import FEATURE_CONFIGS
from tests.ml import odd

CONFIG = FEATURE_CONFIGS["audiotag"]
RATE = 8_000
CANCEL = "channels cancel each other"


@pytest.fixture(scope="module")
def reader():
    with AudioReader() as reader:
        yield reader


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("signals")


def heard(reader, folder, samples, rate_hz=RATE, **options):
    """Return (probe, excerpt); their warnings agree."""
    path = odd.write(folder / "a.wav", np.asarray(samples, "f4"), rate_hz, **options)
    probe, excerpt = reader.probe(path), reader.excerpt(path, CONFIG)
    for clause in (probe.warning or "").split("; "):
        assert clause in (excerpt.warning or "")
    return probe, excerpt


def rms(samples):
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def mono(seconds=5.0, seed=0):
    return odd.sound(seconds, RATE, 1, seed)[:, 0] * 2


def test_stereo_in_opposite_phase_keeps_its_power(reader, folder):
    one = odd.tone(5, 300)[:, 0]
    probe, excerpt = heard(reader, folder, np.stack([one, -one], 1))
    assert f"{CANCEL} in" not in probe.warning
    assert CANCEL in probe.warning
    assert rms(excerpt.samples) == pytest.approx(0.283, abs=0.005)
    assert not probe.is_silent


@pytest.mark.parametrize(
    ("factors", "least"),
    [
        ((1, -0.9), 0.9),
        ((1, -0.7), 0.8),
        ((0.5, -0.5, 0.5, -0.5), 0.45),
        ((1, -1, 0, 0, 0, 0), 0.3),
        ((0, 0, 0.7, -0.7), 0.3),
    ],
)
def test_channels_that_cancel_nearly_or_in_pairs(reader, folder, factors, least):
    one = mono()
    probe, excerpt = heard(reader, folder, one[:, None] * np.array(factors))
    assert CANCEL in probe.warning
    assert rms(excerpt.samples) > least * rms(one)


def test_opposite_phase_in_a_part_of_the_track(reader, folder):
    one = mono(60)
    other = one.copy()
    other[35 * RATE :] *= -1
    probe, excerpt = heard(reader, folder, np.stack([one, other], 1), subtype="FLOAT")
    assert "channel 1 alone was used" in probe.warning
    quarters = excerpt.samples.reshape(4, -1)
    assert min(map(rms, quarters)) > 0.9 * rms(one)


def test_two_pairs_in_opposite_phase_are_both_heard(reader, folder):
    low, high = odd.tone(5, 300)[:, 0], odd.tone(5, 3_000)[:, 0]
    _, excerpt = heard(reader, folder, np.stack([low, -low, high, -high], 1))
    power = np.abs(np.fft.rfft(excerpt.samples)) ** 2
    hz = np.fft.rfftfreq(len(excerpt.samples), 1 / 44_100)
    at_low, at_high = (power[abs(hz - middle) < 20].sum() for middle in (300, 3_000))
    assert at_low == pytest.approx(at_high, rel=0.1)


@pytest.mark.parametrize("kind", ["equal", "unlike", "one side", "wide", "short effect", "six"])
def test_ordinary_stereo_is_the_mean_to_the_bit(reader, folder, kind):
    left, right = mono(45), mono(45, seed=1)
    samples = {
        "equal": np.stack([left, left], 1),
        "unlike": np.stack([left, right], 1),
        "one side": np.stack([left, left * 0], 1),
        "wide": np.stack([left + right, left - right], 1) / 2,
        "short effect": np.stack(
            [left, np.where(np.arange(len(left)) < 4 * RATE, -1, 1) * left], 1
        ),
        "six": np.stack([left, right, left * 0, right * 0, left, -right * 0.2], 1),
    }[kind].astype("f4")
    path = odd.write(folder / "a.wav", samples, RATE, subtype="FLOAT")
    assert reader.probe(path).warning is None
    config = type(CONFIG).from_dict(
        {**CONFIG.canonical(), "sample_rate_hz": RATE, "fmax_hz": 3_600}
    )
    excerpt = reader.excerpt(path, config)
    first = round(2.5 * RATE)
    part = samples[first : first + 40 * RATE]
    expected = part[:, 0] + part[:, 1]
    for channel in range(2, part.shape[1]):
        expected += part[:, channel]
    expected *= np.float32(1 / part.shape[1])
    assert np.array_equal(excerpt.samples, expected)


def with_silence(*parts, noise=0.0):
    """Seconds of music (positive) and of silence (negative)."""
    rng = np.random.default_rng(0)
    pieces = [mono(abs(part)) if part > 0 else np.zeros(-part * RATE) for part in parts]
    samples = np.concatenate(pieces)
    return (samples + noise * rng.standard_normal(len(samples)))[:, None]


@pytest.mark.parametrize(
    ("parts", "begins", "start"),
    [
        ((15, -60, 15), "0:00", 0),
        ((10, -60, 20), "0:50", 50),
        ((30, -30, 30), "0:00", 0),
        ((60, -200, 60), "0:20", 20),
        ((5, -100), "0:00", 0),
    ],
)
@pytest.mark.parametrize("noise", [0.0, 1e-4])
def test_a_silent_middle_moves_the_excerpt(reader, folder, parts, begins, start, noise):
    probe, excerpt = heard(reader, folder, with_silence(*parts, noise=noise), subtype="PCM_16")
    assert f"the middle is silent: the excerpt begins at {begins}" in probe.warning
    assert excerpt.start_s == start
    assert rms(excerpt.samples) > 0.03


@pytest.mark.parametrize(
    "parts", [(60,), (40, -5, 40), (35, -20, 35), (-30, 60, -30), (20, -8, 5)]
)
def test_pauses_leave_the_excerpt_in_the_middle(reader, folder, parts):
    probe, excerpt = heard(reader, folder, with_silence(*parts))
    assert probe.warning is None
    assert excerpt.start_s == max(0, (sum(map(abs, parts)) - 40) / 2)


def test_silence_everywhere_is_only_silence(reader, folder):
    probe, excerpt = heard(reader, folder, np.zeros((60 * RATE, 2)))
    assert (probe.is_silent, probe.warning, probe.loudness_db) == (True, None, None)
    assert excerpt.start_s == 10


@pytest.mark.parametrize("levels", [(0.5,), (0.3, -0.3), (0.001, 0.0)])
def test_a_constant_offset_is_silence(reader, folder, levels):
    samples = np.ones((50 * RATE, 1)) * np.array(levels)
    probe, _ = heard(reader, folder, samples, subtype="FLOAT")
    assert "silent: it holds a constant offset" in probe.warning
    assert probe.is_silent
    assert probe.loudness_db is None


def test_music_on_an_offset_is_music(reader, folder):
    one = mono(5) * 0.5 + 0.3
    probe, _ = heard(reader, folder, np.stack([one, one], 1))
    assert (probe.is_silent, probe.warning) == (False, None)
    probe, excerpt = heard(reader, folder, np.stack([one, 0.6 - one], 1), subtype="FLOAT")
    assert CANCEL in probe.warning
    assert np.std(excerpt.samples) > 0.9 * np.std(one)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (32_767, "as 16-bit numbers"),
        (12_000, "as 16-bit numbers"),
        (8_388_607, "as 24-bit numbers"),
        (2_147_483_647, "as 32-bit numbers"),
        (40, "its samples reach"),
    ],
)
def test_float_files_in_the_range_of_integers(reader, folder, subtype, factor, words):
    one = mono(5)
    one /= np.abs(one).max()
    probe, excerpt = heard(reader, folder, one[:, None] * factor, subtype=subtype)
    assert "far above full scale" in probe.warning
    assert words in probe.warning
    full = {12_000: 32_768, 32_767: 32_768, 8_388_607: 2**23, 40: 40}.get(factor, 2**31)
    assert rms(excerpt.samples) == pytest.approx(rms(one) * factor / full, rel=0.01)
    highest = np.abs(probe.peaks.astype(int)).max()
    assert highest == pytest.approx(127 * factor / full, abs=1.5)
    level = probe.loudness_db
    probe, _ = heard(reader, folder, one[:, None] * factor / full, subtype="FLOAT")
    assert level == pytest.approx(probe.loudness_db, abs=0.05)


def test_loud_floats_and_single_wrong_values_are_left_alone(reader, folder):
    one = mono(5)[:, None] * 2
    one[4_000] = 9_000
    probe, excerpt = heard(reader, folder, one, subtype="FLOAT")
    assert probe.warning is None
    assert np.abs(excerpt.samples).max() > 1_000


def test_cells_do_not_depend_on_blocks():
    samples = odd.sound(3.7, RATE)
    whole, parts = CellMeter(RATE, 2), CellMeter(RATE, 2)
    whole.add(samples)
    for first in range(0, len(samples), 777):
        parts.add(samples[first : first + 777])
    assert whole.cells().level == pytest.approx(parts.cells().level, rel=1e-5)
    assert whole.cells().mono == pytest.approx(parts.cells().mono, rel=1e-3)
    assert whole.cells().begin.tolist() == [0, 8_000, 16_000, 24_000]
