"""Sound files, whole, odd and hostile, made on the spot."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import soundfile as sf

RATE_HZ = 44_100


def sound(seconds, rate_hz=RATE_HZ, channels=2, seed=0):
    """Chords under drifting noise: no two moments sound the same."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    tones = [(110, 0.31), (277, 0.53), (555, 0.7), (1234, 1.1)]
    mono = sum(
        0.1 * np.sin(2 * np.pi * hz * t) * (1 + np.sin(2 * np.pi * beat * t))
        for hz, beat in tones
    )
    mono = mono + 0.02 * rng.standard_normal(len(t))
    levels = np.linspace(1.0, 0.6, channels)
    return (mono[:, None] * levels).astype(np.float32)


def write(path, samples, rate_hz=RATE_HZ, **options):
    """Write in blocks of one second: libsndfile's packed encoders crash on long ones."""
    with sf.SoundFile(path, "w", rate_hz, samples.shape[1], **options) as file:
        for first in range(0, len(samples), rate_hz):
            file.write(samples[first : first + rate_hz])
    return Path(path)


def write_mp3(path, samples, rate_hz=RATE_HZ, mode="CONSTANT", level=0.5):
    return write(
        path, samples, rate_hz, format="MP3", bitrate_mode=mode, compression_level=level
    )


def decoded(path):
    """Return what a plain decoding from start to end gives, float32 (n, channels)."""
    return sf.read(path, dtype="float32", always_2d=True)[0]


def tag_at(raw):
    return max(raw.find(b"Xing", 0, 200), raw.find(b"Info", 0, 200))


def without_tag(raw):
    """Cut off the first frame, which carries the Xing or Info tag."""
    first = raw.index(b"\xff\xfb")
    return raw[raw.index(b"\xff\xfb", first + 200) :]


def with_claim(raw, frames):
    at = tag_at(raw)
    return raw[: at + 8] + struct.pack(">I", frames) + raw[at + 12 :]


def with_junk(raw, junk, share=0.5):
    at = int(len(raw) * share)
    return raw[:at] + junk + raw[at:]


def with_id3(raw, tag_bytes):
    size = bytes(tag_bytes >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + bytes(tag_bytes) + raw


def flac_claiming(raw, frames):
    """Put another number of samples into the STREAMINFO block (36 bits)."""
    field = int.from_bytes(raw[18:26], "big") >> 36 << 36 | frames
    return raw[:18] + field.to_bytes(8, "big") + raw[26:]


def flac_bomb(path, minutes=20):
    silence = np.zeros((RATE_HZ, 8), np.int16)
    with sf.SoundFile(path, "w", RATE_HZ, 8, format="FLAC", subtype="PCM_16") as file:
        for _ in range(minutes * 60):
            file.write(silence)
    return Path(path)


def wav(codec=1, channels=2, rate_hz=RATE_HZ, claimed_bytes=None, data=bytes(1_000), bits=16):
    """A WAV file whose header says whatever is asked."""
    align = channels * bits // 8 & 0xFFFF
    fmt = struct.pack("<HHIIHH", codec, channels, rate_hz, 0, align, bits)
    size = len(data) if claimed_bytes is None else claimed_bytes
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", min(0xFFFFFFFF, 36 + size)) + body + data


def rf64_claiming(frames, data=bytes(1_000)):
    sizes = struct.pack("<QQQI", *[min(frames * 4, 2**64 - 1)] * 2, frames, 0)
    fmt = struct.pack("<HHIIHH", 1, 2, RATE_HZ, RATE_HZ * 4, 4, 16)
    chunks = b"ds64" + struct.pack("<I", len(sizes)) + sizes
    chunks += b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + b"\xff" * 4
    return b"RF64" + b"\xff" * 4 + b"WAVE" + chunks + data


def two_tones(seconds, rate_hz=8_000, channels=1, level=0.4):
    """300 Hz in the first half and 3 kHz in the second: the middle holds half of each."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    mono = np.where(t < seconds / 2, np.sin(2 * np.pi * 300 * t), np.sin(2 * np.pi * 3_000 * t))
    return np.repeat((level * mono)[:, None], channels, 1).astype(np.float32)


def tone(seconds, hz, rate_hz=8_000, channels=1, level=0.4):
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    mono = level * np.sin(2 * np.pi * hz * t)
    return np.repeat(mono[:, None], channels, 1).astype(np.float32)


def share_of_second_tone(samples, rate_hz=RATE_HZ):
    """Return the share of the moments with sound in which the tone is 3 kHz."""
    size = rate_hz // 10
    rows = samples[: len(samples) // size * size].reshape(-1, size)
    power = np.abs(np.fft.rfft(rows * np.hanning(size))) ** 2
    hz = np.fft.rfftfreq(size, 1 / rate_hz)
    low = power[:, (hz > 200) & (hz < 400)].sum(axis=1)
    high = power[:, (hz > 2_800) & (hz < 3_200)].sum(axis=1)
    heard = low + high > 1e-3
    return float((high > low)[heard].mean())


def ape_tag(size=500):
    """An APEv2 tag with header and footer."""
    fields = struct.pack("<II", 2_000, size + 32), struct.pack("<I", 0)
    head = b"APETAGEX" + fields[0] + fields[1] + struct.pack("<I", 0xA0000000) + bytes(8)
    foot = b"APETAGEX" + fields[0] + fields[1] + struct.pack("<I", 0x80000000) + bytes(8)
    return head + b"x" * size + foot


ID3V1 = b"TAG" + bytes(125)
