"""Excerpts: the exact middle of what is really there, through the decoding child."""

from __future__ import annotations

import os

import numpy as np
import pytest
import soundfile as sf

from ml.audio.reader import AudioReader
from ml.errors import AudioError
from ml.features.extraction import extract
from ml.types import FEATURE_CONFIGS, FeatureConfig
from tests.ml import odd

#: Four seconds instead of forty keep these tests short; nothing depends on the number.
CONFIG = FeatureConfig(name="test", excerpt_s=4.0)
RATE_HZ = odd.RATE_HZ


@pytest.fixture(scope="module")
def reader():
    with AudioReader() as reader:
        yield reader


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("excerpt")


@pytest.fixture(scope="module")
def cbr(folder):
    return odd.write_mp3(folder / "cbr.mp3", odd.sound(12)).read_bytes()


@pytest.fixture(scope="module")
def vbr(folder):
    """Loud at first and silent later: a guess from the first frames is far too short."""
    samples = odd.sound(12)
    samples[2 * RATE_HZ : 8 * RATE_HZ] *= 1e-4
    path = folder / "vbr.mp3"
    return odd.write_mp3(path, samples, mode="VARIABLE", level=0.2).read_bytes()


def saved(folder, name, raw):
    path = folder / name
    path.write_bytes(raw)
    return path


def middle(samples, seconds=CONFIG.excerpt_s):
    count = min(len(samples), round(seconds * RATE_HZ))
    start = (len(samples) - count) // 2
    return start, samples[start : start + count].mean(axis=1)


def assert_is_middle(excerpt, whole):
    start, expected = middle(whole)
    assert excerpt.start_s == pytest.approx(start / RATE_HZ)
    assert excerpt.length_known_s == pytest.approx(len(whole) / RATE_HZ)
    assert excerpt.samples.dtype == np.float32
    assert excerpt.samples.shape == expected.shape
    assert np.abs(excerpt.samples - expected).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "options", "container", "subtype"),
    [
        ("a.wav", {"subtype": "PCM_16"}, "WAV", "PCM_16"),
        ("b.wav", {"subtype": "FLOAT"}, "WAV", "FLOAT"),
        ("c.wav", {"subtype": "ULAW"}, "WAV", "ULAW"),
        ("d.wav", {"format": "WAVEX", "subtype": "PCM_24"}, "WAV", "PCM_24"),
        ("e.flac", {}, "FLAC", "PCM_16"),
        ("f.aiff", {"subtype": "PCM_24"}, "AIFF", "PCM_24"),
        ("g.ogg", {"subtype": "VORBIS"}, "OGG", "VORBIS"),
        ("no_suffix", {"format": "FLAC"}, "FLAC", "PCM_16"),
        ("misnamed.mp3", {"format": "WAV"}, "WAV", "PCM_16"),
    ],
)
def test_the_middle_of_every_format(reader, folder, name, options, container, subtype):
    path = odd.write(folder / name, odd.sound(6), **options)
    excerpt = reader.excerpt(path, CONFIG)
    assert_is_middle(excerpt, odd.decoded(path))
    assert (excerpt.container, excerpt.subtype) == (container, subtype)
    assert (excerpt.source_rate_hz, excerpt.channels, excerpt.warning) == (RATE_HZ, 2, None)


def test_tagged_mp3(reader, folder, cbr, vbr):
    for name, raw in (("cbr.mp3", cbr), ("vbr.mp3", vbr)):
        excerpt = reader.excerpt(folder / name, CONFIG)
        assert_is_middle(excerpt, odd.decoded(folder / name))
        assert excerpt.warning is None
        assert excerpt.bit_rate == pytest.approx(len(raw) * 8 / 12, rel=0.01)


def test_untagged_mp3(reader, folder, cbr, vbr):
    path = saved(folder, "cbr-untagged.mp3", odd.without_tag(cbr))
    assert_is_middle(reader.excerpt(path, CONFIG), odd.decoded(path))
    excerpt = reader.excerpt(saved(folder, "vbr-untagged", odd.without_tag(vbr)), CONFIG)
    assert len(excerpt.samples) == 4 * RATE_HZ
    assert excerpt.length_known_s == pytest.approx(12, abs=0.06)
    assert excerpt.warning is None


