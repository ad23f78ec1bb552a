"""Read tracks, labels, models, jobs and consistency."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.base import ByCursor, LibraryView
from labeling.api.serializers import (
    ErrorBody,
    FacetList,
    JobBody,
    ModelBody,
    ModelList,
    TrackBody,
    TrackDetailBody,
    TrackList,
)
from labeling.errors import BadInput
from labeling.loop import predictions
from labeling.loop.consistency import agreement
from labeling.loop.events import record
from labeling.loop.events.answers import Vocabulary, as_names, everybodys_states
from labeling.loop.serving import blinding
from labeling.models import Annotator, Facet, Job, Label, LabelAlias, Membership, Track
from labeling.names import name_key

_REFUSALS = {400: ErrorBody, 403: ErrorBody, 404: ErrorBody}
_OBJECT = OpenApiTypes.OBJECT


def known_parameters(request: Request, *names: str) -> dict[str, str]:
    """Return the query; refuse other names, which might filter by a relation."""
    unknown = sorted(set(request.query_params) - {*names, "cursor", "limit"})
    if unknown:
        raise BadInput(
            f"unknown parameter {unknown[0]!r} (known: {', '.join(names) or 'none'})"
        )
    asked = {name: request.query_params[name] for name in names if name in request.query_params}
    if any("\0" in value for value in asked.values()):
        raise BadInput("a parameter has a NUL character in it")
    return asked


class Tracks(LibraryView):
    """The tracks of the library."""

    @extend_schema(
        operation_id="tracks_list",
        parameters=[
            OpenApiParameter("state", enum=[one.value for one in Track.SHOWN_STATES]),
            OpenApiParameter("q", description="part of the key, title, album or artist"),
            OpenApiParameter("cursor"),
            OpenApiParameter("limit", int),
        ],
        responses={200: TrackList, **_REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        asked = known_parameters(request, "state", "q")
        every = Track.objects.in_use().filter(library=self.library)
        tracks = every.select_related("audio", "library")
        if "state" in asked:
            if asked["state"] not in Track.SHOWN_STATES:
                raise BadInput(f"state is one of {', '.join(Track.SHOWN_STATES)}")
            tracks = tracks.filter(state=asked["state"])
        if asked.get("q"):
            word = asked["q"]
            tracks = tracks.filter(
                Q(key__icontains=word)
                | Q(title__icontains=word)
                | Q(album__icontains=word)
                | Q(artist__icontains=word)
            )
        pager = ByCursor()
        page = pager.paginate_queryset(tracks, request, view=self)
        return pager.get_paginated_response(TrackBody(page, many=True).data)


class TrackDetail(LibraryView):
    """A track with the caller's own answer; curators see everybody's."""

    @extend_schema(operation_id="tracks_read", responses={200: TrackDetailBody, **_REFUSALS})
    def get(self, request: Request, slug: str, pk: int) -> Response:
        track = (
            Track.objects.in_use()
            .filter(library=self.library, pk=pk)
            .select_related("audio", "library")
            .first()
        )
        if track is None:
            raise Http404(f"no track {pk} in this library")
        vocabulary, own = Vocabulary.of(self.library), self.annotator
        body: dict[str, Any] = dict(TrackBody(track).data)
        body["answer"], body["version"] = record.known_state(vocabulary, own, track)
        if self.sees_others:
            body["answers"] = self._answers(vocabulary, track, own)
            body["suggestions"] = predictions.suggestions_for(self.library, [pk]).get(pk, [])
        return Response(body)

    def _answers(
        self, vocabulary: Vocabulary, track: Track, own: Annotator
    ) -> list[dict[str, Any]]:
        annotators = Annotator.objects.in_use().filter(annotations__track=track).distinct()
        if blinding.is_hidden(own, track):
            annotators = annotators.exclude(pk=own.pk)
        states = everybodys_states(self.library, track.pk)
        return [
            {
                "annotator": annotator.name,
                "kind": annotator.kind,
                **as_names(vocabulary, states.get(annotator.pk, {})),
            }
            for annotator in annotators
        ]


class Labels(LibraryView):
    """The facets and their labels, with keys, definitions and other spellings."""

    @extend_schema(operation_id="labels_list", responses={200: FacetList, **_REFUSALS})
    def get(self, request: Request, slug: str) -> Response:
        known_parameters(request)
        return Response({"results": label_tree(self), "next": None})


def label_tree(view: LibraryView) -> list[dict[str, Any]]:
    """Return the facets with their active labels."""
    facets = list(Facet.objects.filter(library=view.library))
    aliases: dict[int, list[str]] = {}
    rows = LabelAlias.objects.filter(facet__in=facets, vocabulary="")
    for label_id, text in rows.values_list("label_id", "text"):
        aliases.setdefault(label_id, []).append(text)
    labels = Label.objects.filter(facet__in=facets, is_active=True, merged_into__isnull=True)
    tree: dict[int, dict[str, Any]] = {
        facet.pk: {
            "facet": facet.name,
            "min_labels": facet.min_labels,
            "max_labels": facet.max_labels,
            "labels": [],
        }
        for facet in facets
    }
    for label in labels:
        tree[label.facet_id]["labels"].append(
            {
                "uid": str(label.uid),
                "name": label.name,
                "definition": label.definition,
                "hotkey": label.hotkey,
                "aliases": [
                    text
                    for text in aliases.get(label.pk, [])
                    if name_key(text) != label.name_key
                ],
            }
        )
    return list(tree.values())


class Models(LibraryView):
    """The model versions with their metrics and the baseline's, for curators."""

    required_role = Membership.Role.CURATOR

    @extend_schema(
        operation_id="models_list",
        parameters=[OpenApiParameter("cursor"), OpenApiParameter("limit", int)],
        responses={200: ModelList, **_REFUSALS},
    )
    def get(self, request: Request, slug: str) -> Response:
        known_parameters(request)
        pager = ByCursor()
        pager.ordering = "-id"
        models = self.library.models.select_related("run")
        page = pager.paginate_queryset(models, request, view=self)
        return pager.get_paginated_response(ModelBody(page, many=True).data)


class JobDetail(LibraryView):
    """A job and its progress."""

    @extend_schema(operation_id="jobs_read", responses={200: JobBody, **_REFUSALS})
    def get(self, request: Request, slug: str, pk: int) -> Response:
        job = Job.objects.filter(library=self.library, pk=pk).first()
        if job is None:
            raise Http404(f"no job {pk} in this library")
        return Response(JobBody(job).data)


class Consistency(LibraryView):
    """Answers, agreement, self-agreement and drift, as the Consistency page shows them."""

    required_role = Membership.Role.CURATOR

    @extend_schema(operation_id="consistency_read", responses={200: _OBJECT, **_REFUSALS})
    def get(self, request: Request, slug: str) -> Response:
        known_parameters(request)
        return Response(agreement.report(self.library))
