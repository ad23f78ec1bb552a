"""Propagation of an answer to the alternate mixes of a track.

A copy has the labels of its source, under the labels that were on offer *then*: a later label
was asked on neither. An own answer overrides a copy, and a copy ends with its source
(`replay`).
"""

from __future__ import annotations

from collections.abc import Sequence

from labeling.errors import BadInput
from labeling.loop.events.answers import FacetAnswer
from labeling.loop.events.current_answers import project
from labeling.loop.events.record import mark_dirty, write_answers
from labeling.loop.library import withdrawing
from labeling.loop.serving import leases
from labeling.models import Annotation, Track
from labeling.writing import short_write

Kind = Annotation.Kind


def propagate(annotation: Annotation, tracks: Sequence[Track]) -> list[Annotation]:
    """Copy an answer to other tracks of its library; return the new copies.

    1. Audit tracks are left out: no answer is ever copied to them. So are withdrawn tracks.
    2. Copying twice is copying once; a retracted copy can be made again.
    """
    if any(track.library_id != annotation.library_id for track in tracks):
        raise BadInput("an answer can only be copied within its own library")
    wanted = {t.pk for t in tracks if not t.is_audit and t.pk != annotation.track_id}
    with short_write():
        leases.queue_behind(annotation.annotator)
        locked = withdrawing.lock_tracks(wanted)
        targets = [track for track in locked if track.state != Track.State.WITHDRAWN]
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
