"""All of a file is heard: joined files and wrong headers, by probe and features alike.

The tone is 300 Hz in the first half and 3 kHz in the second, so the middle holds half of each.
"""

from __future__ import annotations

import struct

import numpy as np
import pytest

from ml.audio.reader import AudioReader
from ml.types import FEATURE_CONFIGS
from tests.ml import odd

CONFIG = FEATURE_CONFIGS["audiotag"]
#: Seconds of sound in each half; the excerpt of 40 s is shorter than the whole.
HALF_S = 30.0
LOW, HIGH = 300, 3_000


@pytest.fixture(scope="module")
def reader():
    with AudioReader() as reader:
        yield reader


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("whole")


def encoded(folder, samples, rate_hz=8_000, **options):
    if options.get("format") == "MP3":
        options = {"bitrate_mode": "CONSTANT", "compression_level": 0.5, **options}
    path = odd.write(folder / "part", samples, rate_hz, **options)
    return path.read_bytes()


def halves(folder, rate_hz=8_000, second_hz=None, channels=(1, 1), **options):
    """Two files: the low tone, and the high tone."""
    second_hz = second_hz or rate_hz
    low = odd.tone(HALF_S, LOW, rate_hz, channels[0])
    high = odd.tone(HALF_S, HIGH, second_hz, channels[1])
    return encoded(folder, low, rate_hz, **options), encoded(folder, high, second_hz, **options)


def heard(reader, folder, raw, length_s=2 * HALF_S, share=0.5):
    """Check that probe and excerpt agree on all of the file; return the probe's warning."""
    path = folder / "file"
    path.write_bytes(raw)
    probe, excerpt = reader.probe(path), reader.excerpt(path, CONFIG)
    assert probe.length_s == pytest.approx(length_s, abs=0.3)
    assert excerpt.length_known_s == pytest.approx(probe.length_s, abs=0.06)
    middle = max(0.0, (probe.length_s - CONFIG.excerpt_s) / 2)
    assert excerpt.start_s == pytest.approx(middle, abs=0.06)
    seconds = min(CONFIG.excerpt_s, probe.length_s)
    assert len(excerpt.samples) / CONFIG.sample_rate_hz == pytest.approx(seconds, abs=0.06)
    assert odd.share_of_second_tone(excerpt.samples) == pytest.approx(share, abs=0.02)
    assert probe.warning is None or probe.warning in excerpt.warning
    return probe.warning


OGG = [
    ("Vorbis", {"format": "OGG", "subtype": "VORBIS"}, 8_000, None, (1, 1)),
    ("Vorbis at two rates", {"format": "OGG", "subtype": "VORBIS"}, 8_000, 16_000, (1, 1)),
    ("Vorbis mono and stereo", {"format": "OGG", "subtype": "VORBIS"}, 8_000, None, (1, 2)),
    ("Opus", {"format": "OGG", "subtype": "OPUS"}, 48_000, None, (1, 1)),
]


@pytest.mark.parametrize(("name", "options", "rate", "second", "channels"), OGG)
def test_links_of_an_ogg_chain(reader, folder, name, options, rate, second, channels):
    raw = b"".join(halves(folder, rate, second, channels, **options))
    warning = heard(reader, folder, raw)
    assert "2 recordings are joined" in warning
    assert ("sample rates differ" in warning) == (second is not None)
    assert ("numbers of channels differ" in warning) == (channels == (1, 2))


def test_a_chain_of_many_links(reader, folder):
    low = encoded(folder, odd.tone(5, LOW), format="OGG", subtype="VORBIS")
    high = encoded(folder, odd.tone(5, HIGH), format="OGG", subtype="VORBIS")
    assert "12 recordings" in heard(reader, folder, low * 6 + high * 6)


@pytest.mark.parametrize(
    ("rate", "second", "channels"),
    [(8_000, 16_000, (1, 1)), (44_100, 48_000, (2, 2)), (16_000, 16_000, (1, 2))],
)
@pytest.mark.parametrize("between", [b"", odd.ID3V1, odd.with_id3(b"", 400)])
def test_joined_mp3_files(reader, folder, rate, second, channels, between):
    low, high = halves(folder, rate, second, channels, format="MP3")
    assert "2 recordings are joined" in heard(reader, folder, low + between + high)


