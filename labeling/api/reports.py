"""Evaluation reports of models, and comparisons on the same tracks."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.models import User
from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import LibraryView
from labeling.api.reading import known_parameters
from labeling.api.serializers import ErrorBody
from labeling.errors import BadInput
from labeling.loop.registry import evaluation_records
from labeling.loop.serving import blinding
from labeling.models import Membership
from labeling.permissions import MOST_ID

_REFUSALS = {400: ErrorBody, 403: ErrorBody, 404: ErrorBody}
_OBJECT = OpenApiTypes.OBJECT
_NUMBER = {"type": "integer", "minimum": 0, "maximum": MOST_ID}


class ModelReport(LibraryView):
    """The report of a model: metrics, diagnosis, labels, curves."""

    required_role = Membership.Role.CURATOR

    @extend_schema(
        operation_id="models_report",
        parameters=[OpenApiParameter("number", _NUMBER, "path")],
        responses={200: _OBJECT, **_REFUSALS},
    )
    def get(self, request: Request, slug: str, number: int) -> Response:
        known_parameters(request)
        try:
            evaluation = evaluation_records.find_evaluation(self.library, model=number)
        except BadInput as error:
            raise Http404(str(error)) from error
        report = evaluation_records.report_of(evaluation)
        hidden = blinding.hidden_from(self.library, cast(User, request.user))
        return Response({**report, "mistakes": self._shown(report["mistakes"], hidden)})

    def _shown(self, mistakes: list[dict[str, Any]], hidden: set[int]) -> list[dict[str, Any]]:
        """Remove the answers to tracks that are on their annotator's desk again."""
        tracks = evaluation_records.tracks_by_uid(
            self.library, (row["track_uid"] for row in mistakes)
        )
        unseen = {uid for uid, track in tracks.items() if track.pk in hidden}
        nothing = {"positives": None, "is_positive": None}
        return [row | nothing if row["track_uid"] in unseen else row for row in mistakes]


class ModelComparison(LibraryView):
    """Two or more models on the tracks that all of them held out."""

    required_role = Membership.Role.CURATOR

    @extend_schema(
        operation_id="models_compare",
        parameters=[
            OpenApiParameter(
                "models",
                str,
                required=True,
                description="numbers, such as 3,5: the first is the reference",
            )
        ],
        responses={200: _OBJECT, **_REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        text = known_parameters(request, "models").get("models", "")
        numbers = [part.strip() for part in text.split(",")]
        if not all(part.isdecimal() and int(part) <= MOST_ID for part in numbers):
            raise BadInput("models must be a list of numbers, such as 3,5")
        chosen = [
            evaluation_records.find_evaluation(self.library, model=int(part))
            for part in numbers
        ]
        found: dict[str, Any] = evaluation_records.compare_evaluations(chosen)
        return Response({"models": [int(part) for part in numbers], **found})
