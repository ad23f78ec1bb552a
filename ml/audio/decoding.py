"""Decoding of a file: its middle for features, or all of it for the probe.

Runs in the decoding child (`ml.audio.child`), which `ml.audio.reader` starts and watches.
"""

from __future__ import annotations

import hashlib
import os

import numpy as np

from ml.audio.cells import CellMeter, Cells, mean_of_channels
from ml.audio.levels import LoudnessMeter, PeakMeter
from ml.audio.mixing import ExcerptPlan, measured_cells, middle_of, mix, settled_plan
from ml.audio.sound_file import Sound
from ml.audio.types import PEAK_COLUMNS, DecodeLimits, Excerpt, Probe, excerpt_frames
from ml.errors import AudioError
from ml.types import FeatureConfig, FloatArray

#: Larger values are not sound: +80 dB re full scale.
_ABSURD = np.float32(1e4)
_SILENT_PEAK = 1e-4
_HASH_BYTES = 1 << 20
#: Length of the excerpt that the notes of a probe are about: that of every configuration.
_EXCERPT_S = FeatureConfig("").excerpt_s
#: A source that ends this far below the top of the mel bank leaves its upper filters empty.
_BAND_SHARE = 0.9


def decode_excerpt(
    path: str, config: FeatureConfig, limits: DecodeLimits, buffer: FloatArray | None = None
) -> Excerpt:
    """Decode the middle of a file, or all of a shorter one, at the config's rate.

    Seeks to the middle of the length that the layout of the file states. If fewer samples come
    back than requested, the real length is determined (see `Sound.measure`) and its middle is
    used. `ml.audio.mixing` has the rules for silent middles and channels that cancel.

    Parameters
    ----------
    path : the file.
    config : rate and length of the excerpt.
    limits : what is accepted.
    buffer : float32 array (excerpt_frames(config),) for the samples, which are then a view of
        its beginning; None: a new array.

    Returns
    -------
    Excerpt

    Raises
    ------
    AudioError : the file cannot be read, or exceeds `limits`.
    """
    with Sound(path, limits) as sound:
        if buffer is None:
            buffer = np.empty(excerpt_frames(config), np.float32)
        is_direct = sound.rate_hz == config.sample_rate_hz
        plan, samples, replaced = _chosen(
            sound, config.excerpt_s, buffer if is_direct else None
        )
        frames = sound.stated_frames or 0
        _check_length(sound, frames)
        _note_replaced(sound, replaced, len(samples))
        sound.notes.extend(plan.notes)
        _note_band(sound, config)
        return Excerpt(
            samples=samples
            if is_direct
            else _resampled(samples, sound.rate_hz, config.sample_rate_hz, buffer),
            start_s=plan.start / sound.rate_hz,
            length_known_s=frames / sound.rate_hz,
            source_rate_hz=sound.rate_hz,
            bit_rate=sound.bit_rate(frames),
            warning=_warning(sound),
            **sound.format_fields(),
        )


def _chosen(
    sound: Sound, excerpt_s: float, buffer: FloatArray | None
) -> tuple[ExcerptPlan, FloatArray, int]:
    """Return (plan, mono samples, samples replaced) of what becomes the excerpt."""
    plan, samples, replaced, cells = _middle(sound, excerpt_s, buffer)
    settled = settled_plan(sound, plan, cells)
    if settled.start != plan.start or settled.weights is not None:
        samples, replaced, _ = _read_mono(sound, settled, samples)
    return settled, samples, replaced


def _middle(
    sound: Sound, excerpt_s: float, buffer: FloatArray | None
) -> tuple[ExcerptPlan, FloatArray, int, Cells]:
    """Return (plan, mono samples, samples replaced, levels) of the middle."""
    while True:
        frames = sound.stated_frames
        if frames is None:
            sound.measure()
            continue
        plan = middle_of(frames, excerpt_s, sound.rate_hz)
        out = np.empty(plan.count, np.float32) if buffer is None else buffer[: plan.count]
        samples, replaced, cells = _read_mono(sound, plan, out)
        if len(samples) == plan.count or not sound.measure():
            return plan, samples, replaced, cells


def _read_mono(
    sound: Sound, plan: ExcerptPlan, out: FloatArray
) -> tuple[FloatArray, int, Cells]:
    """Fill `out` by a plan; return the filled part, the samples replaced and the levels."""
    done = replaced = 0
    meter = CellMeter(sound.rate_hz, sound.channels, plan.start)
    for block in sound.blocks(plan.start, plan.count):
        part = out[done : done + len(block)]
        mean_of_channels(block, part)
        if not _is_sane(part):
            replaced += _clean(block)
            mean_of_channels(block, part)
        if plan.weights is None:
            meter.add(block, part)
        else:
            if not _is_sane(block):
                replaced += _clean(block)
            mix(block, plan.weights, part)
        done += len(block)
    return out[:done], replaced, meter.cells()


def _is_sane(values: FloatArray) -> bool:
    """Return whether a quick test rules out NaN, infinity and absurd values."""
    flat = values.reshape(-1)
    return bool(np.dot(flat, flat) < _ABSURD * _ABSURD)


