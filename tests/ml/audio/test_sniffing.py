"""Files are named by their bytes; what is refused is refused in a curator's words."""

from __future__ import annotations

import pytest

from ml.audio.sniffing import sniff
from ml.errors import AudioError
from tests.ml import odd


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty file"),
        (b"<!DOCTYPE html><html>no such file</html>", "looks like a web page"),
        (b"  <HTML><body>", "looks like a web page"),
        (b"<?xml version='1.0'?>", "looks like an XML document"),
        (b"PK\x03\x04" + bytes(99), "looks like an archive"),
        (b"%PDF-1.7", "looks like a PDF document"),
        (b"\xff\xd8\xff\xe0" + bytes(99), "looks like a picture"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(99), "Windows Media (WMA)"),
        (b"\0\0\0\x20ftypM4A " + bytes(99), "MPEG-4 (M4A"),
        (b"\x1a\x45\xdf\xa3" + bytes(99), "Matroska or WebM"),
        (b"OFR " + bytes(99), "OptimFROG"),
        (b".snd" + bytes(99), "Sun audio (AU)"),
        (b"caff\0\1\0\0" + bytes(99), "Core Audio (CAF)"),
        (b"\xff\xf1\x50\x80" + bytes(99), "raw AAC"),
        (b"dear curator, the file is in the post", "looks like a text"),
        (bytes(500), "nothing but zeros"),
        (b"\x01\x02\x93" * 50, "a format that audiotag does not know"),
        (b"ID3\x03\0\0\0\0\x0f\x76" + bytes(2_038), "the file holds tags"),
        (odd.wav(codec=0x11), "WAV with IMA ADPCM compression"),
        (odd.wav(codec=2), "WAV with MS ADPCM compression"),
        (odd.wav(codec=0x1234), "WAV with code 0x1234 compression"),
        (b"RIFF\x10\0\0\0WAVEjunk", "without a description"),
        (b"FORM\0\0\0\x20AIFFSSND\0\0\0\0", "without a description"),
        (
            b"FORM\0\0\0\x40AIFCCOMM\0\0\0\x18\0\2\0\0\1\0\0\x10" + bytes(10) + b"ima4\0\0",
            "AIFF with ima4 compression",
        ),
    ],
)
def test_refusals(raw, reason):
    with pytest.raises(AudioError) as caught:
        sniff(raw)
    assert reason in caught.value.reason
    assert caught.value.kind == "unreadable"


@pytest.mark.parametrize(
    ("raw", "container"),
    [
        (odd.wav(codec=1), "WAV"),
        (odd.wav(codec=3, bits=32), "WAV"),
        (odd.wav(codec=7, bits=8), "WAV"),
        (odd.rf64_claiming(9), "WAV"),
        (b"fLaC" + bytes(50), "FLAC"),
        (b"OggS" + bytes(50), "OGG"),
        (b"FORM\0\0\0\x40AIFFCOMM\0\0\0\x12" + bytes(18), "AIFF"),
    ],
)
def test_what_is_passed_on(raw, container):
    assert sniff(raw).container == container


def test_tags_before_a_flac_are_skipped():
    sniffed = sniff(odd.with_id3(b"fLaC" + bytes(50), 300))
    assert (sniffed.container, sniffed.offset) == ("FLAC", 310)
