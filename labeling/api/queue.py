"""Get the next track, skip it, and give it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import LibraryView
from labeling.api.serializers import (
    ErrorBody,
    LeaseBody,
    NextBody,
    NextRequest,
    PresentationBody,
    PresentationRequest,
    SkipRequest,
)
from labeling.loop import desk
from labeling.loop.serving import leases, serve
from labeling.models import Presentation

_NOTHING = OpenApiResponse(description="no more tracks")


class NextTrack(LibraryView):
    """The caller's open presentation, else a new one."""

    @extend_schema(
        operation_id="queue_next",
        request=NextRequest,
        responses={
            200: NextBody,
            204: _NOTHING,
            400: ErrorBody,
            403: ErrorBody,
            404: ErrorBody,
        },
    )
    def post(self, request: Request, slug: str) -> Response:
        asked = NextRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        ahead = asked.validated_data["ahead"]
        shown = desk.next_tracks(self.annotator, ahead=ahead)
        bodies = as_bodies(shown)
        return Response(bodies[0] | ({"ahead": bodies[1:]} if ahead else {}))


def as_bodies(shown: Sequence[Presentation]) -> list[dict[str, Any]]:
    """Return presentations as the API shows them."""
    bodies = PresentationBody(shown, many=True)
    return [dict(body) for body in bodies.data]


class SkipTrack(LibraryView):
    """Skip a track with a reason; others are served it."""

    @extend_schema(
        operation_id="queue_skip",
        request=SkipRequest,
        responses={204: _NOTHING, 400: ErrorBody, 403: ErrorBody, 404: ErrorBody},
    )
    def post(self, request: Request, slug: str) -> Response:
        asked = SkipRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        said = asked.validated_data
        leases.skip(
            serve.find_presentation(self.annotator, said["presentation"]), said["reason"]
        )
        return Response(status=204)


class UndoSkip(LibraryView):
    """Undo a skip: the track is on the caller's desk again, unless somebody else has it now."""

    @extend_schema(
        operation_id="queue_skip_undo",
        request=PresentationRequest,
        responses={200: PresentationBody, 400: ErrorBody, 403: ErrorBody, 404: ErrorBody},
    )
    def post(self, request: Request, slug: str) -> Response:
        asked = PresentationRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        skipped = serve.find_presentation(self.annotator, asked.validated_data["presentation"])
        return Response(as_bodies([leases.undo_skip(skipped)])[0])


class ReleaseTrack(LibraryView):
    """Release a track without an answer."""

    @extend_schema(
        operation_id="queue_release",
        request=PresentationRequest,
        responses={204: _NOTHING, 400: ErrorBody, 403: ErrorBody, 404: ErrorBody},
    )
    def post(self, request: Request, slug: str) -> Response:
        asked = PresentationRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        leases.release(
            serve.find_presentation(self.annotator, asked.validated_data["presentation"])
        )
        return Response(status=204)


class LeaseHeartbeat(LibraryView):
    """Renew the leases of all open presentations of the caller."""

    @extend_schema(
        operation_id="queue_heartbeat",
        request=None,
        responses={
            200: LeaseBody,
            403: ErrorBody,
            404: ErrorBody,
        },
    )
    def post(self, request: Request, slug: str) -> Response:
        return Response({"lease_expires_at": serve.heartbeat(self.annotator)})
