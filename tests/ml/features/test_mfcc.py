"""MFCC windows: equal to python_speech_features, window by window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import python_speech_features as psf

from ml.errors import ParameterError
from ml.features.mfcc import mel_filters, mfcc_windows
from ml.types import FEATURE_CONFIGS

RATE_HZ = 44_100
#: Folders of features that libraries hold: these digests must not change.
STORED = {
    "seed-1s": "23bde57b20a37473",
    "seed-025s": "3ac54ca2894292c6",
    "audiotag": "b97c8b58f8ef293c",
}


def reference(samples, config):
    """The package itself, called on each window as the study did."""
    size = round(config.window_s * config.sample_rate_hz)
    return np.stack(
        [
            psf.mfcc(
                samples[first : first + size].astype(np.float64),
                config.sample_rate_hz,
                winlen=config.frame_s,
                winstep=config.step_s,
                numcep=config.n_mfcc,
                nfilt=config.n_mels,
                nfft=config.n_fft,
                lowfreq=config.fmin_hz,
                highfreq=config.fmax_hz,
                preemph=config.preemphasis,
                ceplifter=config.lifter,
            )
            for first in range(0, len(samples) - size + 1, size)
        ]
    )


def signals():
    rng = np.random.default_rng(3)
    t = np.arange(2 * RATE_HZ) / RATE_HZ
    noise = rng.standard_normal(len(t))
    return {
        "noise": 0.1 * noise,
        "quiet noise": 1e-6 * noise,
        "sine": np.sin(2 * np.pi * 440 * t),
        "square": np.sign(np.sin(2 * np.pi * 100 * t)),
        "clicks": (np.arange(len(t)) % 9_000 == 500).astype(float),
        "offset": np.full(len(t), 0.5),
        "fade to 1e-35": np.exp(-40 * t) * np.sin(3_000 * t),
        "lost in float32 squares": 1e-25 * noise,
        "half silent": np.where(t < 0.9, 0.1 * noise, 0),
        "16-bit scale": 3_000 * noise,
    }


@pytest.mark.parametrize("name", ["seed-1s", "seed-025s", "audiotag"])
@pytest.mark.parametrize("kind", signals())
def test_it_equals_python_speech_features(name, kind):
    config, samples = FEATURE_CONFIGS[name], signals()[kind].astype(np.float32)
    assert np.abs(mfcc_windows(samples, config) - reference(samples, config)).max() < 1e-3


def test_it_equals_the_package_at_other_sizes():
    config = replace(
        FEATURE_CONFIGS["audiotag"],
        sample_rate_hz=16_000,
        n_fft=512,
        window_s=0.5,
        fmin_hz=50.0,
        fmax_hz=7_000.0,
        n_mels=40,
        n_mfcc=20,
        lifter=0,
        preemphasis=0.0,
    )
    samples = (0.1 * np.random.default_rng(5).standard_normal(24_000)).astype(np.float32)
    ours = mfcc_windows(samples, config)
    assert ours.shape == (3, 49, 20)
    assert np.abs(ours - reference(samples, config)).max() < 1e-3


@pytest.mark.parametrize(
    ("name", "seconds", "shape"),
    [
        ("seed-1s", 40.0, (40, 99, 13)),
        ("audiotag", 40.0, (40, 99, 13)),
        ("seed-025s", 40.0, (160, 24, 13)),
        ("seed-1s", 2.99, (2, 99, 13)),
        ("seed-025s", 0.6, (2, 24, 13)),
    ],
)
def test_shapes(name, seconds, shape):
    samples = np.zeros(round(seconds * RATE_HZ), np.float32)
    windows = mfcc_windows(samples, FEATURE_CONFIGS[name])
    assert windows.shape == shape
    assert windows.dtype == np.float32


@pytest.mark.parametrize("name", ["seed-1s", "seed-025s", "audiotag"])
def test_silence_has_the_logarithm_of_epsilon(name):
    windows = mfcc_windows(np.zeros(RATE_HZ, np.float32), FEATURE_CONFIGS[name])
    assert windows[..., 0] == pytest.approx(-36.0437, abs=1e-4)
    assert windows[..., 1:] == pytest.approx(0, abs=1e-4)


def test_only_one_incomplete_window_is_completed_with_zeros():
    config = FEATURE_CONFIGS["seed-1s"]
    short = (0.1 * np.random.default_rng(1).standard_normal(10_000)).astype(np.float32)
    padded = np.concatenate([short, np.zeros(RATE_HZ - 10_000, np.float32)])
    assert np.array_equal(mfcc_windows(short, config), mfcc_windows(padded, config))


def test_windows_do_not_know_their_neighbours():
    config = FEATURE_CONFIGS["audiotag"]
    samples = (0.1 * np.random.default_rng(2).standard_normal(7 * RATE_HZ)).astype(np.float32)
    together = mfcc_windows(samples, config)
    alone = mfcc_windows(samples[5 * RATE_HZ : 6 * RATE_HZ], config)
    assert np.abs(together[5] - alone[0]).max() < 1e-4


def test_scale_shifts_coefficient_0_alone():
    config = FEATURE_CONFIGS["seed-1s"]
    samples = (0.1 * np.random.default_rng(4).standard_normal(RATE_HZ)).astype(np.float32)
    shift = mfcc_windows(samples * 32_768, config) - mfcc_windows(samples, config)
    assert shift[..., 0] == pytest.approx(2 * np.log(32_768), abs=1e-3)
    assert shift[..., 1:] == pytest.approx(0, abs=1e-3)


def test_filters_equal_the_package_s():
    for name in ("seed-1s", "seed-025s", "audiotag"):
        config = FEATURE_CONFIGS[name]
        theirs = psf.get_filterbanks(26, 2_048, RATE_HZ, 0, config.fmax_hz)
        assert np.array_equal(mel_filters(config), theirs)


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros((2, 9), np.float32)])
def test_it_refuses_what_is_no_signal(samples):
    with pytest.raises(ParameterError, match="one-dimensional"):
        mfcc_windows(samples, FEATURE_CONFIGS["seed-1s"])


@pytest.mark.parametrize("changes", [{"fmax_hz": 30_000.0}, {"fmin_hz": 16_000.0}])
def test_it_refuses_a_mel_range_outside_the_spectrum(changes):
    config = replace(FEATURE_CONFIGS["audiotag"], **changes)
    with pytest.raises(ParameterError, match="fmax_hz"):
        mfcc_windows(np.zeros(RATE_HZ, np.float32), config)


def test_the_digests_are_those_of_the_features_on_disk():
    digests = {name: FEATURE_CONFIGS[name].digest()[:16] for name in STORED}
    assert digests == STORED


def test_it_refuses_an_fft_shorter_than_a_frame():
    config = replace(FEATURE_CONFIGS["audiotag"], n_fft=1_024)
    with pytest.raises(ParameterError, match="n_fft"):
        mfcc_windows(np.zeros(RATE_HZ, np.float32), config)
