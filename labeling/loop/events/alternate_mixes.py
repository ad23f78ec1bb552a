"""Carrying an answer to the alternative mixes of a track.

A copy says what its source said, under the labels that were on offer *then*: a label that came
later was asked on neither. It gives way to an own answer and dies with its source (`replay`).
"""

from __future__ import annotations

from collections.abc import Sequence

from labeling.errors import BadInput
from labeling.loop.events.answers import FacetAnswer
from labeling.loop.events.current_answers import project
from labeling.loop.events.record import mark_dirty, write_answers
from labeling.loop.serving import leases
from labeling.models import Annotation, Track
from labeling.writing import short_write

Kind = Annotation.Kind


def propagate(annotation: Annotation, tracks: Sequence[Track]) -> list[Annotation]:
    """Carry an answer to other tracks of its library; return the copies that are new.

    1. Audit tracks are left out: nothing is ever carried to what measures.
    2. Carrying twice is carrying once; a copy that was taken back can be carried again.
    """
    if any(track.library_id != annotation.library_id for track in tracks):
        raise BadInput("an answer can be carried within its own library only")
    targets = [t for t in tracks if not t.is_audit and t.pk != annotation.track_id]
    with short_write():
        leases.queue_behind(annotation.annotator)
        copies = [_copy(annotation, track) for track in targets]
        project(annotation.annotator_id, [track.pk for track in targets])
    return [copy for copy in copies if copy is not None]


def _copy(annotation: Annotation, track: Track) -> Annotation | None:
    earlier = Annotation.objects.filter(
        derived_from=annotation, track=track, kind=Kind.PROPAGATED
    )
    if earlier.exclude(revised_by__kind=Kind.RETRACTION).exists():
        return None
    copy = Annotation.objects.create(
        library_id=annotation.library_id,
        annotator_id=annotation.annotator_id,
        track=track,
        kind=Kind.PROPAGATED,
        derived_from=annotation,
        guideline_id=annotation.guideline_id,
        answered_at=annotation.answered_at,
        recorded_by_id=annotation.recorded_by_id,
        idempotency_key=f"propagated:{annotation.uid}:{track.pk}:{earlier.count()}",
        request_hash=annotation.request_hash,
    )
    sources = list(annotation.answers.select_related("label_set"))
    answers = [
        FacetAnswer(
            source.facet_id,
            dict(source.judgements.values_list("label_id", "value")),
            source.is_complete,
        )
        for source in sources
    ]
    write_answers(copy, answers, {source.facet_id: source.label_set for source in sources})
    mark_dirty(copy)
    return copy