def test_an_untagged_mp3_is_where_the_tagged_one_is(reader, folder, vbr):
    """The encoder's and the decoder's delay, 1,105 samples, is what the tag takes away."""
    path = saved(folder, "vbr-untagged", odd.without_tag(vbr))
    whole = odd.decoded(folder / "vbr.mp3").mean(axis=1)
    excerpt = reader.excerpt(path, CONFIG)
    start = round(excerpt.start_s * RATE_HZ) - 1_105
    assert np.abs(excerpt.samples - whole[start : start + 4 * RATE_HZ]).max() < 1e-6


def test_leading_junk_and_large_tags(reader, folder, cbr):
    whole = odd.decoded(folder / "cbr.mp3")
    for name, raw in (("junk", bytes(3_000) + cbr), ("id3.wav", odd.with_id3(cbr, 900_000))):
        assert_is_middle(reader.excerpt(saved(folder, name, raw), CONFIG), whole)


def test_a_truncated_mp3_gives_the_middle_of_what_is_there(reader, folder, cbr):
    path = saved(folder, "cut.mp3", cbr[: int(len(cbr) * 0.7)])
    excerpt = reader.excerpt(path, CONFIG)
    assert_is_middle(excerpt, odd.decoded(path))
    assert "states a length of 12.0 s, but 8.4 s are there" in excerpt.warning


