"""Preview of taxonomy changes: the answers that a change would affect."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q

from labeling.errors import BadInput
from labeling.models import Answer, CurrentAnswer, Judgement, Label, Library

DEFINITION_LIMIT = 4_000


@dataclass(frozen=True)
class Usage:
    """Use of a label in the current answers."""

    tracks: int
    annotators: int
    yes: int
    unsure: int


def usage_of(label: Label) -> Usage:
    """Count the current answers that name a label (not the ones merged into it)."""
    held = CurrentAnswer.objects.filter(
        answer__judgements__label=label, answer__judgements__value__gte=Judgement.UNSURE
    )
    counts = held.aggregate(
        tracks=Count("track_id", distinct=True), annotators=Count("annotator_id", distinct=True)
    )
    values = Judgement.objects.filter(label=label, answer__currentanswer__isnull=False)
    said = values.aggregate(
        yes=Count("id", filter=Q(value=Judgement.YES)),
        unsure=Count("id", filter=Q(value=Judgement.UNSURE)),
    )
    return Usage(**counts, **said)


def yes_by_label(library: Library) -> dict[int, int]:
    """Return for each label how many current answers give it."""
    rows = (
        Judgement.objects.filter(
            label__facet__library=library,
            value=Judgement.YES,
            answer__currentanswer__isnull=False,
        )
        .order_by()
        .values_list("label_id")
        .annotate(n=Count("id"))
    )
    return dict(rows)


def answers_with_both(one: Label, other: Label) -> int:
    """Count the current answers that give both labels: merged, they count once."""
    held = Answer.objects.filter(currentanswer__isnull=False)
    for label in (one, other):
        held = held.filter(judgements__label=label, judgements__value=Judgement.YES)
    return held.count()


def describe(label: Label, *, definition: str, hotkey: str) -> None:
    """Set the definition and the key of a label; a key is unique in a facet."""
    hotkey, definition = hotkey.strip(), definition.strip()
    if len(hotkey) > 1 or (hotkey and not hotkey.isalnum()):
        raise BadInput("a key is one letter or digit, or nothing")
    if len(definition) > DEFINITION_LIMIT or "\0" in definition:
        raise BadInput(f"a definition has at most {DEFINITION_LIMIT} characters")
    taken = Label.objects.in_use().filter(
        facet_id=label.facet_id,
        hotkey__iexact=hotkey,
        is_active=True,
        merged_into__isnull=True,
    )
    other = taken.exclude(pk=label.pk).first() if hotkey else None
    if other is not None:
        raise BadInput(f"the key {hotkey!r} belongs to {other.name!r}")
    Label.objects.filter(pk=label.pk).update(definition=definition, hotkey=hotkey.lower())