def _clean(block: FloatArray) -> int:
    """Replace values that are not sound by silence; return the number of frames changed."""
    is_bad = ~(np.abs(block) <= _ABSURD)
    block[is_bad] = 0
    return int(is_bad.any(axis=1).sum())


def _resampled(
    samples: FloatArray, source_hz: int, target_hz: int, buffer: FloatArray
) -> FloatArray:
    import soxr  # loaded only for the few files that need it

    out = buffer[: max(1, round(len(samples) * target_hz / source_hz))]
    resampled = soxr.resample(samples, source_hz, target_hz, quality="HQ")[: len(out)]
    out[: len(resampled)] = resampled
    out[len(resampled) :] = 0
    return out


def _check_length(sound: Sound, frames: int) -> None:
    length_s = frames / sound.rate_hz
    if sound.damaged_at is not None:
        sound.notes.append(
            f"damaged after {sound.damaged_at / sound.rate_hz:.1f} s; what comes before counts"
        )
    if length_s < sound.limits.min_length_s:
        cause = "damaged from the start" if sound.damaged_at is not None else "too short"
        raise AudioError(
            f"{cause}: {length_s:.2f} s of sound, less than {sound.limits.min_length_s:g} s"
        )


def _note_replaced(sound: Sound, replaced: int, frames: int) -> None:
    if replaced * 2 > frames:
        raise AudioError("damaged: over half of its samples are not numbers (NaN or infinite)")
    if replaced:
        sound.notes.append(
            f"damaged: {replaced:,} samples are not numbers and count as silence"
        )


def _note_band(sound: Sound, config: FeatureConfig) -> None:
    if sound.rate_hz / 2 < _BAND_SHARE * config.fmax_hz:
        sound.notes.append(
            f"recorded at {sound.rate_hz:,} Hz: nothing above {sound.rate_hz / 2:,.0f} Hz"
        )


def _warning(sound: Sound) -> str | None:
    return "; ".join(sound.notes) or None


def decode_probe(path: str, limits: DecodeLimits) -> Probe:
    """Decode a file once in full, in constant memory, and measure it.

    The parts of the file are those that `decode_excerpt` reads. At damage a part ends.

    Parameters
    ----------
    path : the file.
    limits : what is accepted.

    Returns
    -------
    Probe

    Raises
    ------
    AudioError : the file cannot be read, or exceeds `limits`.
    """
    with Sound(path, limits) as sound:
        assumed = middle_of(sound.stated_frames or 0, _EXCERPT_S, sound.rate_hz)
        levels = _Levels(sound, assumed)
        for block in sound.all_blocks():
            levels.add(block)
        return _probe_of(sound, assumed, levels)


class _Levels:
    """All that is measured of the blocks of a track."""

    def __init__(self, sound: Sound, assumed: ExcerptPlan) -> None:
        self.peaks, self.loudness = PeakMeter(), LoudnessMeter(sound.rate_hz)
        mono_range = (assumed.start, assumed.start + assumed.count)
        self.cells = CellMeter(sound.rate_hz, sound.channels, mono_range=mono_range)
        self.replaced = 0

    def add(self, block: FloatArray) -> None:
        if not _is_sane(block):
            self.replaced += _clean(block)
        self.peaks.add(block)
        self.loudness.add(block)
        self.cells.add(block)


def _probe_of(sound: Sound, assumed: ExcerptPlan, levels: _Levels) -> Probe:
    frames = levels.peaks.frames
    if frames > sound.max_frames:
        raise sound.too_long()
    _check_length(sound, frames)
    if sound.stated_frames is not None and sound.damaged_at is None:
        sound.note_length(sound.stated_frames, frames)
    _note_replaced(sound, levels.replaced, frames)
    sound.stated_frames = frames
    whole = levels.cells.cells()
    plan = middle_of(frames, _EXCERPT_S, sound.rate_hz)
    middle = whole if plan == assumed else measured_cells(sound, plan.start, plan.count)
    sound.notes.extend(settled_plan(sound, plan, middle, whole).notes)
    is_silent = levels.peaks.peak() <= _SILENT_PEAK or whole.is_only_constant()
    return Probe(
        length_s=frames / sound.rate_hz,
        sample_rate_hz=sound.rate_hz,
        bit_rate=sound.bit_rate(frames),
        loudness_db=None if is_silent else levels.loudness.loudness_db(),
        peaks=levels.peaks.columns(PEAK_COLUMNS),
        sha256=sha256_of(sound.fd),
        size_bytes=sound.status.st_size,
        mtime=sound.status.st_mtime,
        is_silent=is_silent,
        warning=_warning(sound),
        unplayable=sound.unplayable(),
        **sound.format_fields(),
    )


def sha256_of(fd: int) -> str:
    """Return the sha256 of an open file, read in blocks from its start.

    Parameters
    ----------
    fd : descriptor of the file.

    Returns
    -------
    str : 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    at = 0
    while chunk := os.pread(fd, _HASH_BYTES, at):
        digest.update(chunk)
        at += len(chunk)
    return digest.hexdigest()
