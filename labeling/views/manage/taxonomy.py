"""The Taxonomy page: the labels of a library, and changes that lose no answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.views.decorators.http import require_POST

from labeling.errors import BadInput
from labeling.loop.library import taxonomy, taxonomy_preview
from labeling.models import Facet, Label, LabelAlias, Library, TaxonomyChange
from labeling.permissions import Role, has_role, library_page
from labeling.views.desk.label_keys import assign_keys, check_hotkey, reserved_in_words
from labeling.views.fields import text_in, whole_number

_CHANGES_SHOWN = 30


@library_page(Role.ANNOTATOR)
def taxonomy_page(request: HttpRequest, library: Library) -> HttpResponse:
    """Show the labels by facet with their use, and the last changes."""
    used = taxonomy_preview.yes_by_label(library)
    facets = []
    for facet in Facet.objects.filter(library=library):
        labels = list(
            facet.labels.in_use().select_related("merged_into").prefetch_related("aliases")
        )
        on_offer = [label for label in labels if _is_on_offer(label)]
        facets.append(
            {
                "facet": facet,
                "on_offer": [
                    {"label": label, "key": key, "yes": used.get(label.pk, 0)}
                    for label, key in zip(on_offer, assign_keys(on_offer), strict=True)
                ],
                "retired": [
                    {"label": label, "yes": used.get(label.pk, 0)}
                    for label in labels
                    if not _is_on_offer(label)
                ],
            }
        )
    context = {
        "library": library,
        "facets": facets,
        "changes": _changes(library),
        "is_curator": has_role(cast(User, request.user), library, Role.CURATOR),
    }
    return render(request, "labeling/taxonomy.html", context)


def _is_on_offer(label: Label) -> bool:
    return label.is_active and label.merged_into_id is None


def _changes(library: Library, label: Label | None = None) -> list[TaxonomyChange]:
    rows = TaxonomyChange.objects.filter(
        label__facet__library=library, label__withdrawn_at__isnull=True
    )
    if label is not None:
        rows = rows.filter(label=label)
    else:  # labels created by an import are not listed one by one
        rows = rows.exclude(kind=TaxonomyChange.Kind.CREATE, by=None)
    return list(rows.select_related("label__facet", "by")[:_CHANGES_SHOWN])


@library_page(Role.CURATOR)
def label_page(request: HttpRequest, library: Library, label_id: int) -> HttpResponse:
    """Show one label, its use, and what a merge would do before it is done."""
    label = _label(library, label_id)
    siblings = Label.objects.filter(
        facet=label.facet, is_active=True, merged_into__isnull=True
    ).exclude(pk=label.pk)
    asked = whole_number(request.GET.get("into"))
    target = siblings.filter(pk=asked).first() if asked is not None else None
    context = {
        "library": library,
        "label": label,
        "usage": taxonomy_preview.usage_of(label),
        "siblings": siblings,
        "target": target,
        "target_usage": taxonomy_preview.usage_of(target) if target else None,
        "with_both": taxonomy_preview.answers_with_both(label, target) if target else 0,
        "aliases": LabelAlias.objects.filter(label=label).order_by("vocabulary", "text"),
        "changes": _changes(library, label),
        "reserved_keys": reserved_in_words(),
    }
    return render(request, "labeling/taxonomy_label.html", context)


def _label(library: Library, label_id: int) -> Label:
    return get_object_or_404(
        Label.objects.in_use().select_related("facet", "merged_into"),
        pk=label_id,
        facet__library=library,
    )


@require_POST
@library_page(Role.CURATOR)
def add_label(request: HttpRequest, library: Library) -> HttpResponse:
    """Add a label to a facet."""
    facet = get_object_or_404(
        Facet, library=library, pk=whole_number(request.POST.get("facet")) or 0
    )
    name = text_in(request.POST, "name")
    try:
        label, is_new = taxonomy.get_or_create_label(facet, name, by=cast(User, request.user))
    except BadInput as error:
        messages.error(request, str(error))
        return redirect("taxonomy", slug=library.slug)
    if is_new:
        messages.success(request, f"{label.name} is offered from the next track on.")
    else:
        messages.warning(request, f"{name.strip()!r} already exists as {label.name}.")
    return redirect("taxonomy_label", slug=library.slug, label_id=label.pk)


@require_POST
@library_page(Role.CURATOR)
def change_taxonomy(request: HttpRequest, library: Library, label_id: int) -> HttpResponse:
    """Change one label, as the button says."""
    label = _label(library, label_id)
    action = ACTIONS.get(request.POST.get("action", ""))
    try:
        if action is None:
            raise BadInput("this change does not exist: load the page again")
        messages.success(request, action(request, label))
    except BadInput as error:
        messages.error(request, str(error))
    return redirect("taxonomy_label", slug=library.slug, label_id=label.pk)


def _rename(request: HttpRequest, label: Label) -> str:
    name = text_in(request.POST, "name")
    taxonomy.rename(label, name, by=cast(User, request.user))
    return f"{label.name} is called {name.strip()} now. Imports still find it by the old name."


def _describe(request: HttpRequest, label: Label) -> str:
    hotkey = text_in(request.POST, "hotkey").strip()
    if hotkey.lower() != label.hotkey:
        check_hotkey(hotkey)
    taxonomy_preview.describe(
        label, definition=text_in(request.POST, "definition"), hotkey=hotkey
    )
    return f"{label.name} is saved."


def _merge(request: HttpRequest, label: Label) -> str:
    target = Label.objects.filter(
        facet=label.facet, pk=whole_number(request.POST.get("into")) or 0
    ).first()
    if target is None:
        raise BadInput("choose a label to merge into")
    taxonomy.merge(label, target, by=cast(User, request.user))
    return f"{label.name} counts as {target.name} now. No answer was changed."


def _deactivate(request: HttpRequest, label: Label) -> str:
    if not label.is_active:
        raise BadInput(f"{label.name!r} is already not offered")
    taxonomy.set_active(label, False, by=cast(User, request.user))
    return f"{label.name} is no longer offered. Its answers stay."


def _reactivate(request: HttpRequest, label: Label) -> str:
    if label.is_active:
        raise BadInput(f"{label.name!r} is already offered")
    taxonomy.set_active(label, True, by=cast(User, request.user))
    return f"{label.name} is offered again."


ACTIONS: dict[str, Callable[[HttpRequest, Label], str]] = {
    "rename": _rename,
    "describe": _describe,
    "merge": _merge,
    "deactivate": _deactivate,
    "reactivate": _reactivate,
}


@require_POST
@library_page(Role.CURATOR)
def undo_taxonomy_change(
    request: HttpRequest, library: Library, change_id: int
) -> HttpResponse:
    """Undo a change."""
    row = get_object_or_404(TaxonomyChange, pk=change_id, label__facet__library=library)
    try:
        taxonomy.undo_change(row)
        messages.success(request, f"Undone: {row.kind} of {row.label.name}.")
    except BadInput as error:
        messages.error(request, str(error))
    return redirect("taxonomy", slug=library.slug)


urlpatterns = [
    path("taxonomy/<slug:slug>/", taxonomy_page, name="taxonomy"),
    path("taxonomy/<slug:slug>/add/", add_label, name="taxonomy_add"),
    path("taxonomy/<slug:slug>/labels/<int:label_id>/", label_page, name="taxonomy_label"),
    path(
        "taxonomy/<slug:slug>/labels/<int:label_id>/change/",
        change_taxonomy,
        name="taxonomy_change",
    ),
    path(
        "taxonomy/<slug:slug>/changes/<int:change_id>/undo/",
        undo_taxonomy_change,
        name="taxonomy_undo",
    ),
]