def test_joined_mp3_files_without_tags(reader, folder):
    low, high = halves(folder, 44_100, 48_000, format="MP3")
    assert "2 recordings" in heard(reader, folder, odd.without_tag(low) + odd.without_tag(high))


def test_a_short_jingle_of_another_format_behind_an_mp3(reader, folder):
    low, high = halves(folder, 44_100, format="MP3")
    jingle = encoded(folder, odd.tone(2, LOW, 22_050), 22_050, format="MP3")
    warning = heard(reader, folder, low + jingle + high, 62.0, share=19 / 40)
    assert "3 recordings are joined" in warning


@pytest.mark.parametrize("kind", ["Xing", "VBRI"])
def test_an_mp3_whose_tag_counts_half(reader, folder, kind):
    samples = odd.two_tones(2 * HALF_S, 44_100)
    raw = encoded(folder, samples, 44_100, format="MP3", bitrate_mode="VARIABLE")
    at = odd.tag_at(raw)
    frames = int.from_bytes(raw[at + 8 : at + 12], "big")
    if kind == "Xing":
        claimed = odd.with_claim(raw, frames // 2)
    else:
        tag = b"VBRI\0\1\0\0\0\0" + struct.pack(">II", len(raw), frames // 2)
        start = raw.index(b"\xff\xfb")
        claimed = raw[:at] + bytes(4) + raw[at + 4 :]
        claimed = claimed[: start + 36] + tag + claimed[start + 36 + len(tag) :]
    warning = heard(reader, folder, claimed)
    assert (kind == "VBRI") == (warning is None)
    assert kind == "VBRI" or "states a length of 30.0 s, but 60.0 s are there" in warning


@pytest.mark.parametrize("frames", [0, 240_000, 479_999])
@pytest.mark.parametrize("tags", [b"", odd.ID3V1, odd.ape_tag() + odd.ID3V1])
def test_a_flac_whose_header_counts_too_little(reader, folder, frames, tags):
    raw = encoded(folder, odd.two_tones(2 * HALF_S), format="FLAC")
    warning = heard(reader, folder, odd.flac_claiming(raw, frames) + tags)
    assert ("states a length of 30.0 s" in (warning or "")) == (frames == 240_000)


def test_joined_flac_files(reader, folder):
    low, high = halves(folder, format="FLAC")
    for between in (b"", odd.ID3V1, odd.with_id3(b"", 100)):
        assert "2 recordings are joined" in heard(reader, folder, low + between + high)
    low, high = halves(folder, 8_000, 16_000, format="FLAC")
    assert "sample rates differ" in heard(reader, folder, low + high)


@pytest.mark.parametrize(
    "around",
    [
        lambda raw: raw + odd.ID3V1,
        lambda raw: raw + odd.ape_tag(),
        lambda raw: raw + odd.ape_tag() + odd.ID3V1,
        lambda raw: odd.with_id3(raw, 300),
        lambda raw: odd.with_id3(raw, 300) + odd.ID3V1,
        lambda raw: raw + odd.with_id3(b"", 300),
        lambda raw: raw + bytes(5_000),
        lambda raw: raw + b"junk" * 300,
        lambda raw: raw + b"LYRICSBEGIN" + b"x" * 50 + b"000061LYRICS200" + odd.ID3V1,
    ],
)
def test_tags_around_a_flac_cost_no_sample(reader, folder, around):
    samples = odd.sound(2.3, 8_000, 2)
    raw = encoded(folder, samples, format="FLAC")
    path = folder / "tagged"
    path.write_bytes(around(raw))
    assert reader.probe(path).length_s == 2.3
    assert reader.probe(path).warning is None
    excerpt = reader.excerpt(path, CONFIG)
    (folder / "plain").write_bytes(raw)
    assert np.array_equal(excerpt.samples, reader.excerpt(folder / "plain", CONFIG).samples)


def test_a_truncated_flac_has_one_length(reader, folder):
    """Even if only the end is missing, so that the middle of the stated length is there."""
    raw = encoded(folder, odd.two_tones(100), format="FLAC")
    path = folder / "cut.flac"
    path.write_bytes(raw[: int(0.8 * len(raw))])
    probe, excerpt = reader.probe(path), reader.excerpt(path, CONFIG)
    assert excerpt.length_known_s == probe.length_s < 99
    assert excerpt.start_s == pytest.approx((probe.length_s - 40) / 2, abs=0.001)
    assert "damaged after" in probe.warning
    assert "damaged after" in excerpt.warning
