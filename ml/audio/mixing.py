"""Rules for odd tracks: the place of the excerpt, and the mix of the channels.

Ordinarily the excerpt is the middle of the track, and the mean of its channels. Otherwise:

- If more than half of the middle is silent, and at least ten seconds, the part of the track
  with the most sound is taken; of several such parts the one nearest to the middle.
- If the channels cancel each other in their mean, some are inverted: those that give the
  strongest sum. If no inversion helps everywhere, the channel with the most sound is taken.
- A float file with values in the range of integers is scaled to full scale.

The same rules give the note of the probe and the samples of the features.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ml.audio.cells import CANCELLED, CANCELLED_SHARE, CellMeter, Cells
from ml.audio.sound_file import Sound
from ml.types import FloatArray

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ExcerptPlan:
    """The excerpt of a track: its place and its mix.

    Attributes
    ----------
    start, count : range of frames.
    weights : float32 array (channels,), factors of the channels in the mix; None: their mean.
    notes : what a curator should know, one clause each.
    """

    start: int
    count: int
    weights: Weights | None = None
    notes: tuple[str, ...] = ()


def middle_of(frames: int, seconds: float, rate_hz: int) -> ExcerptPlan:
    """Return the plan of the exact middle.

    Parameters
    ----------
    frames : length of the track.
    seconds : length of the excerpt, if the track is not shorter.
    rate_hz : frames per second.

    Returns
    -------
    ExcerptPlan

    Examples
    --------
    >>> plan = middle_of(1_000, 4, 100)
    >>> plan.start, plan.count
    (300, 400)
    """
    count = min(round(seconds * rate_hz), frames)
    return ExcerptPlan((frames - count) // 2, count)


def measured_cells(sound: Sound, start: int = 0, count: int | None = None) -> Cells:
    """Decode a part of a track and return its levels.

    Parameters
    ----------
    sound : the file.
    start, count : range of frames; a count of None means all of the track.

    Returns
    -------
    Cells
    """
    meter = CellMeter(sound.rate_hz, sound.channels, start)
    blocks = sound.all_blocks() if count is None else sound.blocks(start, count)
    for block in blocks:
        meter.add(block)
    return meter.cells()


def settled_plan(
    sound: Sound, plan: ExcerptPlan, middle: Cells, whole: Cells | None = None
) -> ExcerptPlan:
    """Apply the rules for silent middles, cancelling channels and constants.

    Parameters
    ----------
    sound : the file; more of it is decoded only if a rule applies.
    plan : the middle of the track.
    middle : its levels.
    whole : levels of the whole track if they are known.

    Returns
    -------
    ExcerptPlan
    """
    total = sound.stated_frames or plan.start + plan.count
    cells = middle.within(plan.start, plan.count, sound.rate_hz, total)
    if cells.is_mostly_silent() and plan.count < total:
        start = _loudest_start(whole or measured_cells(sound), plan, sound.rate_hz, total)
        if start != plan.start:
            note = f"the middle is silent: the excerpt begins at {_clock(start, sound.rate_hz)}"
            plan = replace(plan, start=start, notes=(note,))
            moved = measured_cells(sound, plan.start, plan.count)
            cells = moved.within(plan.start, plan.count, sound.rate_hz, total)
    if cells.is_only_constant():
        note = "silent: it holds a constant offset from zero and no sound"
        return replace(plan, notes=(*plan.notes, note))
    if not cells.is_cancelling():
        return plan
    return _uncancelled(sound, plan)


def _clock(frames: int, rate_hz: int) -> str:
    minutes, seconds = divmod(frames // rate_hz, 60)
    return f"{minutes}:{seconds:02d}"


def _loudest_start(whole: Cells, plan: ExcerptPlan, rate_hz: int, total: int) -> int:
    """Return the start with the most audible cells, and of those the nearest to the middle."""
    audible = np.concatenate([[0], np.cumsum(whole.is_audible)])
    width = max(1, round(plan.count / rate_hz))
    firsts = np.arange(max(1, len(audible) - width))
    starts = np.minimum(firsts * rate_hz, total - plan.count)
    heard = audible[np.minimum(firsts + width, len(audible) - 1)] - audible[firsts]
    best = np.lexsort((np.abs(starts - plan.start), -heard))[0]
    nearest = plan.start // rate_hz
    now = audible[min(nearest + width, len(audible) - 1)] - audible[nearest]
    return int(starts[best]) if heard[best] > now else plan.start


def _uncancelled(sound: Sound, plan: ExcerptPlan) -> ExcerptPlan:
    """Return the plan with the mix in which the least is lost."""
    spread = _covariances(sound, plan)
    channels = sound.channels
    level = np.trace(spread, axis1=1, axis2=2) / channels
    is_audible = level > 1e-7
    allowed = CANCELLED_SHARE * is_audible.sum()

    def lost_and_power(weights: Weights) -> tuple[int, float]:
        power = np.einsum("i,tij,j->t", weights, spread, weights)
        lost = is_audible & (power * channels < CANCELLED * level)
        return int(lost.sum()), float(power.sum())

    mixes = [
        np.array((1, *signs), np.float32) / np.float32(channels)
        for signs in itertools.product((1, -1), repeat=channels - 1)
    ]
    if lost_and_power(mixes[0])[0] <= allowed:
        return plan
    ranked = [(lost, -power, n) for n, (lost, power) in enumerate(map(lost_and_power, mixes))]
    lost, _, chosen = min(ranked)
    if lost <= allowed:
        note = "its channels cancel each other: some were inverted for the mix"
        return replace(plan, weights=mixes[chosen], notes=(*plan.notes, note))
    singles = list(np.eye(channels, dtype=np.float32))
    ranked = [(lost, -power, n) for n, (lost, power) in enumerate(map(lost_and_power, singles))]
    chosen = min(ranked)[2]
    note = f"its channels cancel each other: channel {chosen + 1} alone was used"
    return replace(plan, weights=singles[chosen], notes=(*plan.notes, note))


def _covariances(sound: Sound, plan: ExcerptPlan) -> npt.NDArray[np.float64]:
    """Return the covariance of the channels in each second: float64 array (n, c, c)."""
    sums: list[npt.NDArray[np.float64]] = []
    at = 0
    for block in sound.blocks(plan.start, plan.count):
        done = 0
        while done < len(block):
            count = min(len(block) - done, sound.rate_hz - at % sound.rate_hz)
            if at % sound.rate_hz == 0:
                sums.append(np.zeros((sound.channels, sound.channels)))
            piece = np.nan_to_num(block[done : done + count]).astype(np.float64)
            piece -= piece.mean(axis=0)
            sums[-1] += piece.T @ piece / sound.rate_hz
            done, at = done + count, at + count
    return np.array(sums)


def mix(block: FloatArray, weights: Weights, out: FloatArray) -> None:
    """Write a weighted sum of the channels.

    Parameters
    ----------
    block : float32 array (n, channels).
    weights : float32 array (channels,).
    out : float32 array (n,) for the result.
    """
    np.matmul(block, weights, out=out)
