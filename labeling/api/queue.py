"""Getting the next track, and giving it back."""

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

_NOTHING = OpenApiResponse(description="nothing more, or done")


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
    """Return presentations as the interface shows them."""
    bodies = PresentationBody(shown, many=True)
    return [dict(body) for body in bodies.data]


class SkipTrack(LibraryView):
    """Put a track aside with a reason; it goes to others."""

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
    """Take a skip back: the track is before the caller again, if nobody else has it now."""

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
    """Give a track back unanswered."""

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
    """Say that the caller is still there: pushes the leases of all open presentations."""

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
