"""Genre loops: one function per genre that fills a loop. Numpy only; see `synthesis`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ml.simulation.instruments import (
    Loop,
    band,
    bowed_section,
    brass_stab,
    decay,
    drum,
    envelope,
    harmonics,
    kick,
    midi_hz,
    plucked_string,
    shaped_noise,
    snare,
    stroke,
    struck_string,
    tone,
    voice,
)
from ml.types import FloatArray

LoopMaker = Callable[[np.random.Generator, int], Loop]

#: Degrees above the key note, four chords a loop.
_PROGRESSIONS = (
    ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14)),
    ((0, 3, 7), (8, 12, 15), (3, 7, 10), (10, 14, 17)),
    ((0, 3, 7), (5, 8, 12), (7, 10, 14), (0, 3, 7)),
    ((0, 4, 7), (5, 9, 12), (2, 5, 9), (7, 11, 14)),
)
_JAZZ_CHORDS = ((2, 5, 9, 12), (7, 11, 14, 17), (0, 4, 7, 11), (9, 12, 16, 19))
_VOWELS_HZ = ((730, 1_090, 2_440), (530, 1_840, 2_480), (570, 840, 2_410), (300, 870, 2_240))


def drone(rng: np.random.Generator, rate: int) -> Loop:
    """Low partials that beat slowly against each other.

    Parameters
    ----------
    rng : source of key, tempo and pattern.
    rate : samples per second.

    Returns
    -------
    Loop
    """
    loop = Loop(12.0, rate)
    base = midi_hz(int(rng.integers(29, 38)))
    at = np.arange(loop.n, dtype=np.float32)
    for partial in (1, 1, 2, 3, 4, 5, 6, 8, 10):
        # Whole cycles a loop keep the seam silent; neighbours a cycle apart beat in 12 s.
        cycles = round(base * partial * 12.0) + int(rng.integers(-3, 4))
        swell = 0.7 + 0.3 * np.sin(at * np.float32(2 * np.pi * rng.integers(1, 4) / loop.n))
        wave = np.sin(at * (2 * np.pi * cycles / loop.n)) * swell
        loop.add(0, wave.astype(np.float32), 1.2 * partial**-0.7, float(rng.uniform(-0.6, 0.6)))
    return loop


def techno(rng: np.random.Generator, rate: int) -> Loop:
    """Four on the floor, open hats between the beats, a bass in sixteenths.

    Parameters
    ----------
    rng : source of key, tempo and pattern.
    rate : samples per second.

    Returns
    -------
    Loop
    """
    beat = 60 / float(rng.uniform(125, 134))
    loop = Loop(16 * beat, rate)
    bass_drum, hat = kick(rate), stroke(rate, rng, 7_000, 16_000, 0.035)
    closed, clap = stroke(rate, rng, 9_000, 16_000, 0.012), stroke(rate, rng, 900, 4_000, 0.06)
    key = int(rng.integers(31, 40))
    saw = harmonics(midi_hz(key), 0.9, rate, 2_500)
    notes = {
        step: plucked(saw, key + step, 0.16, rate) for step in (0, 3, 7, 12)
    }  # three or four pitches serve the whole loop
    pattern = rng.choice([0, 0, 0, 3, 7, 12], 16)
    for sixteenth in range(64):
        at = sixteenth * beat / 4
        if sixteenth % 4 == 0:
            loop.add(at, bass_drum, 1.0)
        if sixteenth % 4 == 2:
            loop.add(at, hat, 0.35, 0.2)
        if sixteenth % 8 == 4:
            loop.add(at, clap, 0.35)
        loop.add(at, closed, 0.12, -0.3)
        if sixteenth % 4:
            loop.add(at, notes[int(pattern[sixteenth % 16])], 0.45)
    return loop


def plucked(table: FloatArray, note: float, time_s: float, rate: int) -> FloatArray:
    """Play a wave table at a note, with a decay.

    Parameters
    ----------
    table : from `ml.simulation.instruments.wavetable`.
    note : MIDI note number.
    time_s : length scale in seconds.
    rate : samples per second.

    Returns
    -------
    float32 array (n,), mono.
    """
    sound = tone(table, midi_hz(note), 3 * time_s, rate)
    return sound * decay(len(sound), time_s / 2, rate)


def piano(rng: np.random.Generator, rate: int) -> Loop:
    """Broken chords in the middle, a slow melody above, a bass note under each bar.

    Parameters
    ----------
    rng : source of key, tempo and pattern.
    rate : samples per second.

    Returns
    -------
    Loop
    """
    bar = float(rng.uniform(2.0, 3.2))
    loop = Loop(4 * bar, rate)
    key, chords = int(rng.integers(57, 65)), _PROGRESSIONS[rng.integers(len(_PROGRESSIONS))]
    steps = int(rng.choice([4, 6, 8]))
    for number, chord in enumerate(chords):
        start = number * bar
        loop.add(start, struck_string(midi_hz(key - 24 + chord[0]), 2.5, rate), 0.8, -0.3)
        for step in range(steps):
            note = key + chord[step % 3] - (12 if step < 3 else 0)
            sound = struck_string(midi_hz(note), 1.4, rate)
            loop.add(start + step * bar / steps, sound, float(rng.uniform(0.35, 0.6)), -0.1)
        top = key + 12 + chord[rng.integers(3)]
        loop.add(start + bar / 2, struck_string(midi_hz(top), 1.6, rate), 0.6, 0.3)
    return loop


def percussion(rng: np.random.Generator, rate: int) -> Loop:
    """Skin drums, shaker and claps in interlocking patterns; no chords, no bass line.

    Parameters
    ----------
    rng : source of key, tempo and pattern.
    rate : samples per second.

    Returns
    -------
    Loop
    """
    step = 60 / float(rng.uniform(95, 135)) / 4
    loop = Loop(64 * step, rate)
    voices = [
        (drum(rate, float(rng.uniform(70, 100)), 0.14), 0.9, 0.3, 0.0),
        (drum(rate, float(rng.uniform(150, 210)), 0.09), 0.7, 0.4, -0.4),
        (drum(rate, float(rng.uniform(280, 380)), 0.06), 0.6, 0.4, 0.4),
        (stroke(rate, rng, 1_000, 3_500, 0.04), 0.5, 0.2, 0.2),
        (stroke(rate, rng, 5_000, 13_000, 0.025), 0.3, 0.8, -0.2),
    ]
    for sound, gain, density, pan in voices:
        pattern = rng.random(16) < density
        pattern[0] |= gain > 0.8
        for sixteenth in range(64):
            if pattern[sixteenth % 16]:
                loop.add(sixteenth * step, sound, gain * float(rng.uniform(0.6, 1)), pan)
    return loop


def ambient(rng: np.random.Generator, rate: int) -> Loop:
    """Slow soft pads, wide, under quiet filtered noise.

    Parameters
    ----------
    rng : source of key, tempo and pattern.
    rate : samples per second.

    Returns
    -------
    Loop
    """
    loop = Loop(16.0, rate)
    key, chords = int(rng.integers(50, 60)), _PROGRESSIONS[rng.integers(len(_PROGRESSIONS))]
    for number, chord in enumerate(chords):
        for place, degree in enumerate((*chord, chord[0] + 12)):
            frequency = midi_hz(key + degree)
            table = harmonics(frequency, 2.4, rate, 3_000)
            for detune, pan in ((0.998, -0.7), (1.002, 0.7)):
                sound = tone(table, frequency * detune, 6.0, rate)
                shaped = sound * envelope(len(sound), 2.2, 2.4, rate)
                loop.add(4.0 * number, shaped, 0.35 - 0.05 * place, pan)
    breath = shaped_noise(loop.n, band(1_200, 5_000), rate, rng)
    waves = 0.6 + 0.4 * np.sin(np.arange(loop.n, dtype=np.float32) * (4 * np.pi / loop.n))
    loop.add(0, (breath * waves).astype(np.float32), 0.28)
    return loop


def orchestral(rng: np.random.Generator, rate: int) -> Loop:
    """Bowed chords over basses, a high line, a timpani before the repeat.

    Parameters
    ----------
    rng : source of key, tempo and pattern.
    rate : samples per second.

    Returns
    -------
    Loop
    """
    bar = float(rng.uniform(2.4, 3.2))
    loop = Loop(4 * bar, rate)
    key, chords = int(rng.integers(50, 57)), _PROGRESSIONS[rng.integers(len(_PROGRESSIONS))]
    for number, chord in enumerate(chords):
        at = number * bar
        notes = (chord[0] - 12, *chord, chord[1] + 12)
        for place, degree in enumerate(notes):
            sound = bowed_section(midi_hz(key + degree), bar * 1.1, rate, rng)
            loop.add(at, sound, 0.45, -0.6 + 0.3 * place)
        high = bowed_section(midi_hz(key + 24 + chord[rng.integers(3)]), bar / 2, rate, rng)
        loop.add(at + bar / 2, high, 0.4, -0.4)
    loop.add(3.5 * bar, drum(rate, midi_hz(key - 12), 0.5), 0.9, 0.2)
    return loop


def rock(rng: np.random.Generator, rate: int) -> Loop:
    """Distorted power chords in eighths, a bass an octave below, backbeat drums.

    Parameters
    ----------
    rng : source of key, tempo and pattern.
    rate : samples per second.

    Returns
    -------
    Loop
    """
    beat = 60 / float(rng.uniform(110, 150))
    loop = Loop(16 * beat, rate)
    key, roots = int(rng.integers(40, 46)), rng.choice([0, 3, 5, 7, 10], 4)
    for number, root in enumerate(roots):
        low = midi_hz(key + int(root))
        saw = harmonics(low, 1.0, rate, 5_000)
        length = 4 * beat
        chord = sum(
            (tone(saw, low * ratio, length, rate) for ratio in (1.0, 1.498, 2.003)),
            start=np.zeros(int(length * rate), dtype=np.float32),
        )
        chug = np.tanh(4 * chord) * _pulses(len(chord), beat / 2, rate)
        loop.add(number * length, chug.astype(np.float32), 0.5, -0.5)
        loop.add(number * length + 0.012, chug.astype(np.float32), 0.5, 0.5)
    _backbeat(loop, beat, rng)
    return loop


def _pulses(n: int, period_s: float, rate: int) -> FloatArray:
    """Return falls from 1 to .45 in every period, like a hand that damps the string."""
    at = np.arange(n, dtype=np.float32) % np.float32(period_s * rate)
    return np.asarray(1 - 0.55 * at / np.float32(period_s * rate), dtype=np.float32)


def _backbeat(loop: Loop, beat: float, rng: np.random.Generator) -> None:
    rate = loop.rate
    bass_drum, side = kick(rate, low_hz=60), snare(rate, rng)
    hat = stroke(rate, rng, 6_000, 14_000, 0.04)
    for eighth in range(32):
        at = eighth * beat / 2
        loop.add(at, hat, 0.3, 0.3)
        if eighth % 8 in (0, 5):
            loop.add(at, bass_drum, 0.9)
        if eighth % 4 == 2:
            loop.add(at, side, 0.8)


def _swing(loop: Loop, beat: float, chords: int, key: int, rng: np.random.Generator) -> None:
    """Ride cymbal in swung eighths, hi-hat on two and four, a walking bass."""
    rate = loop.rate
    ride, pedal = stroke(rate, rng, 4_500, 11_000, 0.12), stroke(rate, rng, 6_000, 14_000, 0.02)
    for number in range(4 * chords):
        at, chord = number * beat, _JAZZ_CHORDS[number // 4 % 4]
        loop.add(at, ride, 0.35, 0.4)
        if number % 2:
            loop.add(at + beat * 0.66, ride, 0.22, 0.4)
            loop.add(at, pedal, 0.3, 0.2)
        degree = (
            chord[number % 4] if number % 4 != 3 else chord[0] + int(rng.choice([-1, 1, 2]))
        )
        note = key - 24 + degree % 12
        loop.add(at, plucked_string(midi_hz(note), 0.3, rate, 1.8), 0.9, -0.1)


def jazz(rng: np.random.Generator, rate: int) -> Loop:
    """A trio: ride, walking bass, sparse piano chords off the beat.

    Parameters
    ----------
    rng : source of key, tempo and pattern.
    rate : samples per second.

    Returns
    -------
    Loop
    """
    beat = 60 / float(rng.uniform(120, 180))
    loop = Loop(16 * beat, rate)
    key = int(rng.integers(57, 64))
    _swing(loop, beat, 4, key, rng)
    for number, chord in enumerate(_JAZZ_CHORDS):
        for off in rng.choice([0.66, 1.0, 1.66, 2.66, 3.66], 2, replace=False):
            for degree in chord[1:]:
                sound = struck_string(midi_hz(key + degree), 0.35, rate)
                loop.add((4 * number + float(off)) * beat, sound, 0.3, -0.3)
    return loop


def big_band(rng: np.random.Generator, rate: int) -> Loop:
    """Swing under brass sections that answer each other in short chords.

    Parameters
    ----------
    rng : source of key, tempo and pattern.
    rate : samples per second.

    Returns
    -------
    Loop
    """
    beat = 60 / float(rng.uniform(130, 175))
    loop = Loop(16 * beat, rate)
    key = int(rng.integers(56, 62))
    _swing(loop, beat, 4, key, rng)
    _backbeat_soft(loop, beat)
    for number, chord in enumerate(_JAZZ_CHORDS):
        for off, length in ((0.0, 1.2), (1.66, 0.3), (2.66, 0.6)):
            if off and rng.random() < 0.25:
                continue
            for place, degree in enumerate(chord):
                sound = brass_stab(midi_hz(key + degree), length * beat + 0.1, rate)
                loop.add((4 * number + off) * beat, sound, 0.4, -0.5 + 0.3 * place)
    return loop


def _backbeat_soft(loop: Loop, beat: float) -> None:
    for number in range(16):
        loop.add(number * beat, kick(loop.rate, low_hz=55, length_s=0.2), 0.3)


def pizzicato(rng: np.random.Generator, rate: int) -> Loop:
    """Short plucked strings in a light pattern, with rests.

    Parameters
    ----------
    rng : source of key, tempo and pattern.
    rate : samples per second.

    Returns
    -------
    Loop
    """
    step = 60 / float(rng.uniform(95, 130)) / 2
    loop = Loop(32 * step, rate)
    key, chords = int(rng.integers(57, 64)), _PROGRESSIONS[rng.integers(len(_PROGRESSIONS))]
    for eighth in range(32):
        chord = chords[eighth // 8]
        if eighth % 4 == 0:
            low = plucked_string(midi_hz(key - 24 + chord[0]), 0.12, rate)
            loop.add(eighth * step, low, 0.8, 0.4)
        if rng.random() < 0.75:
            note = key + chord[rng.integers(3)] + 12 * int(rng.integers(0, 2))
            sound = plucked_string(midi_hz(note), 0.07, rate)
            loop.add(eighth * step, sound, float(rng.uniform(0.5, 0.9)), -0.4)
    return loop


def a_cappella(rng: np.random.Generator, rate: int) -> Loop:
    """Four voices on changing vowels, with a breath between the phrases.

    Parameters
    ----------
    rng : source of key, tempo and pattern.
    rate : samples per second.

    Returns
    -------
    Loop
    """
    bar = float(rng.uniform(2.2, 3.0))
    loop = Loop(4 * bar, rate)
    key, chords = int(rng.integers(52, 58)), _PROGRESSIONS[rng.integers(len(_PROGRESSIONS))]
    for number, chord in enumerate(chords):
        vowel = _VOWELS_HZ[rng.integers(len(_VOWELS_HZ))]
        for place, degree in enumerate((chord[0] - 12, *chord)):
            frequency = midi_hz(key + degree)
            table = voice(frequency, vowel, rate)
            for detune in (0.996, 1.004):
                sound = tone(
                    table, frequency * detune, bar * 0.92, rate,
                    vibrato=0.008, vibrato_hz=float(rng.uniform(4.8, 6.0)),
                )  # fmt: skip
                shaped = sound * envelope(len(sound), 0.12, 0.25, rate)
                loop.add(number * bar, shaped, 0.4, -0.6 + 0.4 * place)
        breath = stroke(rate, rng, 1_500, 6_000, 0.06)
        loop.add((number + 0.95) * bar, breath, 0.05)
    return loop


def sound_design(rng: np.random.Generator, rate: int) -> Loop:
    """Risers, swept noise and deep impacts, without beat or key.

    Parameters
    ----------
    rng : source of key, tempo and pattern.
    rate : samples per second.

    Returns
    -------
    Loop
    """
    loop = Loop(10.0, rate)
    noise = shaped_noise(4 * rate, band(60, 900), rate, rng)
    for at in np.sort(rng.uniform(0, 10, 4)):
        length = float(rng.uniform(1.5, 3.5))
        n = int(length * rate)
        rise = np.linspace(0, 1, n, dtype=np.float32) ** 2
        low, high = sorted(rng.uniform(200, 6_000, 2))
        phase = np.cumsum(low + (high - low) * rise) * (2 * np.pi / rate)
        swept = np.sin(phase).astype(np.float32) * noise[:n] * rise
        loop.add(float(at), swept, 1.4, float(rng.uniform(-0.7, 0.7)))
        glide = np.sin(0.5 * phase).astype(np.float32) * rise
        loop.add(float(at), glide, 0.25, float(rng.uniform(-0.7, 0.7)))
        loop.add(float(at) + length, kick(rate, low_hz=32, length_s=2.0), 1.5)
        crash = stroke(rate, rng, 300, 7_000, 0.16)
        loop.add(float(at) + length, crash, 0.6)
    return loop


#: Loop of each genre that can be synthesised, by the study's name of the genre.
GENRE_LOOPS: dict[str, LoopMaker] = {
    "Drone": drone,
    "Techno": techno,
    "Piano": piano,
    "Percussion": percussion,
    "Ambient, Chill": ambient,
    "Orchestral": orchestral,
    "Rock": rock,
    "Jazz": jazz,
    "Pizzicato": pizzicato,
    "A Cappella": a_cappella,
    "Big Band": big_band,
    "Sound Design": sound_design,
}
