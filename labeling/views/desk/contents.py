"""Contents of an annotator's desk: labels with their keys, the track, the last answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from labeling.loop.serving import blinding, strata
from labeling.models import (
    Annotation,
    Annotator,
    Facet,
    Label,
    LabelAlias,
    Library,
    Presentation,
)
from labeling.views.desk.label_keys import assign_keys

RECENT = 8
LONG = 60


@dataclass(frozen=True)
class LabelButton:
    """A label as the page shows it."""

    id: int
    name: str
    key: str
    definition: str
    aliases: list[str]
    suggestion: int | None = None


@dataclass(frozen=True)
class FacetPanel:
    """A facet with its buttons."""

    facet: Facet
    buttons: list[LabelButton] = field(default_factory=list)

    @property
    def is_long(self) -> bool:
        """Say whether the labels get a scroll box, so that the page stays in sight."""
        return len(self.buttons) > LONG

    @property
    def is_beyond_keys(self) -> bool:
        """Say whether some label has no key, and is found by typing only."""
        return any(not button.key for button in self.buttons)

    @property
    def limits(self) -> str:
        """Return the limits on the number of labels, in words."""
        low, high = self.facet.min_labels, self.facet.max_labels
        if low and high:
            return f"{low} to {high}" if low != high else f"exactly {low}"
        if high:
            return f"at most {high}"
        return f"at least {low}" if low else ""


def panels_of(library: Library, presentation: Presentation | None) -> list[FacetPanel]:
    """Return the facets that have labels on offer, with the suggestions for this track."""
    aliases: dict[int, list[str]] = {}
    for alias in LabelAlias.objects.filter(facet__library=library):
        aliases.setdefault(alias.label_id, []).append(alias.text)
    suggested = _suggested(presentation)
    offered = Label.objects.filter(
        facet__library=library, is_active=True, merged_into__isnull=True
    )
    by_facet: dict[int, list[Label]] = {}
    for label in offered:
        by_facet.setdefault(label.facet_id, []).append(label)
    panels = []
    for facet in library.facets.all():
        labels = by_facet.get(facet.pk, [])
        if not labels:
            continue
        buttons = [
            LabelButton(
                label.pk,
                label.name,
                key,
                label.definition,
                aliases.get(label.pk, []),
                suggested.get((facet.name, label.name)),
            )
            for label, key in zip(labels, assign_keys(labels), strict=True)
        ]
        panels.append(FacetPanel(facet, buttons))
    return panels


def _suggested(presentation: Presentation | None) -> dict[tuple[str, str], int]:
    """Return (facet, label) -> per cent of the stored suggestions."""
    rows = presentation.suggestions if presentation is not None else []
    return {
        (row.get("facet", ""), row.get("label", "")): round(100 * row.get("probability", 0))
        for row in rows
    }


def desk_context(presentation: Presentation) -> dict[str, Any]:
    """Return further facts about a track.

    In the audit, overlap and repeat strata the catalogue's own columns stay hidden: they may
    contain old labels, which would anchor the answer as a suggestion does.
    """
    track = presentation.track
    is_measuring = presentation.stratum in strata.UNASSISTED
    extra = {} if is_measuring else {k: str(v) for k, v in track.extra.items() if v}
    return {"extra": extra}


def recent_of(annotator: Annotator) -> list[dict[str, Any]]:
    """Return the annotator's last current answers with their labels.

    A track that is on their desk again as a blind repeat is left out.
    """
    events = (
        annotator.annotations.filter(
            kind__in=[Annotation.Kind.JUDGEMENT, Annotation.Kind.REVISION]
        )
        .exclude(revised_by__kind=Annotation.Kind.RETRACTION)
        .exclude(track__in=blinding.hidden_tracks(annotator))
        .select_related("track")
        .prefetch_related("answers__facet", "answers__judgements__label")
        .order_by("-id")[:RECENT]
    )
    rows = []
    for event in events:
        said = _answer_of(event)
        rows.append(
            {
                "uid": str(event.uid),
                "track_id": event.track_id,
                "name": str(event.track),
                "answer": said,
                "said": said_in_words(said),
            }
        )
    return rows


_WORDS = {1: "labels", 0: "unsure", -1: "negative"}


def _answer_of(event: Annotation) -> dict[str, Any]:
    said: dict[str, Any] = {"labels": {}, "unsure": {}, "negative": {}, "completed_facets": []}
    for answer in event.answers.all():
        facet = answer.facet.name
        for judgement in answer.judgements.all():
            names = said[_WORDS[judgement.value]].setdefault(facet, [])
            names.append(judgement.label.name)
        if answer.is_complete:
            said["completed_facets"].append(facet)
    return said | {"note": event.note}


def said_in_words(said: dict[str, Any]) -> str:
    """Return an answer in one line, as answer.js writes it: "Drone, Calm ?, not Rock"."""
    parts = [name for names in said["labels"].values() for name in names]
    parts += [f"{name} ?" for names in said["unsure"].values() for name in names]
    parts += [f"not {name}" for names in said["negative"].values() for name in names]
    touched = {facet for word in _WORDS.values() for facet in said[word]}
    none = [facet for facet in said["completed_facets"] if facet not in touched]
    if none:
        parts.append(f"none of these: {', '.join(none)}")
    return ", ".join(parts)