def test_a_truncated_flac_gives_the_middle_of_what_is_there(reader, folder):
    raw = odd.write(folder / "whole.flac", odd.sound(12)).read_bytes()
    excerpt = reader.excerpt(saved(folder, "cut.flac", raw[: len(raw) // 2]), CONFIG)
    whole = odd.decoded(folder / "whole.flac").mean(axis=1)
    start = round(excerpt.start_s * RATE_HZ)
    assert excerpt.length_known_s == pytest.approx(6, abs=0.3)
    assert start == (round(excerpt.length_known_s * RATE_HZ) - 4 * RATE_HZ) // 2
    assert np.array_equal(excerpt.samples, whole[start : start + 4 * RATE_HZ])
    assert "damaged after" in excerpt.warning


@pytest.mark.parametrize("kind", ["random", "zeros"])
def test_junk_in_the_middle_of_an_mp3_is_left_out(reader, folder, cbr, rng, kind):
    junk = rng.bytes(20_000) if kind == "random" else bytes(200_000)
    path = saved(folder, "junk.mp3", odd.with_junk(cbr, junk))
    excerpt = reader.excerpt(path, CONFIG)
    assert len(excerpt.samples) == 4 * RATE_HZ
    assert excerpt.length_known_s == pytest.approx(12, abs=0.06)
    assert "are not sound and were left out" in excerpt.warning
    whole = odd.decoded(folder / "cbr.mp3").mean(axis=1)
    start = round(excerpt.start_s * RATE_HZ)
    assert np.abs(excerpt.samples - whole[start : start + 4 * RATE_HZ])[:RATE_HZ].max() < 1e-6


def test_short_tracks_are_taken_whole(reader, folder):
    path = odd.write(folder / "short.wav", odd.sound(1.3))
    excerpt = reader.excerpt(path, CONFIG)
    assert excerpt.start_s == 0
    assert len(excerpt.samples) == round(1.3 * RATE_HZ)


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 48_000, 96_000])
def test_other_rates_are_brought_to_the_config_s(reader, folder, rate_hz):
    t = np.arange(6 * rate_hz) / rate_hz
    tone = (0.5 * np.sin(2 * np.pi * 1_000 * t))[:, None].astype(np.float32)
    path = odd.write(folder / f"{rate_hz}.wav", tone, rate_hz, subtype="FLOAT")
    excerpt = reader.excerpt(path, CONFIG)
    t = np.arange(4 * RATE_HZ) / RATE_HZ
    expected = 0.5 * np.sin(2 * np.pi * 1_000 * (t + 1.0))
    assert excerpt.samples.shape == expected.shape
    assert np.abs(excerpt.samples - expected)[2_000:-2_000].max() < 1e-3
    assert excerpt.source_rate_hz == rate_hz
    narrow = f"recorded at {rate_hz:,} Hz" in (excerpt.warning or "")
    assert narrow == (rate_hz < 40_000)


def test_the_mix_is_the_mean_of_all_channels(reader, folder):
    samples = np.zeros((RATE_HZ, 6), np.float32)
    samples[:, :] = [0.6, -0.3, 0.3, 0.0, 0.0, 0.6]
    path = odd.write(folder / "six.wav", samples, subtype="FLOAT")
    assert reader.excerpt(path, CONFIG).samples == pytest.approx(0.2, abs=1e-6)


def test_samples_that_are_not_numbers(reader, folder):
    samples = odd.sound(2, channels=1)
    samples[[10, 500], 0] = np.nan, np.inf
    samples[900, 0] = 1e30
    path = odd.write(folder / "nan.wav", samples, subtype="FLOAT")
    excerpt = reader.excerpt(path, CONFIG)
    assert not excerpt.samples[[10, 500, 900]].any()
    assert np.isfinite(excerpt.samples).all()
    assert "3 samples are not numbers" in excerpt.warning
    samples[: RATE_HZ + 9] = np.nan
    path = odd.write(folder / "mostly-nan.wav", samples, subtype="FLOAT")
    with pytest.raises(AudioError, match="over half of its samples"):
        reader.excerpt(path, CONFIG)


@pytest.mark.parametrize(
    ("seconds", "rate_hz", "channels", "reason"),
    [
        (0.02, RATE_HZ, 1, "too short: 0.02 s"),
        (1, RATE_HZ, 9, "it has 9 channels"),
        (1, 7_000, 1, "sample rate of 7000 Hz"),
        (1, 384_000, 1, "sample rate of 384000 Hz"),
    ],
)
def test_what_is_outside_the_limits(reader, folder, seconds, rate_hz, channels, reason):
    path = odd.write(folder / "odd.wav", odd.sound(seconds, rate_hz, channels), rate_hz)
    with pytest.raises(AudioError, match=reason):
        reader.excerpt(path, CONFIG)
    with pytest.raises(AudioError, match=reason):
        reader.probe(path)


def test_a_tenth_of_a_second_is_enough(reader, folder):
    path = odd.write(folder / "tenth.wav", odd.sound(0.1))
    result = extract(reader, path, FEATURE_CONFIGS["audiotag"])
    assert result.windows.shape == (1, 99, 13)
    assert np.isfinite(result.summary).all()
    assert "shorter than one window of 1 s" in result.warning


def test_extraction(reader, folder, cbr):
    result = extract(reader, folder / "cbr.mp3", FEATURE_CONFIGS["seed-025s"])
    assert result.windows.shape == (48, 24, 13)
    assert result.summary.shape == (233,)
    assert result.length_known_s == pytest.approx(12, abs=0.001)
    assert result.warning is None


@pytest.mark.parametrize("name", ["plain.wav", "b\udcffd.wav", 'q"uo\nte.wav', "ünï.wav"])
def test_any_file_name(reader, folder, name):
    odd.write(folder / "plain.wav", odd.sound(1))
    (folder / name).write_bytes((folder / "plain.wav").read_bytes())
    assert len(reader.excerpt(folder / name, CONFIG).samples) == RATE_HZ


def test_what_cannot_be_opened(reader, folder):
    os.mkfifo(folder / "pipe.mp3")
    for name, kind, reason in (
        ("nothing.mp3", "missing", "not there"),
        ("", "unreadable", "a folder"),
        ("pipe.mp3", "unreadable", "a pipe"),
        ("nul\0.mp3", "unreadable", "not a possible file name"),
    ):
        with pytest.raises(AudioError, match=reason) as caught:
            reader.excerpt(f"{folder}/{name}", CONFIG)
        assert caught.value.kind == kind


def test_untagged_and_tagged_lengths_are_those_of_soundfile(reader, folder, cbr):
    for raw in (cbr, odd.without_tag(cbr)):
        path = saved(folder, "length.mp3", raw)
        assert reader.probe(path).length_s == len(sf.read(path)[0]) / RATE_HZ
