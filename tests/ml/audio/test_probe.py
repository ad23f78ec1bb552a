"""Probes: what one full decoding says, and the odd files a library really has."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from ml.audio.reader import AudioReader
from ml.errors import AudioError
from ml.types import FEATURE_CONFIGS
from tests.ml import odd

#: File: (length in seconds by decoding, silent, words of the warning) or words of the reason.
ODD_FILES = {
    "00b05604_silence-2s-44100-16.ofr": "does not read: OptimFROG",
    "03140ab9_stream.weba": "does not read: Matroska or WebM",
    "038d4c4e_odd-list-type.wav": "too short: 0.00 s",
    "03be2e4a_M1F1-mulawC-AFsp.afc": (23_493 / 8_000, False, None),
    "05ccaa25_utf16be.mp3": "holds tags",
    "084e1e16_test-2.mp3": (2.0, False, None),
    "087f77e5_variable-block.flac": (0.9, True, "damaged after 0.9 s"),
    "0d960643_52-too-short-block-size.flac": "damaged: its FLAC data cannot be decoded",
    "10bb3ee4_ogg_with_image.ogg": (0.1, True, None),
    "1adfec27_issue_29.wma": "Windows Media",
    "b23a0d80_lame397v9short.mp3": "too short",
    "digital_silence.flac": (132_302 / 44_100, True, None),
    "header_claims_4gb.wav": (37_489 / 44_100, False, None),
    "html_error_page.mp3": "web page",
    "mp3_named.wav": (6.0, False, None),
    "nan_inf_float.wav": (49_980 / 44_100, False, "15 samples are not numbers"),
    "truncated_mid_frame.mp3": (86_447 / 44_100, False, "states a length of 6.0 s, but 2.0 s"),
    "twenty_ms.wav": "too short: 0.02 s",
    "zero_bytes.mp3": "empty file",
}


@pytest.fixture(scope="module")
def reader():
    with AudioReader() as reader:
        yield reader


def test_the_measurements(reader, tmp_path):
    t = np.arange(8 * 44_100) / 44_100
    samples = np.repeat((0.5 * np.sin(2 * np.pi * 441 * t))[:, None], 2, axis=1)
    samples[: 4 * 44_100] = 0
    path = odd.write(tmp_path / "half.wav", samples)
    probe = reader.probe(path)
    assert probe.length_s == 8.0
    assert (probe.sample_rate_hz, probe.channels, probe.container) == (44_100, 2, "WAV")
    assert probe.bit_rate == pytest.approx(2 * 16 * 44_100, rel=1e-3)
    assert probe.loudness_db == pytest.approx(-9.03, abs=0.01)
    assert not probe.is_silent
    assert probe.peaks.dtype == np.int8
    assert not probe.peaks[:400].any()
    assert (probe.peaks[400:] == [-64, 64]).mean() > 0.99
    assert probe.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (probe.size_bytes, probe.mtime) == (path.stat().st_size, path.stat().st_mtime)
    assert probe.warning is None


def test_a_variable_mp3_without_a_tag_is_counted_exactly(reader, tmp_path):
    samples = odd.sound(9)
    samples[44_100:] *= 1e-4
    path = odd.write_mp3(tmp_path / "vbr.mp3", samples, mode="VARIABLE", level=0.2)
    raw = path.read_bytes()
    path.write_bytes(odd.without_tag(raw))
    frames = int.from_bytes(raw[odd.tag_at(raw) + 8 :][:4], "big")
    probe = reader.probe(path)
    assert probe.length_s == frames * 1_152 / 44_100
    assert probe.warning is None


def test_an_mp3_that_hides_its_second_half(reader, tmp_path):
    """Two tagged files in a row: the first tag knows nothing of the second half."""
    raw = odd.write_mp3(tmp_path / "one.mp3", odd.sound(5)).read_bytes()
    (tmp_path / "two.mp3").write_bytes(raw + raw)
    assert reader.probe(tmp_path / "two.mp3").length_s == pytest.approx(10, abs=0.1)


def test_tags_do_not_count_as_sound(reader, tmp_path):
    path = odd.write_mp3(tmp_path / "plain.mp3", odd.sound(5))
    plain = reader.probe(path)
    path.write_bytes(odd.with_id3(path.read_bytes(), 500_000))
    tagged = reader.probe(path)
    assert tagged.bit_rate == plain.bit_rate
    assert tagged.length_s == plain.length_s


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ODD_FILES)
def test_odd_files(reader, shared_data, name):
    path = shared_data / "odd_audio" / "files" / name
    expected = ODD_FILES[name]
    config = FEATURE_CONFIGS["audiotag"]
    if isinstance(expected, str):
        for ask in (reader.probe, lambda path: reader.excerpt(path, config)):
            with pytest.raises(AudioError) as caught:
                ask(path)
            assert expected in caught.value.reason
        return
    length_s, is_silent, warning = expected
    probe = reader.probe(path)
    excerpt = reader.excerpt(path, config)
    assert probe.length_s == pytest.approx(length_s, abs=0.02)
    assert excerpt.length_known_s == pytest.approx(probe.length_s, abs=0.01)
    assert len(excerpt.samples) == pytest.approx(length_s * 44_100, rel=0.03)
    assert probe.is_silent == is_silent
    assert (probe.loudness_db is None) == is_silent
    assert (warning or "") in (probe.warning or "")
    if warning is None:
        assert probe.warning is None


@pytest.mark.shared_data
def test_every_odd_file_is_expected(shared_data):
    names = {path.name for path in (shared_data / "odd_audio" / "files").iterdir()}
    assert names == set(ODD_FILES)
