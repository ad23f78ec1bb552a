"""The pages and the interface for programs."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver

from labeling.views import (
    annotate,
    audio,
    consistency,
    guidelines,
    health,
    home,
    imports,
    jobs,
    models,
    recipes,
    reports,
    settings,
    snapshots,
    taxonomy,
    track,
    tracks,
)

urlpatterns: list[URLPattern | URLResolver] = [
    *annotate.urlpatterns,
    *audio.urlpatterns,
    *health.urlpatterns,
    *home.urlpatterns,
    *imports.urlpatterns,
    *track.urlpatterns,
    *tracks.urlpatterns,
    *jobs.urlpatterns,
    *models.urlpatterns,
    *recipes.urlpatterns,
    *settings.urlpatterns,
    *reports.urlpatterns,
    *snapshots.urlpatterns,
    *consistency.urlpatterns,
    *guidelines.urlpatterns,
    *taxonomy.urlpatterns,
]
