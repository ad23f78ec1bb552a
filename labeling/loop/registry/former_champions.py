"""Former champions that a new model must not be clearly worse than.

Stage: model registry. Each new model is compared with the champion; if each is a little worse
than the one before, no single comparison shows it. So the best former champions keep their
files, and a new model is compared with them too.
"""

from __future__ import annotations

from typing import Any

from labeling.loop.registry import models
from labeling.models import Library, ModelVersion, PromotionEvent

#: So many former champions are compared with a new model, those of the highest skill.
MOST_FORMER = 3


def former_champions(library: Library) -> list[ModelVersion]:
    """Return the best former champions that still have their files, the best first.

    Skill is that of each model's own evaluation, so the order is approximate. Models from
    before the last promotion by hand do not count: a person decided against them.
    """
    champion = models.champion_of(library)
    promotions = library.promotions.exclude(kind=PromotionEvent.Kind.REFUSED)
    by_hand = promotions.filter(kind=PromotionEvent.Kind.ROLLED_BACK).first()
    if by_hand is not None:
        promotions = promotions.filter(pk__gte=by_hand.pk)
    found = library.models.filter(pk__in=promotions.values("model_version")).exclude(folder="")
    if champion is not None:
        found = found.exclude(pk=champion.pk)
    known = [one for one in found if skill_of(one.metrics) is not None]
    known.sort(key=lambda one: (-(skill_of(one.metrics) or 0.0), -one.number))
    return known[:MOST_FORMER]


def skill_of(metrics: dict[str, Any]) -> float | None:
    """Return the skill of a model's own evaluation; that of old models is over fewer labels."""
    shown = metrics.get("headline") or {}
    value: float | None = shown.get("skill", metrics.get("bce_skill"))
    return value
