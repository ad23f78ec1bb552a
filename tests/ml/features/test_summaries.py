"""The summary vector: known statistics, silence, short tracks."""

from __future__ import annotations

import numpy as np
import pytest

from ml.errors import ParameterError
from ml.features.summaries import summarise, summary_size

C = 13
MEAN, DEVIATION, MOVEMENT = slice(0, 13), slice(13, 26), slice(26, 39)
QUANTILES, LOUD, CORRELATION = slice(39, 78), slice(78, 103), slice(103, 181)
MODULATION = slice(181, 233)


def noise(n=4, seed=0):
    return np.random.default_rng(seed).normal(5, 2, (n, 99, C)).astype(np.float32)


def test_moments_and_quantiles_are_numpy_s():
    windows = noise()
    frames = windows.reshape(-1, C).astype(np.float64)
    vector = summarise(windows)
    assert vector.shape == (summary_size(C),) == (233,)
    assert vector.dtype == np.float32
    assert vector[MEAN] == pytest.approx(frames.mean(axis=0), abs=1e-5)
    assert vector[DEVIATION] == pytest.approx(frames.std(axis=0), abs=1e-5)
    expected = np.quantile(frames, (0.1, 0.5, 0.9), axis=0)
    assert vector[QUANTILES].reshape(3, C) == pytest.approx(expected, abs=1e-5)


def test_correlations_are_numpy_s():
    windows = noise()
    windows[..., 3] = 2 * windows[..., 1] + 1
    expected = np.corrcoef(windows.reshape(-1, C).T)[np.triu_indices(C, 1)]
    assert summarise(windows)[CORRELATION] == pytest.approx(expected, abs=3e-3)


def test_movement_does_not_cross_windows():
    windows = np.zeros((2, 99, C), np.float32)
    windows[1] = 8
    windows[:, ::2, 2] += 3
    movement = summarise(windows)[MOVEMENT]
    assert movement[2] == pytest.approx(3)
    assert movement[[0, 1, 3]] == pytest.approx(0)


def test_modulation_finds_the_rate_of_change():
    t = np.arange(99) * 0.010
    windows = np.zeros((3, 99, C), np.float32)
    windows[..., 4] = np.sin(2 * np.pi * 6 * t)
    bands = summarise(windows)[MODULATION].reshape(4, C)
    assert bands[:, 4].argmax() == 1
    assert bands[:, 5] == pytest.approx(0)


def test_the_loud_frames_lead_the_weighted_mean():
    windows = np.zeros((1, 99, C), np.float32)
    windows[0, :10, 0], windows[0, :10, 1] = 12, 40
    loud = summarise(windows)[LOUD]
    assert loud[0] > 35
    assert summarise(windows)[MEAN][1] == pytest.approx(400 / 99, abs=1e-4)


def test_completed_silence_does_not_count():
    windows = noise(1)
    windows[0, 50:] = 0
    windows[0, 50:, 0] = -36.0437
    expected = windows[0, :50].astype(np.float64)
    vector = summarise(windows)
    assert vector[MEAN] == pytest.approx(expected.mean(axis=0), abs=1e-5)
    moved = np.abs(np.diff(expected, axis=0)).mean(axis=0)
    assert vector[MOVEMENT] == pytest.approx(moved, abs=1e-5)


def test_silence_alone_is_finite():
    windows = np.zeros((1, 24, C), np.float32)
    windows[..., 0] = -36.0437
    vector = summarise(windows)
    assert np.isfinite(vector).all()
    assert vector[0] == pytest.approx(-36.0437)


@pytest.mark.parametrize("frames", [24, 99])
def test_windows_of_both_lengths_give_one_size(frames):
    windows = np.random.default_rng(0).normal(0, 1, (1, frames, C)).astype(np.float32)
    vector = summarise(windows)
    assert vector.shape == (233,)
    assert np.isfinite(vector).all()


def test_it_is_deterministic_and_independent_of_the_type():
    windows = noise().astype(np.float16)
    assert np.array_equal(summarise(windows), summarise(windows.astype(np.float32)))


@pytest.mark.parametrize("shape", [(0, 99, 13), (99, 13)])
def test_it_refuses_what_holds_no_windows(shape):
    with pytest.raises(ParameterError, match="windows must be"):
        summarise(np.zeros(shape, np.float32))
