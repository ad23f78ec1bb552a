"""Log-mel and timbral windows: equal to librosa, frame by frame, and independent windows."""

from __future__ import annotations

from dataclasses import replace

import librosa
import numpy as np
import pytest

from ml.errors import ParameterError
from ml.features.extraction import compute_windows, summarise_windows
from ml.features.mfcc import mfcc_windows
from ml.features.spectra import smooth_mel_filters, spectral_windows
from ml.features.summaries import summary_size
from ml.types import FEATURE_CONFIGS

RATE_HZ = 44_100
MEL, TIMBRAL = FEATURE_CONFIGS["mel-80"], FEATURE_CONFIGS["timbral"]
#: Up to the Nyquist frequency, as librosa's shape features.
WIDE = replace(TIMBRAL, fmax_hz=22_050.0)
CONTRAST = slice(13, 20)
ROLL_OFF, CENTROID, FLUX, CROSSINGS = 20, 21, 22, 23


def noisy(seconds=1.0, seed=3):
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tone = np.sin(2 * np.pi * 440 * t) + 0.3 * np.sin(2 * np.pi * 3_000 * t)
    return (0.2 * tone + 0.02 * rng.standard_normal(len(t))).astype(np.float32)


def spectrum(samples, config):
    """librosa's magnitudes (bins, frames), frames not centred."""
    hop = round(config.step_s * RATE_HZ)
    return np.abs(librosa.stft(samples, n_fft=2_048, hop_length=hop, center=False))


@pytest.mark.parametrize("config", [MEL, TIMBRAL], ids=["mel-80", "timbral"])
def test_the_filters_are_librosas(config):
    theirs = librosa.filters.mel(
        sr=RATE_HZ,
        n_fft=2_048,
        n_mels=config.n_mels,
        fmin=40,
        fmax=15_000,
        htk=True,
        norm=None,
        dtype=np.float64,
    )
    ours = smooth_mel_filters(config)
    np.testing.assert_allclose(ours, theirs, atol=1e-9)
    assert (ours.max(axis=1) > 0).all()


def test_log_mel_windows_are_librosas():
    samples = noisy()
    theirs = librosa.feature.melspectrogram(
        S=spectrum(samples, MEL) ** 2,
        sr=RATE_HZ,
        n_mels=80,
        fmin=40,
        fmax=15_000,
        htk=True,
        norm=None,
    )
    (ours,) = spectral_windows(samples, MEL)
    np.testing.assert_allclose(ours, np.log(theirs).T, atol=2e-3)


def test_cepstra_are_librosas():
    samples = noisy()
    mel = librosa.feature.melspectrogram(
        S=spectrum(samples, TIMBRAL) ** 2,
        sr=RATE_HZ,
        n_mels=40,
        fmin=40,
        fmax=15_000,
        htk=True,
        norm=None,
    )
    theirs = librosa.feature.mfcc(S=np.log(mel), n_mfcc=13, norm="ortho")
    (ours,) = spectral_windows(samples, TIMBRAL)
    np.testing.assert_allclose(ours[:, 1:13], theirs[1:].T, atol=2e-3)


def test_contrast_roll_off_and_centroid_are_librosas():
    samples = noisy()
    magnitudes = spectrum(samples, WIDE)
    (ours,) = spectral_windows(samples, WIDE)
    decibels = librosa.feature.spectral_contrast(S=magnitudes, sr=RATE_HZ)
    theirs = decibels * np.log(10) / 10
    np.testing.assert_allclose(ours[:, CONTRAST], theirs.T, atol=2e-3)
    roll_off = librosa.feature.spectral_rolloff(S=magnitudes, sr=RATE_HZ)[0]
    np.testing.assert_allclose(ours[:, ROLL_OFF], roll_off / 1_000, atol=0.022)  # one bin
    centroid = librosa.feature.spectral_centroid(S=magnitudes, sr=RATE_HZ)[0]
    np.testing.assert_allclose(ours[:, CENTROID], centroid / 1_000, atol=1e-3)


