"""Write the answers of simulated curators as judgements.

Stage: demo.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Model

from labeling.loop.consistency import cache
from labeling.loop.events.current_answers import project
from labeling.loop.library import taxonomy
from labeling.models import (
    Annotation,
    Annotator,
    Answer,
    DirtyKey,
    Facet,
    GuidelineVersion,
    Judgement,
    Label,
    Library,
    Track,
)
from labeling.names import name_key
from labeling.writing import short_write
from ml.simulation.answers import ScriptedAnswer

_ROWS = 500
_KEY = "demo:"


class DemoAnswerWriter:
    """Writer that collects answers and then writes all of them at once."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.facets = {one.name_key: one for one in Facet.objects.filter(library=library)}
        self.sets = {name: taxonomy.label_set_of(facet) for name, facet in self.facets.items()}
        labels = Label.objects.filter(facet__library=library)
        self.labels = {(one.facet_id, one.name_key): one.pk for one in labels}
        self.tracks = dict(Track.objects.filter(library=library).values_list("key", "id"))
        self.people: dict[str, Annotator] = {}
        published = GuidelineVersion.objects.filter(library=library, number__gt=0)
        self.guidelines = list(published.order_by("published_at"))
        self.annotations: list[Annotation] = []
        self.answers: list[Answer] = []
        self.judgements: list[Judgement] = []

    def is_done(self) -> bool:
        """Return whether the library has demo answers already."""
        return Annotation.objects.filter(
            library=self.library, idempotency_key__startswith=_KEY
        ).exists()

    def add(
        self, key: str, scripted: ScriptedAnswer, names: Mapping[str, Sequence[str]]
    ) -> None:
        """Add one annotation with its labels by facet; every facet in `names` is complete."""
        annotation = Annotation(
            library=self.library,
            track_id=self.tracks[key],
            annotator=self._person(scripted.annotator),
            kind=Annotation.Kind.JUDGEMENT,
            guideline=self._guideline(scripted),
            stratum=scripted.stratum,
            answered_at=scripted.answered_at,
            decision_time_s=scripted.decision_time_s,
            idempotency_key=f"{_KEY}{len(self.annotations)}",
            request_hash="",
        )
        self.annotations.append(annotation)
        for facet_name, given in names.items():
            facet = self.facets[facet_name]
            answer = Answer(annotation=annotation, facet=facet, label_set=self.sets[facet_name])
            self.answers.append(answer)
            for name in given:
                label_id = self.labels[(facet.pk, name_key(name))]
                self.judgements.append(
                    Judgement(answer=answer, label_id=label_id, value=Judgement.YES)
                )

    def write(self) -> int:
        """Write the events with their dirty keys, then current answers and statistics.

        Returns the number of annotations.
        """
        with short_write():
            for rows in (self.annotations, self.answers, self.judgements, self._dirty()):
                _insert(rows)
        touched: dict[int, set[int]] = defaultdict(set)
        for one in self.annotations:
            touched[one.annotator_id].add(one.track_id)
        for annotator_id, track_ids in touched.items():
            with short_write():
                project(annotator_id, track_ids)
        cache.refresh(self.library)
        return len(self.annotations)

    def _dirty(self) -> list[DirtyKey]:
        return [
            DirtyKey(
                library=self.library,
                annotator_id=one.annotator_id,
                track_id=one.track_id,
                day=one.answered_at.date(),
            )
            for one in self.annotations
            if one.answered_at is not None
        ]

    def _person(self, name: str) -> Annotator:
        if name not in self.people:
            self.people[name], _ = Annotator.objects.get_or_create(
                library=self.library, name_key=name_key(name), defaults={"name": name}
            )
        return self.people[name]

    def _guideline(self, scripted: ScriptedAnswer) -> GuidelineVersion:
        moments = [one.published_at for one in self.guidelines if one.published_at is not None]
        return self.guidelines[max(0, bisect_right(moments, scripted.answered_at) - 1)]


def _insert(rows: Sequence[Any]) -> None:
    model: type[Model] = type(rows[0]) if rows else Annotation
    model._default_manager.bulk_create(rows, batch_size=_ROWS)
