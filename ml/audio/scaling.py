"""The scale of float files: some hold numbers in the range of integers.

Full scale of a float file is 1. A program that converts integers to floats without dividing
them writes values up to 32,768 (16 bits), 8,388,608 (24 bits) or 2,147,483,648 (32 bits).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.audio.parts import PartReader
from ml.types import FloatArray

_FLOATS = ("FLOAT", "DOUBLE")
#: Places of a file that are looked at, and frames at each.
_PLACES = 32
_LOOK = 2_048
_STEP = 256
#: RMS above which a step is far above full scale: +12 dB. Below -60 dB it does not count.
_LOUD = 4.0
_FAINT = 1e-3
#: Share of the audible steps that must be loud; single wrong values stay what they are.
_LOUD_SHARE = 0.25
#: Values beyond the range of 32-bit integers, with some room, are not sound.
_HIGHEST = 2.0**33
#: (largest value found, bits of the integers); programs may exceed the range a little.
_RANGES = ((2.0**17, 16), (2.0**25, 24), (_HIGHEST, 32))
#: Up to here the values are not integers but only far too loud.
_TOO_LOUD = 256.0


@dataclass(frozen=True)
class Scale:
    """The factor that brings a file to full scale.

    Attributes
    ----------
    factor : factor of all samples.
    note : what a curator should know.
    """

    factor: float
    note: str


def scale_of(reader: PartReader) -> Scale | None:
    """Look at places all over a part, and return the scale if it is far above full scale.

    Parameters
    ----------
    reader : the part.

    Returns
    -------
    Scale, or None for a part that is as it should be.
    """
    if reader.subtype not in _FLOATS or not reader.frames:
        return None
    steps = _steps(reader)
    is_sound = np.abs(steps) < _HIGHEST  # False for what is not a number
    steps = np.where(is_sound, steps, 0)
    rms = np.sqrt(np.mean(np.square(steps, dtype=np.float64), axis=1))
    loud, audible = (rms > _LOUD).sum(), (rms > _FAINT).sum()
    if not loud or loud < _LOUD_SHARE * audible:
        return None
    peak = float(np.abs(steps).max())
    if peak <= _TOO_LOUD:
        return Scale(1 / peak, f"far above full scale: its samples reach {peak:,.0f}, not 1")
    bits = next(bits for highest, bits in _RANGES if peak <= highest)
    return Scale(
        0.5 ** (bits - 1),
        f"far above full scale: its samples were taken as {bits}-bit numbers",
    )


def _steps(reader: PartReader) -> FloatArray:
    """Return the samples at the places, in rows of a few milliseconds."""
    places = max(1, min(_PLACES, reader.frames // _LOOK))
    rows: list[FloatArray] = []
    for start in np.linspace(0, max(0, reader.frames - _LOOK), places).astype(int):
        for block in reader.blocks(int(start), _LOOK):
            flat = block.reshape(-1)
            width = min(len(flat), _STEP * reader.channels)
            whole = flat[: len(flat) // width * width].reshape(-1, width)
            if width == _STEP * reader.channels or not rows:
                rows.append(whole.copy())
    widest = max((row.shape[1] for row in rows), default=1)
    kept = [row for row in rows if row.shape[1] == widest]
    return np.concatenate(kept) if kept else np.zeros((1, 1), np.float32)
