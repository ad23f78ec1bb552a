"""Frames of an MP3: found, counted, and mended into a stream that decodes the same."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile as sf

from ml.audio import mp3_frames
from tests.ml import odd


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mp3")


@pytest.fixture(scope="module")
def cbr(folder):
    return odd.write_mp3(folder / "cbr.mp3", odd.sound(6)).read_bytes()


@pytest.fixture(scope="module")
def vbr(folder):
    path = folder / "vbr.mp3"
    return odd.write_mp3(path, odd.sound(6), mode="VARIABLE", level=0.4).read_bytes()


def walked(raw):
    start = mp3_frames.find_start(raw)
    return start, mp3_frames.scan_frames(raw, start, 10**6)


def decoded_mended(raw):
    start, there = walked(raw)
    result = mp3_frames.mend(raw, start, there)
    samples = sf.read(io.BytesIO(result.stream), dtype="float32", always_2d=True)[0]
    return samples[result.lead_frames :]


@pytest.mark.parametrize(
    ("header", "size", "samples", "rate_hz", "channels"),
    [
        ("fffb9064", 417, 1152, 44_100, 2),
        ("fffb9264", 418, 1152, 44_100, 2),
        ("fffbe0c4", 1044, 1152, 44_100, 1),
        ("fff384c4", 144 // 2 * 64 // 24, 576, 24_000, 1),
        ("fffd9004", 144 * 160_000 // 44_100, 1152, 44_100, 2),
        ("ffff9004", 12 * 288_000 // 44_100 * 4, 384, 44_100, 2),
        ("ffe340c4", 72 * 32_000 // 11_025, 576, 11_025, 1),
    ],
)
def test_headers(header, size, samples, rate_hz, channels):
    parsed = mp3_frames.parse_header(bytes.fromhex(header))
    assert (parsed.size, parsed.samples_per_frame) == (size, samples)
    assert (parsed.sample_rate_hz, parsed.channels) == (rate_hz, channels)


@pytest.mark.parametrize("header", ["fffb0064", "fffbf064", "fffb9c64", "ffeb9064", "fff99064"])
def test_what_is_no_header(header):
    assert mp3_frames.parse_header(bytes.fromhex(header)) is None


def test_a_walk_counts_what_the_tag_counts(cbr, vbr):
    for raw in (cbr, vbr):
        start, there = walked(raw)
        assert there.frames == start.tag.frames
        assert (there.junk_bytes, there.is_complete) == (0, True)
        assert mp3_frames.is_tag_plausible(start, len(raw))


@pytest.mark.parametrize("lead", [b"", bytes(3_000), b"\x01\xff\xfb" * 1_000])
@pytest.mark.parametrize("tag_bytes", [0, 200_000])
def test_the_start_is_found_behind_tags_and_junk(cbr, lead, tag_bytes):
    raw = lead + cbr
    if tag_bytes:
        raw = odd.with_id3(raw, tag_bytes)
    start = mp3_frames.find_start(raw)
    assert raw[start.offset :] == cbr
    assert start.tag.kind == "Info"


def test_an_untagged_stream_mended_decodes_as_it_does_plainly(cbr, folder):
    raw = odd.without_tag(cbr)
    path = folder / "untagged.mp3"
    path.write_bytes(raw)
    plain, mended = odd.decoded(path), decoded_mended(raw)
    assert len(mended) == walked(raw)[1].frames * 1152
    assert np.array_equal(mended[: len(plain)], plain)


def test_an_untagged_variable_stream_has_its_whole_length(vbr):
    assert len(decoded_mended(odd.without_tag(vbr))) == walked(vbr)[1].frames * 1152


def test_the_frames_around_junk_are_all_kept(cbr, rng):
    plain = decoded_mended(cbr)
    for junk in (rng.bytes(20_000), bytes(200_000), b"\xff" * 5_000):
        raw = odd.with_junk(cbr, junk)
        _, there = walked(raw)
        mended = decoded_mended(raw)
        assert len(there.spans) == 2
        assert len(mended) == pytest.approx(len(plain), abs=2 * 1152)
        assert np.array_equal(mended[:88_200], plain[:88_200])


def test_junk_between_whole_frames_changes_nothing(cbr):
    start, _ = walked(cbr)
    boundary = start.offset + start.tag.size
    for _ in range(100):
        boundary += mp3_frames.parse_header(cbr[boundary : boundary + 4]).size
    raw = cbr[:boundary] + bytes(9_000) + cbr[boundary:]
    assert walked(raw)[1].junk_bytes == 9_000
    assert np.array_equal(decoded_mended(raw), decoded_mended(cbr))


@pytest.mark.parametrize("frames", [1, 10, 50, 2**31, 2**32 - 1])
def test_lying_tags_are_seen_through(cbr, vbr, frames):
    for raw in (cbr, vbr):
        lying = odd.with_claim(raw, frames)
        assert not mp3_frames.is_tag_plausible(mp3_frames.find_start(lying), len(lying))
        assert len(decoded_mended(lying)) == pytest.approx(6 * odd.RATE_HZ, abs=2 * 1152)


def test_a_cut_stream_is_not_plausible_and_loses_only_its_end(cbr, folder):
    raw = cbr[: int(len(cbr) * 0.4)]
    path = folder / "cut.mp3"
    path.write_bytes(raw)
    assert not mp3_frames.is_tag_plausible(mp3_frames.find_start(raw), len(raw))
    assert np.array_equal(decoded_mended(raw), odd.decoded(path))


def test_a_walk_stops_at_the_limit(cbr):
    start = mp3_frames.find_start(cbr)
    there = mp3_frames.scan_frames(cbr, start, 50)
    assert (there.frames, there.is_complete) == (50, False)


@pytest.mark.parametrize("raw", [b"", b"ID3", b"\xff" * 4_000, bytes(4_000), b"text " * 900])
def test_nothing_is_found_where_nothing_is(raw):
    assert mp3_frames.find_start(raw) is None


def test_random_bytes_never_raise(rng):
    for _ in range(50):
        raw = rng.bytes(3_000)
        start = mp3_frames.find_start(raw)
        if start is not None:
            mp3_frames.scan_frames(raw, start, 10**6)


@pytest.mark.parametrize("rate_hz", [48_000, 24_000, 11_025])
@pytest.mark.parametrize("channels", [1, 2])
def test_other_rates_and_mono(folder, rate_hz, channels):
    path = folder / f"{rate_hz}-{channels}.mp3"
    raw = odd.write_mp3(path, odd.sound(2, rate_hz, channels), rate_hz).read_bytes()
    start, there = walked(raw)
    assert (start.header.sample_rate_hz, start.header.channels) == (rate_hz, channels)
    assert there.frames == start.tag.frames
    untagged = raw[start.offset + start.tag.size :]
    per_frame = start.header.samples_per_frame
    assert len(decoded_mended(untagged)) == there.frames * per_frame
