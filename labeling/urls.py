"""The pages and the API."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver

from labeling.views.browse import consistency, health, home, track, tracks
from labeling.views.desk import audio, page
from labeling.views.learning import experiments, models, reports, snapshots
from labeling.views.manage import guidelines, imports, jobs, settings, taxonomy

urlpatterns: list[URLPattern | URLResolver] = [
    *page.urlpatterns,
    *audio.urlpatterns,
    *health.urlpatterns,
    *home.urlpatterns,
    *imports.urlpatterns,
    *track.urlpatterns,
    *tracks.urlpatterns,
    *jobs.urlpatterns,
    *models.urlpatterns,
    *experiments.urlpatterns,
    *settings.urlpatterns,
    *reports.urlpatterns,
    *snapshots.urlpatterns,
    *consistency.urlpatterns,
    *guidelines.urlpatterns,
    *taxonomy.urlpatterns,
]
