"""Recording an answer and undoing it: always a new event.

An acknowledged answer is in the database. The same request sent twice makes one event; an
answer that comes after its lease ran out is recorded too.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError
from django.utils import timezone

from labeling.errors import BadInput, StaleVersion
from labeling.loop.events.answers import (
    FacetAnswer,
    Vocabulary,
    as_names,
    check_moment,
    current_states,
    states_of,
)
from labeling.loop.events.current_answers import answers_after, project
from labeling.loop.events.replay import Event, live_ids, roots
from labeling.loop.library import libraries, taxonomy, withdrawing
from labeling.loop.serving import blinding, leases
from labeling.models import (
    Annotation,
    Annotator,
    Answer,
    CurrentAnswer,
    DirtyKey,
    Judgement,
    LabelSet,
    Presentation,
    Track,
)
from labeling.models.queue import Stratum
from labeling.models.rollups import UNKNOWN_DAY
from labeling.writing import short_write

Kind = Annotation.Kind


@dataclass(frozen=True)
class Submission:
    """One answer of one annotator on one track, as it came in.

    `expected_version` is the number of events that were on the track when it was read. 0 with a
    presentation means: no answer since it was served. So a blind repeat, which has older
    answers, is sent like any new track.
    """

    track: Track
    annotator: Annotator
    answers: Sequence[FacetAnswer]
    idempotency_key: str = field(default_factory=lambda: uuid.uuid4().hex)
    presentation: Presentation | None = None
    answered_at: datetime | None = None
    expected_version: int | None = None
    decision_time_s: float | None = None
    note: str = ""
    recorded_by_id: int | None = None

    def digest(self) -> str:
        """Return a hash of the content, to recognise a repeated request."""
        said = [
            [answer.facet_id, sorted(answer.values.items()), answer.is_complete]
            for answer in sorted(self.answers, key=lambda answer: answer.facet_id)
        ]
        text = json.dumps([self.track.pk, said, self.note])
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Recorded:
    """The event of a request; not new if it had been recorded before."""

    annotation: Annotation
    is_new: bool


def record_annotation(submission: Submission) -> Recorded:
    """Record an answer.

    1. The same idempotency key again: return its event, or refuse different content. The
       constraint finds this; only if a version is checked, it is looked up before.
    2. Queue behind the annotator's other requests, and check the version that was edited.
    3. Close the presentation; of two windows that answer it, one finds it open.
    4. Write event, answers and judgements; update the current answers.
    """
    if not submission.answers:
        raise BadInput("an answer needs at least one label, or a facet marked as complete")
    if submission.presentation is None:
        check_moment(submission.answered_at)
    _check_offer(submission)
    if submission.expected_version is not None:
        repeated = _same_key(submission)
        if repeated is not None:
            return repeated
    now = timezone.now()
    try:
        with short_write():
            leases.queue_behind(submission.annotator)
            withdrawing.keep_in_use([submission.track.pk])
            _check_version(submission)
            is_asked = _close_open(submission.presentation, now)
            annotation = _write(submission, now, is_asked=is_asked)
            project(submission.annotator.pk, [submission.track.pk])
            if submission.presentation is not None and not is_asked:
                leases.close_late(submission.presentation, now)
    except IntegrityError:
        repeated = _same_key(submission)
        if repeated is None:
            raise
        return repeated
    return Recorded(annotation, is_new=True)


def _close_open(shown: Presentation | None, now: datetime) -> bool:
    """Close an open presentation; otherwise read its present outcome."""
    if shown is None:
        return False
    is_asked = leases.close_open(shown, now)
    if not is_asked and shown.outcome == Presentation.Outcome.OPEN:
        shown.refresh_from_db(fields=["outcome"])
    return is_asked


def _check_offer(submission: Submission) -> None:
    if submission.track.library_id != submission.annotator.library_id:
        raise BadInput("track and annotator belong to different libraries")


def _same_key(submission: Submission) -> Recorded | None:
    stored = Annotation.objects.filter(
        annotator=submission.annotator, idempotency_key=submission.idempotency_key
    ).first()
    if stored is None:
        return None
    if stored.request_hash != submission.digest():
        raise BadInput("this idempotency_key was used for another answer: send a new one")
    return Recorded(stored, is_new=False)


def answers_version_of(annotator: Annotator, track: Track) -> int:
    """Return how many events of this annotator are on the track; it grows with every change."""
    return Annotation.objects.filter(annotator=annotator, track=track).count()


def _check_version(submission: Submission) -> None:
    if submission.expected_version is None or _is_first_since_shown(submission):
        return
    if (
        answers_version_of(submission.annotator, submission.track)
        == submission.expected_version
    ):
        return
    vocabulary = Vocabulary.of(submission.annotator.library)
    stored, version = known_state(vocabulary, submission.annotator, submission.track)
    raise StaleVersion(yours=_as_sent(vocabulary, submission), stored=stored, version=version)


def _is_first_since_shown(submission: Submission) -> bool:
    shown = submission.presentation
    if shown is None or submission.expected_version != 0:
        return False
    return not CurrentAnswer.objects.filter(
        annotator=submission.annotator,
        track=submission.track,
        answer__annotation__recorded_at__gte=shown.presented_at,
    ).exists()


def known_state(
    vocabulary: Vocabulary, annotator: Annotator, track: Track
) -> tuple[dict[str, Any], int]:
    """Return the annotator's current answers and version, as far as they may see them.

    While the track is on their desk as a blind repeat, these are empty.
    """
    if blinding.is_hidden(annotator, track):
        return as_names(vocabulary, {}), 0
    return stored_answer(vocabulary, annotator, track), answers_version_of(annotator, track)


def state_after(vocabulary: Vocabulary, event: Annotation) -> tuple[dict[str, Any], int]:
    """Return the answers right after an event, and the version then, as `known_state` does.

    So a repeated request gets the first answer again, whatever was recorded since; only names
    are the current ones.
    """
    if blinding.is_hidden(event.annotator, event.track):
        return as_names(vocabulary, {}), 0
    states = states_of(answers_after(event), vocabulary.merged)
    events = Annotation.objects.filter(annotator=event.annotator, track=event.track)
    return as_names(vocabulary, states), events.filter(pk__lte=event.pk).count()


def stored_answer(vocabulary: Vocabulary, annotator: Annotator, track: Track) -> dict[str, Any]:
    """Return the current answers of this annotator on the track, as names."""
    states = current_states(
        vocabulary.library,
        annotator_id=annotator.pk,
        track_ids=[track.pk],
        merged=vocabulary.merged,
    )
    return as_names(vocabulary, states.get(track.pk, {}))


def _as_sent(vocabulary: Vocabulary, submission: Submission) -> dict[str, Any]:
    said: dict[str, Any] = {"labels": {}, "unsure": {}, "negative": {}, "completed_facets": []}
    words = {1: "labels", 0: "unsure", -1: "negative"}
    for answer in submission.answers:
        facet_name = vocabulary.facet_names[answer.facet_id]
        for label_id, value in answer.values.items():
            said[words[value]].setdefault(facet_name, []).append(vocabulary.names[label_id])
        if answer.is_complete:
            said["completed_facets"].append(facet_name)
    return said


def _write(submission: Submission, now: datetime, *, is_asked: bool) -> Annotation:
    shown = submission.presentation
    kind, revises = _kind(submission, is_asked=is_asked)
    guideline_id = (
        shown.guideline_id
        if shown is not None
        else libraries.guideline_in_force(submission.annotator.library).pk
    )
    annotation = Annotation.objects.create(
        library_id=submission.track.library_id,
        track=submission.track,
        annotator=submission.annotator,
        presentation=shown,
        kind=kind,
        revises=revises,
        guideline_id=guideline_id,
        stratum=_stratum(kind, revises, shown),
        answered_at=_answered_at(submission, now),
        recorded_by_id=submission.recorded_by_id,
        decision_time_s=submission.decision_time_s,
        note=submission.note,
        idempotency_key=submission.idempotency_key,
        request_hash=submission.digest(),
    )
    write_answers(annotation, submission.answers)
    mark_dirty(annotation)
    return annotation


def _answered_at(submission: Submission, now: datetime) -> datetime:
    """Use the client's clock (it may have been offline) within limits.

    Nobody answers in the future, or before the track was served to them.
    """
    said = submission.answered_at
    if said is None or said > now:
        return now
    shown = submission.presentation
    return max(said, shown.presented_at) if shown is not None else said


def _stratum(kind: str, revises: Annotation | None, shown: Presentation | None) -> str:
    if kind == Kind.REVISION and revises is not None:
        return revises.stratum
    return shown.stratum if shown is not None else Stratum.DIRECT


def write_answers(
    annotation: Annotation,
    answers: Sequence[FacetAnswer],
    label_sets: Mapping[int, LabelSet] | None = None,
) -> None:
    """Write the answers of an annotation, each under the labels on offer (default: now)."""
    if label_sets is None:
        label_sets = taxonomy.label_sets_of(answer.facet_id for answer in answers)
    rows = [
        Answer(
            annotation=annotation,
            facet_id=answer.facet_id,
            label_set=label_sets[answer.facet_id],
            is_complete=answer.is_complete,
        )
        for answer in answers
    ]
    Answer.objects.bulk_create(rows)
    Judgement.objects.bulk_create(
        [
            Judgement(answer=row, label_id=label_id, value=value)
            for row, answer in zip(rows, answers, strict=True)
            for label_id, value in sorted(answer.values.items())
        ]
    )


def mark_dirty(annotation: Annotation) -> None:
    """Record what must be counted again."""
    root = annotation
    while root.revises is not None:
        root = root.revises
    DirtyKey.objects.create(
        library_id=annotation.library_id,
        annotator_id=annotation.annotator_id,
        track_id=annotation.track_id,
        day=root.answered_at.date() if root.answered_at else UNKNOWN_DAY,
    )


def _kind(submission: Submission, *, is_asked: bool) -> tuple[str, Annotation | None]:
    """Distinguish an independent annotation from an edit.

    The answer to an open presentation is an independent annotation, even if the annotator has
    labelled the track before (a repeat). Any other answer edits the current one. So does a late
    answer to a track that its annotator has answered since.
    """
    shown = submission.presentation
    if is_asked:
        return Kind.JUDGEMENT, None
    newest = _newest_look(submission.annotator, submission.track)
    if newest is None:
        return Kind.JUDGEMENT, None
    if shown is not None and shown.outcome != Presentation.Outcome.ANSWERED:  # a late answer
        is_second = newest.recorded_at > shown.presented_at
        return (Kind.REVISION, newest) if is_second else (Kind.JUDGEMENT, None)
    return Kind.REVISION, newest


def _newest_look(annotator: Annotator, track: Track) -> Annotation | None:
    """Return the annotator's own live event that an edit of the track revises."""
    rows = Annotation.objects.filter(annotator=annotator, track=track).in_bulk()
    events = [
        Event(row.pk, track.pk, row.kind, row.revises_id, row.derived_from_id, row.answered_at)
        for row in rows.values()
    ]
    live, first = live_ids(events), roots(events)
    own = [
        event.id
        for event in events
        if event.id in live and first[event.id].kind in Annotation.INDEPENDENT
    ]
    if not own:
        return None
    oldest = datetime.min.replace(tzinfo=timezone.get_default_timezone())
    return rows[max(own, key=lambda one: (first[one].answered_at or oldest, one))]