def test_zero_crossings_are_librosas():
    samples = noisy()
    theirs = librosa.feature.zero_crossing_rate(
        samples, frame_length=2_048, hop_length=1_024, center=False
    )[0]
    (ours,) = spectral_windows(samples, TIMBRAL)
    np.testing.assert_allclose(ours[:, CROSSINGS], theirs, atol=1e-3)


def test_flux_is_0_for_what_stays_and_large_for_what_changes():
    t = np.arange(RATE_HZ) / RATE_HZ
    steady = np.sin(2 * np.pi * 1_000 * t).astype(np.float32)
    (still,) = spectral_windows(steady, TIMBRAL)
    assert still[:, FLUX].max() < 0.1
    leap = np.where(t < 0.5, steady, np.sin(2 * np.pi * 5_000 * t)).astype(np.float32)
    (moving,) = spectral_windows(leap, TIMBRAL)
    assert moving[:, FLUX].max() > 0.9
    assert moving[0, FLUX] == moving[1, FLUX]


def test_coefficient_0_is_the_log_energy_that_summaries_read():
    (silent,) = spectral_windows(np.zeros(RATE_HZ, np.float32), TIMBRAL)
    assert silent[:, 0] == pytest.approx(-36.0437, abs=1e-4)
    assert np.isfinite(silent).all()
    (loud,) = spectral_windows(noisy(), TIMBRAL)
    (louder,) = spectral_windows(2 * noisy(), TIMBRAL)
    np.testing.assert_allclose(louder[:, 0] - loud[:, 0], 2 * np.log(2), atol=1e-3)
    np.testing.assert_allclose(louder[:, 1:], loud[:, 1:], atol=2e-3)


@pytest.mark.parametrize("config", [MEL, TIMBRAL], ids=["mel-80", "timbral"])
def test_windows_are_whole_and_know_no_neighbours(config):
    samples = noisy(7.4)
    together = compute_windows(samples, config)
    assert together.shape == (7, *config.frame_shape)
    assert together.dtype == np.float32
    alone = compute_windows(samples[5 * RATE_HZ : 6 * RATE_HZ], config)
    np.testing.assert_allclose(together[5], alone[0], atol=1e-3)
    short = compute_windows(samples[:9_000], config)
    padded = np.concatenate([samples[:9_000], np.zeros(RATE_HZ - 9_000, np.float32)])
    assert np.array_equal(short, compute_windows(padded, config))
    assert np.abs(together).max() < 100  # fits float16 with two decimals


def test_shapes_and_summaries():
    assert MEL.frame_shape == (40, 80)
    assert TIMBRAL.frame_shape == (42, 24)
    windows = compute_windows(noisy(2.0), TIMBRAL)
    assert summarise_windows(windows, TIMBRAL).shape == (summary_size(24),)
    windows = compute_windows(noisy(2.0), MEL)
    summary = summarise_windows(windows, MEL)
    frames = windows.reshape(-1, 80)
    np.testing.assert_allclose(summary[:80], frames.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(summary[80:], frames.std(axis=0), atol=1e-5)


def test_mfcc_goes_its_old_way():
    config = FEATURE_CONFIGS["audiotag"]
    assert np.array_equal(compute_windows(noisy(), config), mfcc_windows(noisy(), config))
    with pytest.raises(ParameterError, match="mfcc"):
        spectral_windows(noisy(), config)


def test_a_kind_of_its_own_has_a_digest_of_its_own():
    digests = {config.digest() for config in FEATURE_CONFIGS.values()}
    assert len(digests) == len(FEATURE_CONFIGS)
    for config in FEATURE_CONFIGS.values():
        assert type(config).from_dict(config.canonical()) == config


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros((2, 9), np.float32)])
def test_it_refuses_what_is_no_signal(samples):
    with pytest.raises(ParameterError, match="one-dimensional"):
        spectral_windows(samples, MEL)


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (MEL, {"fmax_hz": 30_000.0}),
        (MEL, {"n_fft": 1_024}),
        (TIMBRAL, {"fmax_hz": 5_000.0}),
    ],
)
def test_it_refuses_sizes_that_cannot_be(config, changes):
    with pytest.raises(ParameterError, match=r"fmax_hz|n_fft"):
        spectral_windows(noisy(), replace(config, **changes))
