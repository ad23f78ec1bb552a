"""URL configuration: the admin site, the API and the pages."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/v1/", include("labeling.api.urls")),
    path("", include("labeling.urls")),
]
