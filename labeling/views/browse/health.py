"""`/healthz`: may this process be sent requests, and does background work get done?"""

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
    """Answer 200 while pages work, 503 else; `?strict=1` also where work would wait.

    Says only what is ok, never an address or a path: anyone may ask.
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
