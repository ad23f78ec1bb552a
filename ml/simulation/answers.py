"""A simulated office: who answers which track, when, and in which stratum.

Stage: none; the demo library and the experiments. Numpy only. The strata are those of the
product: audit tracks are walked in one random order, overlap tracks by every curator in the
same order, repeats are a curator's own old tracks, and the rest is a random walk ("explore").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.simulation.library import SimulatedCurator, SimulatedTracks
from ml.types import Bools

_WORKDAY_STARTS_H, _WORKDAY_H = 9.0, 8.0
_MEDIAN_DECISION_S = 12.0


@dataclass(frozen=True)
class ScriptedAnswer:
    """One answer of one curator.

    Attributes
    ----------
    track : row in the simulated tracks. annotator : name. labels : bool (n_labels,).
    answered_at : on a weekday between 9 and 17 h, in the zone of the period.
    stratum : audit, overlap, repeat or explore. decision_time_s : > 0.
    """

    track: int
    annotator: str
    answered_at: datetime
    labels: Bools
    stratum: str
    decision_time_s: float


@dataclass
class _Desk:
    """What one curator has done so far."""

    done: dict[int, datetime] = field(default_factory=dict)
    n_overlap: int = 0


@dataclass
class _Walks:
    """The shared random walks; a track of one walk is in no other."""

    audit: list[int]
    explore: list[int]
    overlap: list[int]


def scripted_answers(
    tracks: SimulatedTracks,
    curators: Sequence[SimulatedCurator],
    *,
    period: tuple[datetime, datetime],
    answers_per_week: float,
    rng: np.random.Generator,
    overlap: float = 0.1,
    repeats: float = 0.04,
    audit: float = 0.2,
    audit_mask: Bools | None = None,
    repeat_min_days: int = 14,
) -> list[ScriptedAnswer]:
    """Let the curators work through a period.

    Parameters
    ----------
    tracks : what they judge; each track goes to one curator, except overlap and repeats.
    period : first and last moment, aware. answers_per_week : mean of each curator.
    overlap, repeats, audit : shares of each curator's answers; the rest is "explore".
    audit_mask : bool (n_tracks,), tracks of the audit and overlap strata; None: a random
        fifth for overlap and no audit stratum.
    repeat_min_days : days before a track comes back to the same curator.

    Returns
    -------
    list of ScriptedAnswer in order of time; a curator stops when nothing is left for them.

    Raises
    ------
    ParameterError : the period is empty or the shares exceed 1.
    """
    start, end = period
    if end <= start:
        raise ParameterError(f"the period ends ({end}) before it starts ({start})")
    if min(overlap, repeats, audit) < 0 or overlap + repeats + audit > 1:
        raise ParameterError("overlap, repeats and audit must be >= 0 and together at most 1")
    chances = {"repeat": repeats, "overlap": overlap, "audit": audit}
    walks = _make_walks(len(tracks.keys), audit_mask, overlap, audit, rng)
    desks = {curator.name: _Desk() for curator in curators}
    moments = [
        (moment, curator)
        for curator in curators
        for moment in _working_moments(start, end, answers_per_week, rng)
    ]
    answers = []
    for moment, curator in sorted(moments, key=lambda pair: (pair[0], pair[1].name)):
        desk = desks[curator.name]
        served = _serve(chances, walks, desk, moment - timedelta(days=repeat_min_days), rng)
        if served is None:
            continue
        track, stratum = served
        desk.done[track] = moment
        labels = curator.answer(tracks, track, moment, rng)
        seconds = float(_MEDIAN_DECISION_S * np.exp(0.5 * rng.normal()))
        answers.append(
            ScriptedAnswer(track, curator.name, moment, labels, stratum, round(seconds, 1))
        )
    return answers


def _make_walks(
    n_tracks: int,
    audit_mask: Bools | None,
    overlap: float,
    audit: float,
    rng: np.random.Generator,
) -> _Walks:
    order = rng.permutation(n_tracks)
    if audit_mask is None:
        cut = n_tracks // 5 if overlap > 0 else 0
        return _Walks([], order[cut:].tolist(), order[:cut].tolist())
    held = order[audit_mask[order]]
    share = overlap / (overlap + audit) if overlap + audit > 0 else 0.0
    cut = round(share * len(held))
    rest = order[~audit_mask[order]]
    return _Walks(held[cut:].tolist(), rest.tolist(), held[:cut].tolist())


def _working_moments(
    start: datetime, end: datetime, answers_per_week: float, rng: np.random.Generator
) -> list[datetime]:
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    days: npt.NDArray[np.intp] = np.arange((end - midnight).days + 1)
    weekdays = days[(days + midnight.weekday()) % 7 < 5]
    n_answers = rng.poisson(answers_per_week * len(weekdays) / 5)
    if not len(weekdays):
        return []
    chosen = rng.choice(weekdays, n_answers)
    hours = _WORKDAY_STARTS_H + _WORKDAY_H * rng.random(n_answers)
    moments = [
        midnight + timedelta(days=int(day), seconds=int(3_600 * hour))
        for day, hour in zip(chosen, hours.tolist(), strict=True)
    ]
    return [moment for moment in moments if start <= moment < end]


def _serve(
    chances: dict[str, float],
    walks: _Walks,
    desk: _Desk,
    old_before: datetime,
    rng: np.random.Generator,
) -> tuple[int, str] | None:
    """Choose a track and its stratum; a stratum with nothing left gives way to explore."""
    point, stratum = float(rng.random()), "explore"
    for name, chance in chances.items():
        if point < chance:
            stratum = name
            break
        point -= chance
    if stratum == "repeat":
        old = [track for track, moment in desk.done.items() if moment <= old_before]
        if old:
            return int(rng.choice(old)), "repeat"
    if stratum == "overlap" and desk.n_overlap < len(walks.overlap):
        desk.n_overlap += 1
        return walks.overlap[desk.n_overlap - 1], "overlap"
    if stratum == "audit" and walks.audit:
        return walks.audit.pop(), "audit"
    return (walks.explore.pop(), "explore") if walks.explore else None
