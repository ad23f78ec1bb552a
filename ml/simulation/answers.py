"""Simulated curators at work: who answers which track, when, and in which stratum.

For the demo library and the experiments. Numpy only. The strata are those of the product: audit
tracks are served in one random order, overlap tracks in the same order to every curator,
repeats are tracks that the curator answered before, and the rest is in random order
("explore").
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
    track : row in the simulated tracks.
    annotator : name of the curator.
    answered_at : on a weekday between 9 and 17 h, in the time zone of the period.
    labels : bool array (n_labels,).
    stratum : audit, overlap, repeat or explore.
    decision_time_s : > 0.
    """

    track: int
    annotator: str
    answered_at: datetime
    labels: Bools
    stratum: str
    decision_time_s: float


@dataclass
class _Desk:
    """Work of one curator so far."""

    done: dict[int, datetime] = field(default_factory=dict)
    n_overlap: int = 0


@dataclass
class _Orders:
    """The shared random orders; each track is in one of them only."""

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
    tracks : the tracks; each goes to one curator, except overlap and repeats.
    curators : they answer by their criteria.
    period : first and last moment, aware.
    answers_per_week : mean of each curator.
    rng : source of chance.
    overlap, repeats, audit : shares of each curator's answers; the rest is "explore".
    audit_mask : bool array (n_tracks,), tracks of the audit and overlap strata; None: a random
        fifth for overlap and no audit stratum.
    repeat_min_days : days before a track is served to the same curator again.

    Returns
    -------
    list of ScriptedAnswer in order of time; a curator without tracks left stops.

    Raises
    ------
    ParameterError : the period is empty or the shares exceed 1.
    """
    start, end = period
    if end <= start:
        raise ParameterError(f"the period ends ({end}) before it starts ({start})")
    if min(overlap, repeats, audit) < 0 or overlap + repeats + audit > 1:
        raise ParameterError("overlap, repeats and audit must be >= 0 and add up to at most 1")
    chances = {"repeat": repeats, "overlap": overlap, "audit": audit}
    orders = _make_orders(len(tracks.keys), audit_mask, overlap, audit, rng)
    desks = {curator.name: _Desk() for curator in curators}
    moments = [
        (moment, curator)
        for curator in curators
        for moment in _working_moments(start, end, answers_per_week, rng)
    ]
    answers = []
    for moment, curator in sorted(moments, key=lambda pair: (pair[0], pair[1].name)):
        desk = desks[curator.name]
        served = _serve(chances, orders, desk, moment - timedelta(days=repeat_min_days), rng)
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


def _make_orders(
    n_tracks: int,
    audit_mask: Bools | None,
    overlap: float,
    audit: float,
    rng: np.random.Generator,
) -> _Orders:
    order = rng.permutation(n_tracks)
    if audit_mask is None:
        n_overlap = n_tracks // 5 if overlap > 0 else 0
        return _Orders([], order[n_overlap:].tolist(), order[:n_overlap].tolist())
    audited = order[audit_mask[order]]
    share = overlap / (overlap + audit) if overlap + audit > 0 else 0.0
    n_overlap = round(share * len(audited))
    rest = order[~audit_mask[order]]
    return _Orders(audited[n_overlap:].tolist(), rest.tolist(), audited[:n_overlap].tolist())


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
    orders: _Orders,
    desk: _Desk,
    old_before: datetime,
    rng: np.random.Generator,
) -> tuple[int, str] | None:
    """Choose a track and its stratum; an empty stratum is replaced by explore."""
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
    if stratum == "overlap" and desk.n_overlap < len(orders.overlap):
        desk.n_overlap += 1
        return orders.overlap[desk.n_overlap - 1], "overlap"
    if stratum == "audit" and orders.audit:
        return orders.audit.pop(), "audit"
    return (orders.explore.pop(), "explore") if orders.explore else None
