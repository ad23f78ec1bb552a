"""Sounds for the synthetic demo tracks: single notes and strokes, and a loop to place them in.

Numpy only. Everything is float32 mono at one sample rate, with peaks near 1, and made to be
fast (wave tables and shaped noise) rather than beautiful.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ml.types import Doubles, FloatArray

_TABLE = 2_048


def midi_hz(note: float) -> float:
    """Return the frequency of a MIDI note (A4 = 69 = 440 Hz).

    Parameters
    ----------
    note : MIDI note number, also between notes.

    Returns
    -------
    float, in Hz.

    Examples
    --------
    >>> midi_hz(69), round(midi_hz(60), 2)
    (440.0, 261.63)
    """
    return float(440.0 * 2 ** ((note - 69) / 12))


def wavetable(amplitudes: Sequence[float] | npt.NDArray[np.floating]) -> FloatArray:
    """Compute one period of a harmonic sound.

    Parameters
    ----------
    amplitudes : amplitudes of harmonics 1, 2, ...

    Returns
    -------
    float32 array (2048,), peak 1.

    Examples
    --------
    >>> wavetable([1.0, 0.5]).shape
    (2048,)
    """
    spectrum = np.zeros(_TABLE // 2 + 1, dtype=complex)
    phases = np.exp(1j * 2.4 * np.arange(1, len(amplitudes) + 1) ** 2)
    spectrum[1 : len(amplitudes) + 1] = -1j * np.asarray(amplitudes) * phases
    wave = np.fft.irfft(spectrum)
    return np.asarray(wave / np.abs(wave).max(), dtype=np.float32)


def harmonics(
    frequency_hz: float, slope: float, rate: int, top_hz: float = 12_000.0
) -> FloatArray:
    """Compute a wave table with amplitudes n ** -slope, without aliasing.

    Parameters
    ----------
    frequency_hz : pitch at which it will be played.
    slope : how fast the amplitudes fall.
    rate : samples per second.
    top_hz : highest frequency of a harmonic.

    Returns
    -------
    float32 array (2048,), peak 1.
    """
    count = int(max(1, min(_TABLE // 2 - 1, min(top_hz, rate * 0.45) // frequency_hz)))
    return wavetable(np.arange(1, count + 1, dtype=float) ** -slope)


def voice(frequency_hz: float, formants_hz: Sequence[float], rate: int) -> FloatArray:
    """Compute the wave table of a sung vowel: harmonics under three resonances.

    Parameters
    ----------
    frequency_hz : pitch at which it will be played.
    formants_hz : frequencies of the three resonances.
    rate : samples per second.

    Returns
    -------
    float32 array (2048,), peak 1.
    """
    count = int(max(1, min(5_000.0, rate * 0.45) // frequency_hz))
    at = frequency_hz * np.arange(1, count + 1)
    amplitudes = 0.02 * np.ones(count)
    for place, (formant, width) in enumerate(zip(formants_hz, (90, 110, 170), strict=True)):
        amplitudes += 0.6**place / (1 + ((at - formant) / width) ** 2)
    return wavetable(amplitudes)


def tone(
    table: FloatArray,
    frequency_hz: float,
    length_s: float,
    rate: int,
    *,
    vibrato: float = 0.0,
    vibrato_hz: float = 5.5,
) -> FloatArray:
    """Play a wave table at a pitch.

    Parameters
    ----------
    table : from `wavetable`.
    frequency_hz : pitch.
    length_s : length in seconds.
    rate : samples per second.
    vibrato : depth as a share of the frequency.
    vibrato_hz : its rate.

    Returns
    -------
    float32 array (n,), mono.

    Examples
    --------
    >>> tone(wavetable([1.0]), 440.0, 0.5, 1_000).shape
    (500,)
    """
    n = int(length_s * rate)
    cycles = np.arange(n, dtype=np.float64) * (frequency_hz / rate)
    if vibrato:
        swing = np.sin(
            np.arange(n, dtype=np.float32) * np.float32(2 * np.pi * vibrato_hz / rate)
        )
        cycles += swing * (vibrato * frequency_hz / (2 * np.pi * vibrato_hz))
    return table[(cycles * _TABLE).astype(np.int64) & (_TABLE - 1)]


def envelope(n: int, attack_s: float, release_s: float, rate: int) -> FloatArray:
    """Return a linear rise and fall around 1; both are shortened if n is too small.

    Parameters
    ----------
    n : length in samples.
    attack_s, release_s : lengths of rise and fall in seconds.
    rate : samples per second.

    Returns
    -------
    float32 array (n,), 0 .. 1.

    Examples
    --------
    >>> envelope(5, 1.0, 1.0, 2).tolist()
    [0.0, 0.5, 1.0, 1.0, 0.0]
    """
    shape = np.ones(n, dtype=np.float32)
    up, down = min(int(attack_s * rate), n // 2), min(int(release_s * rate), n // 2)
    shape[:up] = np.linspace(0, 1, up, endpoint=False)
    shape[n - down :] *= np.linspace(1, 0, down)
    return shape


def decay(n: int, time_s: float, rate: int) -> FloatArray:
    """Return an exponential fall, after a rise of 2 ms so that nothing clicks.

    Parameters
    ----------
    n : length in samples.
    time_s : time in which it falls to 1/e, in seconds.
    rate : samples per second.

    Returns
    -------
    float32 array (n,), 0 .. 1.

    Examples
    --------
    >>> decay(3, 1.0, 1).astype(float).round(4).tolist()
    [1.0, 0.3679, 0.1353]
    """
    shape = np.exp(-np.arange(n, dtype=np.float32) / np.float32(time_s * rate))
    up = min(n, int(0.002 * rate))
    shape[:up] *= np.linspace(0, 1, up, endpoint=False, dtype=np.float32)
    return shape


def shaped_noise(
    n: int, response: Callable[[Doubles], Doubles],
    rate: int, rng: np.random.Generator,
) -> FloatArray:  # fmt: skip
    """Return noise with a given spectrum; it can be looped.

    Parameters
    ----------
    n : length in samples.
    response : amplitude at frequencies in Hz.
    rate : samples per second.
    rng : source of everything random.

    Returns
    -------
    float32 array (n,), peak 1.
    """
    spectrum = np.fft.rfft(rng.standard_normal(n, dtype=np.float32))
    spectrum *= response(np.fft.rfftfreq(n, 1 / rate).astype(np.float64))
    noise = np.fft.irfft(spectrum, n)
    return np.asarray(noise / np.abs(noise).max(), dtype=np.float32)


def band(low_hz: float, high_hz: float) -> Callable[..., Doubles]:
    """Return a soft band pass for `shaped_noise`.

    Parameters
    ----------
    low_hz, high_hz : edges of the band.

    Returns
    -------
    function of a float64 array of frequencies in Hz, to amplitudes.

    Examples
    --------
    >>> band(100.0, 1_000.0)(np.array([10.0, 300.0])).round(3).tolist()
    [0.0, 0.98]
    """

    def response(at: Doubles) -> Doubles:
        return np.asarray(
            1 / (1 + (at / high_hz) ** 4) * (at / low_hz) ** 4 / (1 + (at / low_hz) ** 4)
        )

    return response


def kick(rate: int, *, low_hz: float = 50.0, length_s: float = 0.3) -> FloatArray:
    """Make a bass drum: a sine that falls from 150 Hz above `low_hz`.

    Parameters
    ----------
    rate : samples per second.
    low_hz : its final frequency.
    length_s : length in seconds.

    Returns
    -------
    float32 array (n,), mono, peak near 1.
    """
    at = np.arange(int(length_s * rate), dtype=np.float32) / rate
    cycles = low_hz * at + 150 * 0.03 * (1 - np.exp(-at / 0.03))
    sound = np.sin(2 * np.pi * cycles) * decay(len(at), length_s / 5, rate)
    return np.asarray(sound, dtype=np.float32)


def stroke(
    rate: int, rng: np.random.Generator, low_hz: float, high_hz: float, time_s: float
) -> FloatArray:
    """Make a stroke of noise: hi-hat, shaker, clap or snare, by band and decay.

    Parameters
    ----------
    rate : samples per second.
    rng : source of everything random.
    low_hz, high_hz : edges of the band.
    time_s : decay to 1/e in seconds.

    Returns
    -------
    float32 array (n,), mono, peak near 1.
    """
    n = int(min(1.0, 6 * time_s) * rate)
    return shaped_noise(n, band(low_hz, high_hz), rate, rng) * decay(n, time_s, rate)


def snare(rate: int, rng: np.random.Generator) -> FloatArray:
    """Make a snare drum: noise over a short tone of 190 Hz.

    Parameters
    ----------
    rate : samples per second.
    rng : source of everything random.

    Returns
    -------
    float32 array (n,), mono, peak near 1.
    """
    noise = stroke(rate, rng, 1_200, 9_000, 0.07)
    noise[: int(0.15 * rate)] += drum(rate, 190.0, 0.04)[: int(0.15 * rate)][: len(noise)]
    return np.asarray(0.8 * noise, dtype=np.float32)


def drum(rate: int, frequency_hz: float, time_s: float) -> FloatArray:
    """Make a tom, conga or djembe: a sine with a falling pitch and a fast decay.

    Parameters
    ----------
    rate : samples per second.
    frequency_hz : its final pitch.
    time_s : decay to 1/e in seconds.

    Returns
    -------
    float32 array (n,), mono, peak near 1.
    """
    n = int(max(0.2, 5 * time_s) * rate)
    at = np.arange(n, dtype=np.float32) / rate
    cycles = frequency_hz * (at + 0.3 * 0.02 * (1 - np.exp(-at / 0.02)))
    return np.asarray(np.sin(2 * np.pi * cycles) * decay(n, time_s, rate), dtype=np.float32)


def struck_string(frequency_hz: float, length_s: float, rate: int) -> FloatArray:
    """Make a piano note: bright harmonics that fade fast over dull ones that last.

    Parameters
    ----------
    frequency_hz : pitch.
    length_s : length in seconds.
    rate : samples per second.

    Returns
    -------
    float32 array (n,), mono, peak near 1.
    """
    bright = tone(harmonics(frequency_hz, 1.0, rate, 7_000), frequency_hz, length_s, rate)
    dull = tone(harmonics(frequency_hz, 2.2, rate), frequency_hz, length_s, rate)
    n = len(dull)
    sound = bright * decay(n, 0.12, rate) * np.float32(0.5) + dull * decay(n, 0.7, rate)
    return sound * envelope(n, 0, 0.2, rate)


def plucked_string(
    frequency_hz: float, time_s: float, rate: int, slope: float = 1.3
) -> FloatArray:
    """Make a plucked string: one wave table, one decay.

    Parameters
    ----------
    frequency_hz : pitch.
    time_s : decay to 1/e in seconds.
    rate : samples per second.
    slope : as in `harmonics`.

    Returns
    -------
    float32 array (n,), mono, peak near 1.
    """
    table = harmonics(frequency_hz, slope, rate, 6_000)
    sound = tone(table, frequency_hz, min(1.5, 5 * time_s), rate)
    return sound * decay(len(sound), time_s, rate)


def bowed_section(
    frequency_hz: float, length_s: float, rate: int, rng: np.random.Generator
) -> FloatArray:
    """Make several bowed strings in unison: detuned, with separate vibrato and a slow attack.

    Parameters
    ----------
    frequency_hz : pitch.
    length_s : length in seconds.
    rate : samples per second.
    rng : source of everything random.

    Returns
    -------
    float32 array (n,), mono, peak near 1.
    """
    table = harmonics(frequency_hz, 1.15, rate, 6_000)
    parts = [
        tone(table, frequency_hz * cents, length_s, rate, vibrato=0.006, vibrato_hz=speed)
        for cents, speed in zip((0.997, 1.0, 1.004), rng.uniform(4.5, 6.5, 3), strict=True)
    ]
    total = parts[0] + parts[1] + parts[2]
    return total * envelope(len(total), 0.25, 0.4, rate) * np.float32(1 / 3)


def brass_stab(frequency_hz: float, length_s: float, rate: int) -> FloatArray:
    """Make a brass note: dull at first and then bright.

    Parameters
    ----------
    frequency_hz : pitch.
    length_s : length in seconds.
    rate : samples per second.

    Returns
    -------
    float32 array (n,), mono, peak near 1.
    """
    dull = tone(harmonics(frequency_hz, 1.8, rate, 3_000), frequency_hz, length_s, rate)
    bright = tone(harmonics(frequency_hz, 0.7, rate, 7_000), frequency_hz, length_s, rate)
    n = len(dull)
    blend = envelope(n, 0.06, 0.3 * length_s, rate)
    return (dull * (1 - blend) + bright * blend) * envelope(n, 0.02, 0.08, rate)


class Loop:
    """A stereo loop of some seconds; sounds that pass its end continue at its start.

    Parameters
    ----------
    length_s : length in seconds.
    rate : samples per second.

    Attributes
    ----------
    rate : samples per second.
    samples : float32 array (2, n).

    Examples
    --------
    >>> loop = Loop(1.0, 4)
    >>> loop.add(0.75, np.ones(2, np.float32), pan=-1.0)
    >>> loop.samples[0].tolist()
    [1.0, 0.0, 0.0, 1.0]
    """

    def __init__(self, length_s: float, rate: int) -> None:
        self.rate = rate
        self.samples = np.zeros((2, max(1, round(length_s * rate))), dtype=np.float32)

    @property
    def n(self) -> int:
        """Length in samples."""
        return int(self.samples.shape[1])

    def add(self, at_s: float, sound: FloatArray, gain: float = 1.0, pan: float = 0.0) -> None:
        """Add a sound.

        Parameters
        ----------
        at_s : its start in seconds.
        sound : float32 array (n,), mono.
        gain : factor.
        pan : -1 is left, 0 the middle, 1 right.
        """
        start = round(at_s * self.rate) % self.n
        gains = gain * np.array([min(1.0, 1 - pan), min(1.0, 1 + pan)], dtype=np.float32)
        left = sound[: self.n]
        while len(left):
            part = left[: self.n - start]
            self.samples[:, start : start + len(part)] += gains[:, None] * part
            left, start = left[len(part) :], 0

    def tiled(self, n: int) -> FloatArray:
        """Repeat the loop.

        Parameters
        ----------
        n : length in samples.

        Returns
        -------
        float32 array (2, n).
        """
        return np.tile(self.samples, -(-n // self.n))[:, :n]
