"""The report of a model or cross-validation, and the comparison of several."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.views.decorators.http import require_safe

from labeling.errors import BadInput
from labeling.loop.registry import evaluation_records, models
from labeling.loop.serving import blinding
from labeling.models import Evaluation, Library, Membership, ModelVersion
from labeling.permissions import MOST_ID, library_page
from labeling.views.learning import experiments, model_rows, report_rows
from labeling.views.learning.report_rows import ReportQuery

Role = Membership.Role
_MOST_OFFERED = 30


@library_page(Role.CURATOR)
@require_safe
def model_detail(request: HttpRequest, library: Library, number: int) -> HttpResponse:
    """Show one version: its metrics, its mistakes and its training set."""
    version = get_object_or_404(
        library.models.select_related("run__snapshot", "run__feature_set"), number=number
    )
    shown = {
        "row": model_rows.model_row(version),
        "version": version,
        "run": version.run,
        "facts": version.run.config,
        "events": version.promotions.select_related("by", "previous"),
        "arms": experiments.group_of(version.run),
        **_reported(request, library, version),
    }
    return render(request, "labeling/model.html", shown)


def _reported(request: HttpRequest, library: Library, version: ModelVersion) -> dict[str, Any]:
    """Return the report of a model, or else its registered labels."""
    try:
        evaluation = evaluation_records.find_evaluation(library, model=version.number)
        report = evaluation_records.report_of(evaluation)
    except BadInput as error:
        return {
            "no_report": str(error),
            "is_record_gone": evaluation_records.is_record_gone(version),
            "labels": model_rows.model_label_rows(version),
            "course_of_run": model_rows.learning_curve_of(version.run),
        }
    champion = models.champion_of(library)
    hidden = blinding.hidden_from(library, cast(User, request.user))
    return {
        **report_rows.report_context(
            library, report, ReportQuery.of(request.GET.dict()), hidden
        ),
        "evaluation": evaluation,
        "champion": champion if champion and champion.pk != version.pk else None,
    }


@library_page(Role.CURATOR)
@require_safe
def evaluation_detail(request: HttpRequest, library: Library, pk: int) -> HttpResponse:
    """Show a cross-validation: the same report, of models that were not kept."""
    evaluation = get_object_or_404(evaluation_records.evaluations(library), pk=pk)
    try:
        evaluation_records.check_kept(evaluation)
    except BadInput as error:
        messages.info(request, f"The report cannot be shown: {error}.")
        return redirect("models", library.slug)
    try:
        report = evaluation_records.report_of(evaluation)
    except BadInput as error:
        raise Http404(str(error)) from error
    hidden = blinding.hidden_from(library, cast(User, request.user))
    shown = {
        "evaluation": evaluation,
        "name": evaluation_records.name_of(evaluation),
        **report_rows.report_context(
            library, report, ReportQuery.of(request.GET.dict()), hidden
        ),
    }
    return render(request, "labeling/evaluation.html", shown)


def chosen(library: Library, query: QueryDict) -> list[Evaluation]:
    """Return the evaluations that an address names: run=, model= or evaluation=, in order."""
    found = [
        evaluation_records.find_evaluation(library, **{_NAMES[name]: _number(text)})
        for name in _NAMES
        for text in query.getlist(name)
    ]
    return list(dict.fromkeys(found))


_NAMES = {"model": "model", "run": "run", "evaluation": "pk"}


def _number(text: str) -> int:
    if not (text.isdecimal() and int(text) <= MOST_ID):
        raise BadInput(f"{text!r} is not the number of a run")
    return int(text)


@library_page(Role.CURATOR)
@require_safe
def compare_page(request: HttpRequest, library: Library) -> HttpResponse:
    """Set runs side by side on the tracks that all of them held out."""
    offered = evaluation_records.with_records(library)[:_MOST_OFFERED]
    shown: dict[str, Any] = {
        "offered": [(one, evaluation_records.name_of(one)) for one in offered],
        "most": evaluation_records.MOST_COMPARED,
    }
    try:
        runs = chosen(library, request.GET)
        shown["chosen"] = [one.pk for one in runs]
        if len(runs) > 1:
            shown |= compared_context(library, runs)
    except BadInput as error:
        shown["problem"] = str(error)
    return render(request, "labeling/compare.html", shown)


def compared_context(library: Library, runs: list[Evaluation]) -> dict[str, Any]:
    """Return everything that the templates of a comparison show."""
    found = evaluation_records.compare_evaluations(runs)
    reports = [evaluation_records.report_of(one) for one in runs]
    return {
        "found": found,
        "runs": [
            {
                "evaluation": one,
                "name": evaluation_records.name_of(one),
                "version": getattr(one.run, "model", None) if one.run else None,
                "report": report,
                "compared": run,
                "differing": differing,
                "tracks": tracks,
            }
            for one, report, run, differing, tracks in zip(
                runs, reports, found["runs"], found["differing"], found["tracks"], strict=True
            )
        ],
        "headline_rows": report_rows.headline_rows(found),
        "difference_rows": report_rows.difference_rows(found),
        "widest": report_rows.widest(found),
        "curve_rows": report_rows.compared_curves(found),
        "decisions": _decisions(library, runs),
    }


def _decisions(library: Library, runs: list[Evaluation]) -> list[Any]:
    """Return what was decided about the models shown, the newest first."""
    pks = [one.run.model.pk for one in runs if one.run and hasattr(one.run, "model")]
    rows = library.promotions.filter(model_version_id__in=pks)
    return list(rows.select_related("model_version", "previous", "by")[:_MOST_OFFERED])


urlpatterns = [
    path("models/<slug:slug>/<int:number>/", model_detail, name="model"),
    path("models/<slug:slug>/compare/", compare_page, name="compare_models"),
    path("models/<slug:slug>/evaluations/<int:pk>/", evaluation_detail, name="evaluation"),
]
