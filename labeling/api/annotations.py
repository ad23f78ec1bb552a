"""Record an answer, and undo one."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import LibraryView
from labeling.api.serializers import AnswerBody, AnswerRequest, ConflictBody, ErrorBody
from labeling.errors import BadInput
from labeling.loop import desk
from labeling.loop.events import record
from labeling.loop.events.answers import Vocabulary, parse_answers
from labeling.loop.serving import serve
from labeling.models import Annotation, Presentation, Track

_REFUSALS = {400: ErrorBody, 403: ErrorBody, 404: ErrorBody}


class Annotations(LibraryView):
    """Record an answer of the caller's own.

    The same request again (the same `idempotency_key`) records nothing. It gets the first
    answer again, with 200: the state right after that answer, not the current state.
    """

    @extend_schema(
        operation_id="annotations_create",
        request=AnswerRequest,
        responses={201: AnswerBody, 200: AnswerBody, 409: ConflictBody, **_REFUSALS},
    )
    def post(self, request: Request, slug: str) -> Response:
        asked = AnswerRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        vocabulary = Vocabulary.of(self.library)
        submission = self._submission(asked.validated_data, vocabulary)
        recorded = desk.save(submission)
        if recorded.is_new:
            return Response(answer_body(vocabulary, recorded.annotation), status=201)
        state = record.state_after(vocabulary, recorded.annotation)
        return Response(_body(recorded.annotation, *state))

    def _submission(self, said: dict[str, Any], vocabulary: Vocabulary) -> record.Submission:
        annotator = self.annotator
        token = said.get("presentation")
        shown = serve.find_presentation(annotator, token) if token else None
        track = self._track(said["track"], shown)
        shown = shown or serve.open_presentations(annotator).filter(track=track).first()
        answers = parse_answers(
            vocabulary,
            labels=said["labels"],
            unsure=said["unsure"],
            negative=said["negative"],
            completed_facets=said.get("completed_facets"),
        )
        optional = {
            name: said[name]
            for name in ("answered_at", "expected_version", "decision_time_s", "note")
            if said.get(name) is not None
        }
        if said.get("idempotency_key"):
            optional["idempotency_key"] = said["idempotency_key"]
        return record.Submission(
            track=track,
            annotator=annotator,
            answers=answers,
            presentation=shown,
            recorded_by_id=self.request.user.pk,
            **optional,
        )

    def _track(self, track_id: int, shown: Presentation | None) -> Track:
        """Return the track of the request; that of the presentation, where there is one."""
        if shown is not None and shown.track_id == track_id:
            return shown.track
        track = Track.objects.in_use().filter(library=self.library, pk=track_id).first()
        if track is None:
            raise Http404(f"no track {track_id} in this library")
        if shown is not None:
            raise BadInput("this presentation belongs to another track")
        return track


class Undo(LibraryView):
    """Undo an answer of the caller's own; the state before it returns."""

    @extend_schema(
        operation_id="annotations_undo",
        request=None,
        responses={200: AnswerBody, **_REFUSALS},
    )
    def post(self, request: Request, slug: str, uid: str) -> Response:
        annotation = Annotation.objects.filter(annotator=self.annotator, uid=uid).first()
        if annotation is None:
            raise Http404("no answer of yours has this uid")
        retraction = desk.undo(annotation, recorded_by_id=request.user.pk)
        return Response(answer_body(Vocabulary.of(self.library), retraction))


def answer_body(vocabulary: Vocabulary, annotation: Annotation) -> dict[str, Any]:
    """Return the current answers on a track, as far as its annotator may see them."""
    state = record.known_state(vocabulary, annotation.annotator, annotation.track)
    return _body(annotation, *state)


def _body(annotation: Annotation, stored: dict[str, Any], version: int) -> dict[str, Any]:
    return {
        "annotation": str(annotation.uid),
        "track": annotation.track_id,
        "kind": annotation.kind,
        "version": version,
        **stored,
    }
