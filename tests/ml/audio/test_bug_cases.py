"""The files on which audiotag once went wrong, each with what it should say."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import pytest

from ml.audio.reader import AudioReader
from ml.errors import AudioError
from ml.types import FEATURE_CONFIGS
from tests.ml import odd

CONFIG = FEATURE_CONFIGS["audiotag"]


@dataclass(frozen=True)
class Expected:
    """Facts of a file; `share` is that of a second tone, if there is one."""

    length_s: float
    start_s: float = 0.0
    share: float | None = None
    rms: float = 0.28
    warning: str | None = None
    unplayable: str | None = None


CASES = {
    "chained.ogg": Expected(100, 30, 0.5, warning="2 recordings are joined"),
    "joined_8k_16k.mp3": Expected(
        100, 30, 0.5, 0.2, "sample rates differ: 8,000 Hz and 16,000"
    ),
    "streaminfo_counts_half.flac": Expected(
        80, 20, 0.5, warning="40.0 s, but 80.0 s are there"
    ),
    "anti_phase.flac": Expected(5, warning="some were inverted for the mix"),
    "float_int16_range.wav": Expected(2.5, rms=0.26, warning="taken as 16-bit numbers"),
    "hidden_track.flac": Expected(90, 0, None, 0.17, "excerpt begins at 0:00"),
    "data_size_zero.wav": Expected(5, warning="states no length"),
    "flac_id3v1_behind.flac": Expected(5),
    "flac_in_ogg.oga": Expected(5),
    "one.aiff": Expected(5, unplayable="AIFF"),
}


@pytest.fixture(scope="module")
def reader():
    with AudioReader() as reader:
        yield reader


@pytest.mark.shared_data
@pytest.mark.parametrize("name", CASES)
def test_each_case(reader, shared_data, name):
    path, expected = shared_data / "bug_cases" / "audio" / name, CASES[name]
    probe, excerpt = reader.probe(path), reader.excerpt(path, CONFIG)
    assert probe.length_s == pytest.approx(expected.length_s, abs=0.35)
    assert excerpt.length_known_s == probe.length_s
    assert excerpt.start_s == pytest.approx(expected.start_s, abs=0.01)
    if expected.share is not None:
        share = odd.share_of_second_tone(excerpt.samples)
        assert share == pytest.approx(expected.share, abs=0.02)
    assert float(np.sqrt(np.mean(excerpt.samples**2))) == pytest.approx(expected.rms, abs=0.01)
    assert probe.unplayable == expected.unplayable
    if expected.warning is None:
        assert probe.warning is None
    else:
        assert expected.warning in probe.warning
        assert expected.warning in excerpt.warning


@pytest.mark.shared_data
def test_every_case_is_expected(shared_data):
    folder = shared_data / "bug_cases" / "audio"
    assert {path.name for path in folder.iterdir()} == set(CASES)


def ogg_page(serial, number, packet, flags=0, granule=0):
    """One page with one packet of fewer than 255 bytes; libsndfile is not asked to read it."""
    head = b"OggS\0" + bytes([flags]) + struct.pack("<qIII", granule, serial, number, 0)
    return head + bytes([1, len(packet)]) + packet


@pytest.mark.parametrize(
    ("packets", "name"),
    [
        ([b"Speex   1.2" + bytes(60)], "OGG with Speex"),
        ([b"\x80theora" + bytes(35)], "OGG with Theora video"),
        ([b"fishead\0" + bytes(56), b"\x80theora" + bytes(35)], "OGG with Theora video"),
        ([b"CELT    " + bytes(52)], "OGG with CELT"),
    ],
)
def test_codecs_in_ogg_are_named(reader, tmp_path, packets, name):
    pages = [ogg_page(n, 0, packet, flags=2) for n, packet in enumerate(packets)]
    (tmp_path / "a.ogg").write_bytes(b"".join(pages) + ogg_page(0, 1, b"x" * 99))
    with pytest.raises(AudioError, match=f"a format that audiotag does not read: {name}"):
        reader.probe(tmp_path / "a.ogg")


def test_sound_beside_a_video_is_read(reader, tmp_path):
    raw = odd.write(tmp_path / "a.ogg", odd.tone(3, 300), 8_000).read_bytes()
    second = raw.index(b"OggS", 4)
    video = ogg_page(77, 0, b"\x80theora" + bytes(35), flags=2)
    more = ogg_page(77, 1, b"x" * 99)
    (tmp_path / "b.ogg").write_bytes(video + raw[:second] + more + raw[second:])
    assert reader.probe(tmp_path / "b.ogg").length_s == 3.0


def test_a_link_that_cannot_be_read_is_told(reader, tmp_path):
    raw = odd.write(tmp_path / "a.ogg", odd.tone(3, 300), 8_000).read_bytes()
    speex = ogg_page(5, 0, b"Speex   1.2" + bytes(60), flags=2) + ogg_page(5, 1, b"x" * 99)
    (tmp_path / "b.ogg").write_bytes(raw + speex)
    probe = reader.probe(tmp_path / "b.ogg")
    assert probe.length_s == 3.0
    assert "a part in OGG with Speex was left out" in probe.warning
