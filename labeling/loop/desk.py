"""The desk: the requests of an annotator's page to the loop.

Serving, suggestions, recording and retraining are stages of their own that do not know each
other. This module joins them in the three requests that a page or a program makes.
"""

from __future__ import annotations

from django.db import transaction

from labeling.loop import predictions, retraining
from labeling.loop.events import record
from labeling.loop.events.record import Recorded, Submission
from labeling.loop.serving import serve
from labeling.models import Annotation, Annotator, Library, Presentation


def next_tracks(annotator: Annotator, *, ahead: int = 0) -> list[Presentation]:
    """Serve the annotator's open presentations, then newly leased ones with suggestions."""
    return serve.serve(annotator, ahead=ahead, after_claim=predictions.store_suggestions)


def save(submission: Submission) -> Recorded:
    """Record an answer; request a retraining if enough answers are new."""
    recorded = record.record_annotation(submission)
    if recorded.is_new:
        _retrain_if_due(submission.annotator.library)
    return recorded


def undo(annotation: Annotation, *, recorded_by_id: int | None = None) -> Annotation:
    """Undo an answer; request a retraining if enough answers changed."""
    retraction = record.retract(annotation, recorded_by_id=recorded_by_id)
    if retraction.is_new:
        _retrain_if_due(annotation.library)
    return retraction.annotation


def _retrain_if_due(library: Library) -> None:
    """Check after the commit, so that a failing check never costs the answer."""
    transaction.on_commit(lambda: retraining.after_annotation(library))
