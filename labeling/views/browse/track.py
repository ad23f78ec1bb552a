"""The page of a track: its sound, its current answers and their history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.views.decorators.http import require_safe

from labeling.api.serializers import TrackBody
from labeling.loop import predictions
from labeling.loop.library import libraries, taxonomy
from labeling.loop.serving import blinding
from labeling.models import Annotation, Answer, CurrentAnswer, Judgement, Label, Library, Track
from labeling.permissions import Role, has_role, library_page

MOST_EVENTS = 200


@dataclass(frozen=True)
class ShownAnswer:
    """The labels of one answer, under their current names."""

    facet: str
    yes: list[str]
    unsure: list[str]
    no: list[str]
    is_complete: bool


@dataclass(frozen=True)
class Holding:
    """A current answer."""

    annotation: Annotation
    said: ShownAnswer
    version: int


@dataclass(frozen=True)
class Past:
    """An event of the history, and whether it was undone."""

    annotation: Annotation
    said: list[ShownAnswer]
    is_undone: bool


class LabelNames:
    """Names of labels, with merges resolved; read once per page."""

    def __init__(self, library: Library) -> None:
        self._resolve = taxonomy.resolutions(library)
        labels = Label.objects.filter(facet__library=library)
        self._names = dict(labels.values_list("pk", "name"))

    def said(self, answer: Answer) -> ShownAnswer:
        """Return the labels of an answer; its judgements and facet are already fetched."""
        by_value: dict[int, set[str]] = {1: set(), 0: set(), -1: set()}
        for judgement in answer.judgements.all():
            label_id = self._resolve.get(judgement.label_id, judgement.label_id)
            by_value[judgement.value].add(self._names[label_id])
        return ShownAnswer(
            answer.facet.name,
            sorted(by_value[Judgement.YES]),
            sorted(by_value[Judgement.UNSURE]),
            sorted(by_value[Judgement.NO]),
            answer.is_complete,
        )


def holding_of(current: QuerySet[CurrentAnswer], names: LabelNames) -> list[Holding]:
    """Return the current answers, by annotator and facet."""
    rows = (
        current.filter(answer__isnull=False)
        .select_related(
            "answer__facet", "answer__annotation__annotator", "answer__annotation__guideline"
        )
        .prefetch_related("answer__judgements")
        .order_by("annotator__name_key", "facet__position")
    )
    return [
        Holding(row.answer.annotation, names.said(row.answer), row.version)
        for row in rows
        if row.answer is not None
    ]


def history_of(events: QuerySet[Annotation], names: LabelNames) -> list[Past]:
    """Return the events, the newest first."""
    rows = list(
        events.select_related("annotator", "guideline", "revises")
        .prefetch_related("answers__judgements", "answers__facet")
        .order_by("-id")[:MOST_EVENTS]
    )
    undone = {row.revises_id for row in rows if row.kind == Annotation.Kind.RETRACTION}
    return [
        Past(row, [names.said(answer) for answer in row.answers.all()], row.pk in undone)
        for row in rows
    ]


@require_safe
@library_page(Role.ANNOTATOR)
def track(request: HttpRequest, library: Library, track_id: int) -> HttpResponse:
    """Show a track: annotators see their own answers only, curators everybody's."""
    row = get_object_or_404(
        Track.objects.in_use().select_related("audio__root", "library"),
        pk=track_id,
        library=library,
    )
    sees_others = has_role(request.user, library, Role.CURATOR)
    annotator = libraries.annotator_of(library, cast(User, request.user))
    current, events = row.current_answers.all(), row.annotations.all()
    if not sees_others:
        current, events = (
            current.filter(annotator=annotator),
            events.filter(annotator=annotator),
        )
    if blinding.is_hidden(annotator, row):
        current, events = (
            current.exclude(annotator=annotator),
            events.exclude(annotator=annotator),
        )
    names = LabelNames(library)
    return render(
        request,
        "labeling/track.html",
        {
            "track": row,
            "holding": holding_of(current, names),
            "history": history_of(events, names),
            "most_events": MOST_EVENTS,
            "sees_others": sees_others,
            "predictions": _predictions(library, row) if sees_others else [],
            "sound": dict(TrackBody(row).data),
            "kbit_s": round((row.audio.bit_rate or 0) / 1000) if row.audio else 0,
            "extra": {k: v for k, v in row.extra.items() if v not in ("", None)},
        },
    )


def _predictions(library: Library, row: Track) -> list[predictions.SuggestedLabel]:
    return predictions.suggestions_for(library, [row.pk]).get(row.pk, [])


urlpatterns = [path("tracks/<slug:slug>/<int:track_id>/", track, name="track")]
