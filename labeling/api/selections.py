"""Snapshots, their previews, and recipes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    extend_schema,
    extend_schema_serializer,
)
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling import jobs
from labeling.api.base import ByCursor, LibraryView
from labeling.api.reading import known_parameters
from labeling.api.serializers import ErrorBody, JobBody, Listed
from labeling.errors import BadInput
from labeling.loop import retraining
from labeling.loop.datasets import criteria
from labeling.loop.datasets.preview import preview_selection
from labeling.loop.datasets.selection import Selection
from labeling.loop.registry import recipes
from labeling.models import Membership, Snapshot
from labeling.models.jobs import JobKind
from labeling.permissions import MOST_ID
from ml.training.recipes import Recipe

_REFUSALS = {400: ErrorBody, 403: ErrorBody, 404: ErrorBody}
_NUMBER = {"type": "integer", "minimum": 0, "maximum": MOST_ID}
_MOST = 2**31 - 1


def _names() -> serializers.ListField:
    name = serializers.CharField(max_length=200)
    return serializers.ListField(child=name, required=False, max_length=200)


def _numbers() -> serializers.ListField:
    number = serializers.IntegerField(min_value=0, max_value=_MOST)
    return serializers.ListField(child=number, required=False, max_length=200)


def _word() -> serializers.CharField:
    return serializers.CharField(max_length=40, required=False)


@extend_schema_serializer(component_name="Selection")
class SelectionRequest(serializers.Serializer[Any]):
    """A selection of answers, with the options of the commands; omitted fields mean all."""

    facets = _names()
    annotators = _names()
    annotator_kinds = _names()
    since = _word()
    until = _word()
    guidelines = _numbers()
    sources = _names()
    batches = _numbers()
    criteria = _word()
    negatives = _word()
    others = _word()
    min_support = serializers.IntegerField(min_value=1, max_value=_MOST, required=False)
    top_labels = serializers.IntegerField(min_value=0, max_value=_MOST, required=False)
    combination_cap = serializers.FloatField(min_value=0, max_value=1, required=False)
    rare_share = serializers.FloatField(min_value=0, max_value=1, required=False)
    aggregation = _word()


class SnapshotBody(serializers.ModelSerializer[Snapshot]):
    """A training set: its selection, the criteria then current, and answers by annotator."""

    class Meta:
        model = Snapshot
        fields = [
            "number",
            "uid",
            "hash",
            "selection",
            "facts",
            "tracks",
            "annotations",
            "label_uids",
            "split",
            "taken_at",
        ]


class SnapshotList(Listed):
    """Snapshots, the newest first."""

    results = SnapshotBody(many=True)


class RecipeBody(serializers.Serializer[Recipe]):
    """A recipe: a selection of answers and a training configuration."""

    name = serializers.CharField()
    title = serializers.CharField()
    summary = serializers.CharField()
    digest = serializers.SerializerMethodField()
    selection = serializers.SerializerMethodField()
    training = serializers.SerializerMethodField()

    def get_digest(self, found: Recipe) -> str:
        return found.digest()

    def get_selection(self, found: Recipe) -> dict[str, Any]:
        return found.selection.canonical()

    def get_training(self, found: Recipe) -> dict[str, Any]:
        return found.training.canonical()


class RecipeList(Listed):
    """All recipes on one page."""

    results = RecipeBody(many=True)


def _selection(request: Request) -> Selection:
    body = SelectionRequest(data=request.data)
    body.is_valid(raise_exception=True)
    return Selection.of(dict(body.validated_data))


class Snapshots(LibraryView):
    """The snapshots of the library, and taking another."""

    required_role = Membership.Role.CURATOR

    @extend_schema(
        operation_id="snapshots_list",
        parameters=[OpenApiParameter("cursor"), OpenApiParameter("limit", int)],
        responses={200: SnapshotList, **_REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        known_parameters(request)
        pager = ByCursor()
        pager.ordering = "-id"
        page = pager.paginate_queryset(self.library.snapshots.all(), request, view=self)
        return pager.get_paginated_response(SnapshotBody(page, many=True).data)

    @extend_schema(
        operation_id="snapshots_create",
        request=SelectionRequest,
        responses={202: JobBody, **_REFUSALS},
    )
    def post(self, request: Request, slug: str) -> Response:
        selection = _selection(request)
        criteria.check_criteria(self.library, selection)
        job = jobs.enqueue(
            JobKind.SNAPSHOT,
            library=self.library,
            arguments={"selection": selection.canonical()},
            by_id=request.user.pk,
        )
        return Response(JobBody(job).data, status=202)


class SnapshotPreview(LibraryView):
    """Preview of a snapshot of a selection; writes nothing."""

    required_role = Membership.Role.CURATOR

    @extend_schema(
        operation_id="snapshots_preview",
        request=SelectionRequest,
        responses={200: OpenApiTypes.OBJECT, **_REFUSALS},
    )
    def post(self, request: Request, slug: str) -> Response:
        return Response(asdict(preview_selection(self.library, _selection(request))))


class SnapshotDetail(LibraryView):
    """One snapshot."""

    required_role = Membership.Role.CURATOR

    @extend_schema(
        operation_id="snapshots_read",
        parameters=[OpenApiParameter("number", _NUMBER, "path")],
        responses={200: SnapshotBody, **_REFUSALS},
    )
    def get(self, request: Request, slug: str, number: int) -> Response:
        known_parameters(request)
        found = self.library.snapshots.filter(number=number).first()
        if found is None:
            raise Http404(f"no snapshot {number} in this library")
        return Response(SnapshotBody(found).data)


class Recipes(LibraryView):
    """The recipes."""

    required_role = Membership.Role.CURATOR

    @extend_schema(operation_id="recipes_list", responses={200: RecipeList, **_REFUSALS})
    def get(self, request: Request, slug: str) -> Response:
        known_parameters(request)
        found = [RecipeBody(one).data for one in recipes.listing()]
        return Response({"results": found, "next": None})


class RecipeTraining(LibraryView):
    """Training by a recipe; a running training is returned instead."""

    required_role = Membership.Role.MANAGER

    @extend_schema(
        operation_id="recipes_train", request=None, responses={202: JobBody, **_REFUSALS}
    )
    def post(self, request: Request, slug: str, recipe: str) -> Response:
        try:
            recipes.find_recipe(recipe)
        except BadInput as error:
            raise Http404(str(error)) from error
        job = retraining.request_recipe(self.library, recipe, by_id=request.user.pk)
        if job is None:
            raise BadInput("no track of this library has audio: import some first")
        return Response(JobBody(job).data, status=202)
