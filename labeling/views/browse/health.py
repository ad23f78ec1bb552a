"""`/healthz`: whether this process can serve requests, and whether background work runs."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from labeling import health

#: Without these no page works; the others leave pages working and work waiting.
_VITAL = {"database", "migrations"}


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 if pages work, else 503; with `?strict=1`, 503 if background work would wait.

    The answer never contains an address or a path, because anyone may ask.
    """
    found = health.checks((health.database, health.migrations, health.workers))
    checks = {check.name.replace(" ", "_"): check.ok for check in found}
    if not all(ok for name, ok in checks.items() if name in _VITAL):
        status = "down"
    else:
        status = "ok" if all(checks.values()) else "degraded"
    is_strict = request.GET.get("strict") == "1"
    fails = status == "down" or (is_strict and status != "ok")
    return JsonResponse({"status": status, "checks": checks}, status=503 if fails else 200)


urlpatterns = [path("healthz", healthz, name="healthz")]
