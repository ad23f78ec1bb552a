"""The undo of an import: a preview in numbers, and a confirmation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from labeling.errors import BadInput
from labeling.loop.importing.undo import undoing
from labeling.models import Library, Membership
from labeling.permissions import library_page
from labeling.views.manage.import_mapping import batch_of

_KEPT_SHOWN = 50
_WORDS = (
    ("answers", "answers taken back"),
    ("tracks", "tracks withdrawn"),
    ("labels", "labels withdrawn"),
    ("annotators", "annotators withdrawn"),
    ("facts", "tracks with their former facts"),
)


def undo_figures(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of an undo, and what it keeps, for a template."""
    kept = report.get("kept", [])
    return {
        "figures": [(words, report[name]) for name, words in _WORDS if name in report],
        "kept": kept[:_KEPT_SHOWN],
        "n_kept": len(kept) + report.get("kept_omitted", 0),
    }


@library_page(Membership.Role.MANAGER)
@require_http_methods(["GET", "HEAD", "POST"])
def undo_page(request: HttpRequest, library: Library, batch_id: int) -> HttpResponse:
    """Show what an undo would take back, and ask for it when it is confirmed."""
    batch = batch_of(library, batch_id)
    try:
        if request.method == "POST":
            undoing.request_undo(batch, by_id=request.user.pk)
            return redirect("import_batch", library.slug, batch.pk)
        report = undoing.preview_undo(batch)
    except BadInput as error:
        messages.error(request, f"{str(error)[0].upper()}{str(error)[1:]}.")
        return redirect("import_batch", library.slug, batch.pk)
    context = {"library": library, "batch": batch, "undo": undo_figures(report)}
    return render(request, "labeling/imports_undo.html", context)
