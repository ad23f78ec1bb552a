"""Rounds: rank the pool with reasons, and replace the live round by the new one.

Stage: acquisition. Audit tracks are never ranked. A round is built next to the live one and
replaces it in one step. Open presentations and items with some answers stay valid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import transaction
from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet
from django.utils import timezone

from labeling.batching import batches
from labeling.loop.acquisition import explanations
from labeling.loop.acquisition.pool import Warm, candidates, warm_pool
from labeling.loop.library import libraries
from labeling.loop.registry import models
from labeling.loop.serving import random_order
from labeling.loop.serving.claimable import ASKED_AGAIN
from labeling.models import (
    Annotator,
    CurrentAnswer,
    Library,
    Presentation,
    QueueItem,
    Round,
)
from labeling.models.queue import Stratum
from ml.acquisition import strategies
from ml.acquisition.strategies import Choice, Pool

#: A round ranks at most this many tracks; after them the random order goes on.
MOST_ITEMS = 2_000
_ROWS = 500
#: Answers between trainings that are assumed if automatic training is switched off.
_BATCH = 20
_KEPT_ROUNDS = 2
_ALWAYS_COUNTED = (Stratum.AUDIT, Stratum.EXPLORE, Stratum.ACQUIRE)
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Ranked:
    """A chosen track, not written yet."""

    track_id: int
    score: float | None
    probability: float | None
    strategy: str
    reason: str
    stratum: str = Stratum.ACQUIRE


# --- the choice -----------------------------------------------------------------------------


def rank(library: Library, *, strategy: str = "default", seed: int = 0) -> list[Ranked]:
    """Choose the tracks of the next round, the most informative first and explore tracks last.

    1. Set the explore tracks aside: acquisition does not choose from them.
    2. With a model, choose by the strategy among the tracks that no person has judged.
    3. Without one, or if it has scored too few tracks, choose at random.
    4. Fill the remaining places with tracks judged under an older guideline only.
    """
    fresh, older = candidates(library)
    explored = _set_aside(library, fresh)
    rest = np.setdiff1d(fresh, [one.track_id for one in explored])
    most = MOST_ITEMS - len(explored)
    warm = warm_pool(library, rest, seed)
    ranked: list[Ranked] = []
    if warm is not None:
        choices = strategies.choose_tracks(
            warm.pool, most, strategy=strategy, seed=seed, batch=answers_of_a_batch(library)
        )
        names = _trusted_names(library, warm)
        ranked = [_ranked(warm, choice, names) for choice in choices]
    if not ranked:
        ranked = _at_random(rest, most, seed)
    left_to_acquire = len(rest) / max(1, len(fresh))
    ranked = [_with_chance(one, left_to_acquire) for one in ranked]
    return [*ranked, *_asked_again(library, older, most - len(ranked), seed), *explored]


def answers_of_a_batch(library: Library) -> int:
    """Return how many answers come before the next training ranks again."""
    return library.retrain_after or _BATCH


def _trusted_names(library: Library, warm: Warm) -> list[str]:
    predictions = warm.predictions
    return explanations.trusted_names(library, predictions.version, predictions.label_uids)


def _set_aside(library: Library, fresh: npt.NDArray[np.int64]) -> list[Ranked]:
    """Draw the explore tracks: the first in random order that nobody has judged.

    The order is a hash of the track, so the draw is uniform. Apart from answered tracks, the
    next round draws the same ones, so the draw does not depend on what acquisition left.
    """
    n = round(library.explore_share * min(len(fresh), MOST_ITEMS))
    if not n:
        return []
    pool, left = set(fresh.tolist()), n
    explored: list[Ranked] = []
    in_order = library.tracks.filter(is_audit__in=[False]).order_by("random_key")
    for track_id in in_order.values_list("pk", flat=True).iterator():
        if track_id in pool:
            explored.append(
                Ranked(
                    track_id,
                    None,
                    n / len(fresh),
                    "random-walk",
                    random_order.EXPLORING,
                    Stratum.EXPLORE,
                )
            )
            left -= 1
        if not left:
            break
    return explored


def _with_chance(one: Ranked, left_to_acquire: float) -> Ranked:
    """Return the track with its probability of being both not explored and chosen."""
    if one.probability is None:
        return one
    return replace(one, probability=one.probability * left_to_acquire)


def _ranked(warm: Warm, choice: Choice, names: Sequence[str]) -> Ranked:
    return Ranked(
        track_id=int(warm.track_ids[choice.index]),
        score=choice.score,
        probability=choice.probability,
        strategy=str(choice.reason["strategy"]),
        reason=explanations.explain(choice.reason, names, warm.pool, choice.index),
    )


def _at_random(fresh: npt.NDArray[np.int64], most: int, seed: int) -> list[Ranked]:
    pool = Pool(labelled_mask=np.zeros(len(fresh), dtype=bool))
    choices = strategies.choose_tracks(pool, most, strategy="random", seed=seed)
    return [
        Ranked(int(fresh[one.index]), None, one.probability, "random", explanations.AT_RANDOM)
        for one in choices
    ]


def _asked_again(
    library: Library, older: npt.NDArray[np.int64], room: int, seed: int
) -> list[Ranked]:
    if room <= 0 or not len(older):
        return []
    number = libraries.guideline_in_force(library).number
    drawn = np.random.default_rng(seed + 1).permutation(older)[:room]
    reason = f"judged before guideline {number} was in force"
    return [Ranked(int(pk), None, None, ASKED_AGAIN, reason) for pk in drawn.tolist()]


# --- the round ------------------------------------------------------------------------------


def build_round(
    library: Library,
    *,
    strategy: str = "default",
    seed: int | None = None,
    on_progress: OnProgress | None = None,
) -> Round:
    """Rank and write a round that is not served yet; `switch` makes it the live one.

    Unfinished rounds of earlier attempts are removed first.
    """
    _remove(library.rounds.filter(state=Round.State.BUILDING))
    number = (library.rounds.aggregate(n=Max("number"))["n"] or 0) + 1
    ranked = rank(library, strategy=strategy, seed=number if seed is None else seed)
    champion = models.champion_of(library)
    model = champion if any(one.score is not None for one in ranked) else None
    used = next((one.strategy for one in ranked if one.stratum == Stratum.ACQUIRE), "random")
    round_ = Round.objects.create(
        library=library, number=number, strategy=used, model_version=model
    )
    for start in range(0, len(ranked), _ROWS):
        part = ranked[start : start + _ROWS]
        QueueItem.objects.bulk_create(
            [_item(round_, one, start + place) for place, one in enumerate(part)],
            batch_size=_ROWS,
        )
        if on_progress is not None:
            on_progress(start + len(part), len(ranked))
    return round_


def _item(round_: Round, one: Ranked, rank_: int) -> QueueItem:
    return QueueItem(
        round=round_,
        track_id=one.track_id,
        stratum=one.stratum,
        strategy=one.strategy,
        probability=one.probability,
        score=one.score,
        rank=rank_,
        reason=one.reason[:300],
        model_version_id=round_.model_version_id if one.score is not None else None,
    )


def switch(round_: Round) -> None:
    """Replace the live round by a built one, in the caller's transaction.

    1. The random orders continue: their cursors and their open items move to the new round.
    2. Items that were answered while the round was built are closed.
    3. The former round retires; its open presentations stay valid.
    """
    library = round_.library
    former = (
        Round.objects.select_for_update()
        .filter(library=library, state=Round.State.LIVE)
        .first()
    )
    n_items = round_.items.count()
    values: dict[str, Any] = {"next_rank": n_items}
    if former is not None:
        _move_what_is_shown(former, round_)
        _move_over(former, round_)
        values = {
            "next_rank": max(n_items, former.next_rank),
            "audit_cursor": former.audit_cursor,
            "explore_cursor": former.explore_cursor,
        }
        Round.objects.filter(pk=former.pk).update(state=Round.State.RETIRED)
    _drop_answered(round_)
    Round.objects.filter(pk=round_.pk).update(
        state=Round.State.LIVE, live_at=timezone.now(), **values
    )
    round_.refresh_from_db()


def _move_over(former: Round, round_: Round) -> None:
    in_random_order = Q(stratum__in=[Stratum.AUDIT, Stratum.OVERLAP, Stratum.EXPLORE])
    # Items for several annotators of whom some have answered: the others are still to answer.
    begun = Q(remaining__lt=F("needed"), remaining__gt=0)
    moving = former.items.filter(in_random_order | begun, is_open=1)
    moving = moving.exclude(track__in=round_.items.values("track"))
    moving.update(round=round_)


def _move_what_is_shown(former: Round, round_: Round) -> None:
    """Move items that are served now: given back, they are served in the new round.

    A ranked item of the new round for the same track is deleted.
    """
    shown = Presentation.objects.filter(
        library=former.library, outcome=Presentation.Outcome.OPEN, item__round=former
    )
    items = former.items.filter(pk__in=shown.values("item_id"), reserved_for__isnull=True)
    tracks = list(items.values_list("track_id", flat=True))
    for part in batches(tracks, _ROWS):
        round_.items.filter(track__in=part, presentations__isnull=True).delete()
        items.filter(track__in=part).update(round=round_)


def _drop_answered(round_: Round) -> None:
    """Close items that a person has answered since the pool was read.

    Items to be judged again were answered before, so only an answer under the guideline in
    force closes them.
    """
    judged = CurrentAnswer.objects.filter(
        track=OuterRef("track"), annotator__kind=Annotator.Kind.PERSON, answer__isnull=False
    )
    in_force = libraries.guideline_in_force(round_.library)
    under_current = judged.filter(answer__annotation__guideline=in_force)
    items = round_.items.filter(
        stratum__in=[Stratum.ACQUIRE, Stratum.EXPLORE], is_open=1, presentations__isnull=True
    )
    items.filter(~Q(strategy=ASKED_AGAIN), Exists(judged)).update(remaining=0)
    items.filter(Exists(under_current), strategy=ASKED_AGAIN).update(remaining=0)


def forget_old_rounds(library: Library) -> None:
    """Delete the items that were never served, of rounds that retired long enough ago."""
    retired = library.rounds.filter(state=Round.State.RETIRED).order_by("-number")
    for round_ in retired[_KEPT_ROUNDS:]:
        never = round_.items.filter(presentations__isnull=True)
        for _ in range(1_000):
            ids = list(never.values_list("pk", flat=True)[:_ROWS])
            if not ids:
                break
            QueueItem.objects.filter(pk__in=ids).delete()


def _remove(rounds: QuerySet[Round]) -> None:
    for round_ in rounds:
        with transaction.atomic():
            round_.items.all().delete()
            round_.delete()


def counts(library: Library, *, lays_out: bool = False) -> dict[str, int]:
    """Count the open items of the live round, by stratum.

    With `lays_out`, the first items of each random order are written before. Otherwise this
    happens when somebody opens the annotation page.
    """
    counted = dict.fromkeys((str(one) for one in _ALWAYS_COUNTED), 0)
    live = library.rounds.filter(state=Round.State.LIVE).first()
    if live is None:
        return counted
    for stratum in (Stratum.AUDIT, Stratum.EXPLORE) if lays_out else ():
        if not live.items.filter(stratum=stratum, is_open=1).exists():
            random_order.extend(live, stratum)
    rows = live.items.filter(is_open=1).order_by().values_list("stratum")
    return counted | dict(rows.annotate(n=Count("id")))
