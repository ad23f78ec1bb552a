"""WAV files with wrong lengths, and tags and padding in front of any format."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from ml.audio.reader import AudioReader
from ml.errors import AudioError
from ml.types import FEATURE_CONFIGS
from tests.ml import odd

CONFIG = FEATURE_CONFIGS["audiotag"]


@pytest.fixture(scope="module")
def reader():
    with AudioReader() as reader:
        yield reader


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("wav")


@pytest.fixture(scope="module")
def sounds(folder):
    """The same minute in every format."""
    samples, kinds = odd.two_tones(60), {"wav": {}, "flac": {}, "aiff": {}, "ogg": {}}
    kinds["rf64"] = {"format": "RF64"}
    found = {
        name: odd.write(folder / f"a.{name}", samples, 8_000, **options).read_bytes()
        for name, options in kinds.items()
    }
    return {**found, "mp3": odd.write_mp3(folder / "a.mp3", samples, 8_000).read_bytes()}


def asked(reader, folder, raw, seconds=60.0):
    """Check that all is heard, by probe and excerpt; return the warning."""
    path = folder / "file"
    path.write_bytes(raw)
    probe, excerpt = reader.probe(path), reader.excerpt(path, CONFIG)
    assert probe.length_s == pytest.approx(seconds, abs=0.15)
    assert excerpt.length_known_s == pytest.approx(probe.length_s, abs=0.06)
    assert excerpt.start_s == pytest.approx((seconds - 40) / 2, abs=0.1)
    assert odd.share_of_second_tone(excerpt.samples) == pytest.approx(0.5, abs=0.02)
    return probe.warning


def with_size(wav, size):
    at = wav.index(b"data") + 4
    return wav[:at] + struct.pack("<I", size) + wav[at + 4 :]


@pytest.mark.parametrize(
    ("size", "warning"),
    [
        (0, "states no length"),
        (0xFFFFFFFF, None),
        (0xFFFFFFFE, None),
        (0x7FFFFFFF, None),
        (0x80000000, None),
        (480_000, "states a length of 30.0 s, but 60.0 s are there"),
        (480_001, "states a length of 30.0 s, but 60.0 s are there"),
        (1, "states a length of 0.0 s, but 60.0 s are there"),
        (960_001, None),
    ],
)
def test_a_wav_that_states_a_wrong_length(reader, folder, sounds, size, warning):
    found = asked(reader, folder, with_size(sounds["wav"], size))
    assert found == warning or warning in found


@pytest.mark.parametrize("kind", ["RIFX", "8-bit", "float", "24-bit"])
def test_a_crashed_recorder_of_any_coding(reader, folder, kind):
    options = {
        "RIFX": {"subtype": "PCM_16", "endian": "BIG"},
        "8-bit": {"subtype": "PCM_U8"},
        "float": {"subtype": "FLOAT"},
        "24-bit": {"subtype": "PCM_24"},
    }[kind]
    raw = odd.write(folder / "b.wav", odd.two_tones(60), 8_000, **options).read_bytes()
    assert "states no length" in asked(reader, folder, with_size(raw, 0))
    tagged = with_size(raw, 0) + odd.ID3V1
    assert "states no length" in asked(reader, folder, tagged)


def test_an_empty_wav_with_chunks_behind_stays_empty(reader, folder):
    raw = odd.wav(data=b"") + b"LIST" + struct.pack("<I", 60_000) + bytes(60_000)
    (folder / "empty.wav").write_bytes(raw)
    with pytest.raises(AudioError, match="too short"):
        reader.probe(folder / "empty.wav")


@pytest.mark.parametrize("chunk", [b"LIST", b"id3 ", b"_PMX", b"bext"])
def test_chunks_behind_the_sound_are_no_sound(reader, folder, sounds, chunk):
    raw = sounds["wav"] + chunk + struct.pack("<I", 90_000) + bytes(range(250)) * 360
    assert asked(reader, folder, raw) is None


@pytest.mark.parametrize("form", [b"RF64", b"BW64"])
@pytest.mark.parametrize("claimed", [None, 0, 480_000, 2**40])
def test_large_wav_forms(reader, folder, sounds, form, claimed):
    raw = form + sounds["rf64"][4:]
    if claimed is not None:
        at = raw.index(b"ds64") + 16
        raw = raw[:at] + struct.pack("<Q", claimed) + raw[at + 8 :]
    warning = asked(reader, folder, raw)
    assert ("states" in (warning or "")) == (claimed in (0, 480_000))


def test_joined_wav_files(reader, folder):
    low = odd.write(folder / "low.wav", odd.tone(30, 300), 8_000).read_bytes()
    high = odd.write(folder / "high.wav", odd.tone(30, 3_000), 8_000).read_bytes()
    assert "2 recordings are joined" in asked(reader, folder, low + high)
    assert "2 recordings are joined" in asked(reader, folder, low + odd.ID3V1 + high)
    assert "2 recordings are joined" in asked(reader, folder, with_size(low, 0) + high)


FRONTS = {
    "2 MB tag": lambda raw: odd.with_id3(raw, 2_000_000),
    "APE tag": lambda raw: odd.ape_tag() + raw,
    "2 MB APE tag": lambda raw: odd.ape_tag(2_000_000) + raw,
    "2 MB of zeros": lambda raw: bytes(2_000_000) + raw,
    "tag, zeros, tag": lambda raw: odd.with_id3(
        bytes(1_500_000) + odd.with_id3(raw, 1_500_000), 9
    ),
    "junk": lambda raw: b"\x01\x02\x93junk" * 500 + raw,
}


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("kind", ["wav", "flac", "aiff", "ogg", "mp3", "rf64"])
def test_what_is_in_front_of_any_format(reader, folder, sounds, front, kind):
    assert asked(reader, folder, FRONTS[front](sounds[kind])) is None
    assert reader.probe(folder / "file").bit_rate == pytest.approx(
        len(sounds[kind]) * 8 / 60, rel=0.01
    )


def test_tags_alone_are_no_sound(reader, folder):
    for raw in (odd.with_id3(b"", 2_000), odd.ape_tag(), bytes(3_000) + odd.ape_tag()):
        (folder / "tags").write_bytes(raw)
        with pytest.raises(AudioError, match=r"holds tags|not an audio file"):
            reader.probe(folder / "tags")


def test_samples_do_not_depend_on_what_is_in_front(reader, folder, sounds):
    for kind in ("wav", "flac", "aiff", "ogg", "mp3"):
        results = []
        for front in (lambda raw: raw, *FRONTS.values()):
            (folder / "file").write_bytes(front(sounds[kind]))
            results.append(reader.excerpt(folder / "file", CONFIG).samples)
        assert all(np.array_equal(results[0], other) for other in results[1:]), kind