def retract(annotation: Annotation, *, recorded_by_id: int | None = None) -> Recorded:
    """Undo an answer: the state before it returns, and the track is open again.

    1. Undoing twice is undoing once.
    2. Its presentation is on the annotator's desk again, before all others.
    """
    with short_write():
        leases.queue_behind(annotation.annotator)
        stored = _live_retraction(annotation)
        if stored is not None:
            return Recorded(stored, is_new=False)
        retraction = Annotation.objects.create(
            library_id=annotation.library_id,
            track_id=annotation.track_id,
            annotator_id=annotation.annotator_id,
            presentation_id=annotation.presentation_id,
            kind=Kind.RETRACTION,
            revises=annotation,
            guideline_id=annotation.guideline_id,
            stratum=annotation.stratum,
            answered_at=timezone.now(),
            recorded_by_id=recorded_by_id,
            idempotency_key=f"undo:{annotation.uid}:{uuid.uuid4().hex}",
            request_hash="",
        )
        mark_dirty(retraction)
        project(annotation.annotator_id, [annotation.track_id])
        if annotation.kind == Kind.JUDGEMENT and annotation.presentation is not None:
            leases.reopen(annotation.presentation)
    return Recorded(retraction, is_new=True)


def _live_retraction(annotation: Annotation) -> Annotation | None:
    """Return the live retraction of this answer, if there is one."""
    if annotation.kind == Kind.RETRACTION:
        raise BadInput("this is itself an undo: answer the track again instead")
    return annotation.revised_by.filter(kind=Kind.RETRACTION).order_by("-id").first()
