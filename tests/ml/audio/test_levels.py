"""Peaks and loudness of blocks: known values, whatever the size of the blocks."""

from __future__ import annotations

import numpy as np
import pytest

from ml.audio.levels import LoudnessMeter, PeakMeter

RATE_HZ = 44_100


def in_blocks(samples, size):
    return [samples[first : first + size] for first in range(0, len(samples), size)]


def columns(samples, size, count=800):
    meter = PeakMeter()
    for block in in_blocks(samples, size):
        meter.add(block)
    return meter.columns(count)


def loudness(samples, size=65_536, rate_hz=RATE_HZ):
    meter = LoudnessMeter(rate_hz)
    for block in in_blocks(samples, size):
        meter.add(block)
    return meter.loudness_db()


def sine(seconds, level=1.0, channels=2):
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return np.repeat((level * np.sin(2 * np.pi * 441 * t))[:, None], channels, 1).astype("f4")


@pytest.mark.parametrize("size", [1_000, 65_536, 10**7])
def test_columns_are_the_extremes_of_equal_parts(size):
    samples = np.zeros((800 * 1_024, 2), np.float32)
    samples[5 * 1_024 + 3, 1] = -1.0
    samples[5 * 1_024 + 9, 0] = 0.5
    samples[799 * 1_024 + 1_023, 0] = 0.25
    got = columns(samples, size)
    assert got.dtype == np.int8
    assert got.shape == (800, 2)
    assert got[5].tolist() == [-127, 64]
    assert got[799].tolist() == [0, 32]
    assert np.count_nonzero(got) == 3


def test_nothing_is_lost_when_parts_do_not_divide():
    rng = np.random.default_rng(0)
    samples = rng.uniform(-0.5, 0.5, (3_000_017, 1)).astype(np.float32)
    samples[-1] = 1.0
    got = columns(samples, 65_536)
    assert got[-1, 1] == 127
    assert (got[:, 1] > 60).all()
    assert (got[:, 0] < -60).all()


def test_short_loud_and_empty_signals():
    assert columns(np.full((3, 1), 0.5, np.float32), 10)[[0, 400, 799], 1].tolist() == [64] * 3
    assert columns(np.full((900, 1), 9.0, np.float32), 100)[:, 0].min() == 127
    assert not columns(np.zeros((0, 2), np.float32), 10).any()


def test_a_full_scale_sine_is_minus_3_db():
    assert loudness(sine(4)) == pytest.approx(-3.0103, abs=0.001)
    assert loudness(sine(4, 0.1)) == pytest.approx(-23.0103, abs=0.001)
    assert loudness(sine(4, 1.0, channels=1)) == pytest.approx(-3.0103, abs=0.001)


def test_one_silent_channel_halves_the_power():
    samples = sine(4)
    samples[:, 1] = 0
    assert loudness(samples) == pytest.approx(-6.0206, abs=0.001)


@pytest.mark.parametrize("size", [100, 17_640, 17_641, 10**6])
def test_blocks_do_not_matter(size):
    rng = np.random.default_rng(1)
    samples = (rng.standard_normal((100_003, 2)) * 0.1).astype(np.float32)
    assert loudness(samples, size) == pytest.approx(loudness(samples, 10**7), abs=1e-4)


def test_pauses_and_faint_parts_do_not_count():
    loud, faint, pause = sine(4), sine(4, 0.01), np.zeros((4 * RATE_HZ, 2), np.float32)
    assert loudness(np.concatenate([loud, pause, faint])) == pytest.approx(-3.0103, abs=0.001)
    assert loudness(np.concatenate([faint, pause])) == pytest.approx(-43.0103, abs=0.001)


def test_silence_has_no_loudness():
    assert loudness(np.zeros((RATE_HZ, 2), np.float32)) is None
    assert loudness(np.zeros((0, 2), np.float32)) is None
    assert loudness(sine(2, 1e-4)) is None
