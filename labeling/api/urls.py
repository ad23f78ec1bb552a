"""`/api/v1/`."""

from __future__ import annotations

from django.urls import include, path, register_converter
from django.urls.converters import StringConverter
from drf_spectacular.views import SpectacularAPIView

from labeling.api import queue, reading, reports
from labeling.api.annotations import Annotations, Undo
from labeling.api.base import nothing_here
from labeling.api.selections import (
    Recipes,
    RecipeTraining,
    SnapshotDetail,
    SnapshotPreview,
    Snapshots,
)


class Anything(StringConverter):
    """The rest of an address, line breaks and all."""

    regex = r"[\s\S]+"


register_converter(Anything, "anything")

_library = [
    path("queue/next/", queue.NextTrack.as_view()),
    path("queue/skip/", queue.SkipTrack.as_view()),
    path("queue/skip/undo/", queue.UndoSkip.as_view()),
    path("queue/release/", queue.ReleaseTrack.as_view()),
    path("queue/heartbeat/", queue.LeaseHeartbeat.as_view()),
    path("annotations/", Annotations.as_view()),
    path("annotations/<uuid:uid>/undo/", Undo.as_view()),
    path("tracks/", reading.Tracks.as_view()),
    path("tracks/<int:pk>/", reading.TrackDetail.as_view()),
    path("labels/", reading.Labels.as_view()),
    path("models/", reading.Models.as_view()),
    path("models/<int:number>/report/", reports.ModelReport.as_view()),
    path("models/compare/", reports.ModelComparison.as_view()),
    path("recipes/", Recipes.as_view()),
    path("recipes/<slug:recipe>/train/", RecipeTraining.as_view()),
    path("snapshots/", Snapshots.as_view()),
    path("snapshots/preview/", SnapshotPreview.as_view()),
    path("snapshots/<int:number>/", SnapshotDetail.as_view()),
    path("jobs/<int:pk>/", reading.JobDetail.as_view()),
    path("consistency/", reading.Consistency.as_view()),
]

urlpatterns = [
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("libraries/<slug:slug>/", include(_library)),
    path("<anything:rest>", nothing_here),
]
