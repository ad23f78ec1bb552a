"""The Snapshots page: which answers were frozen, and freezing another selection."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods

from labeling import jobs
from labeling.loop import selection as selecting
from labeling.loop.errors import BadInput
from labeling.loop.selection import Selection
from labeling.models import Library, Membership
from labeling.models.jobs import JobKind
from labeling.permissions import library_page

_NEGATIVES = (
    ("first-use", "a no from the first time that annotator used the label (careful)"),
    ("closed", "always a no (the catalogue was complete from the start)"),
    ("open", "never a no (learn from what was ticked alone)"),
)
_OTHERS = (
    ("keep", "leave rare labels out"),
    ("fold", "unite rare labels as Others"),
    ("drop", "leave rare labels and Others out"),
)


class SnapshotForm(forms.Form):
    """A selection of answers; empty means all."""

    facets = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, help_text="None ticked: all."
    )
    annotators = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, help_text="None ticked: all."
    )
    since = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="Both days are included. Answers without a date count as the oldest.",
    )
    guideline = forms.ChoiceField(required=False)
    negatives = forms.ChoiceField(
        label="A blank in an imported answer is",
        choices=_NEGATIVES,
        help_text="Answers given in the page always say what was not ticked.",
    )
    others = forms.ChoiceField(label="Rare labels", choices=_OTHERS)
    min_support = forms.IntegerField(
        label="Fewest positive answers of a label", min_value=1, initial=5
    )

    def __init__(self, library: Library, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.library = library
        choices = {
            "facets": [(f.name_key, f.name) for f in library.facets.all()],
            "annotators": [
                (one.name_key, f"{one.name} ({one.get_kind_display()})")
                for one in library.annotators.exclude(kind="model")
            ],
            "guideline": [("", "any")]
            + [
                (
                    str(one.number),
                    f"version {one.number}" if one.number else "unknown (imported)",
                )
                for one in library.guidelines.exclude(published_at=None)
            ],
        }
        for name, values in choices.items():
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)  # noqa: S101 - tells the type checker
            field.choices = values

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                selecting.check(self.library, self.selection())
            except BadInput as error:
                raise forms.ValidationError(str(error)) from error
        return cleaned

    def selection(self) -> Selection:
        """Return what was asked for."""
        values = self.cleaned_data
        return Selection(
            facets=tuple(values["facets"]),
            annotators=tuple(values["annotators"]),
            since=values["since"].isoformat() if values["since"] else "",
            until=values["until"].isoformat() if values["until"] else "",
            guideline=int(values["guideline"]) if values["guideline"] else None,
            negatives=values["negatives"],
            others=values["others"],
            min_support=values["min_support"],
        )


@library_page(Membership.Role.CURATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def snapshot_list(request: HttpRequest, library: Library) -> HttpResponse:
    """Show the snapshots and take another."""
    form = SnapshotForm(library, request.POST or None)
    if request.method == "POST" and form.is_valid():
        job = jobs.enqueue(
            JobKind.SNAPSHOT,
            library=library,
            arguments={"selection": form.selection().canonical()},
            by_id=request.user.pk,
        )
        messages.success(
            request, f"The snapshot is being taken (job {job.pk} on the Jobs page)."
        )
        return redirect("snapshots", library.slug)
    snapshots = library.snapshots.select_related("by").prefetch_related("runs__model")
    context = {
        "form": form,
        "snapshots": [
            (
                one,
                in_words(Selection.of(one.selection)),
                one.split.get("train", 0) + one.split.get("validation", 0),
            )
            for one in snapshots
        ],
        "failed": library.jobs.filter(kind=JobKind.SNAPSHOT, state="failed").first(),
    }
    return render(request, "labeling/snapshots.html", context)


def in_words(selection: Selection) -> str:
    """Say what a selection asks for."""
    parts = [
        f"facets {', '.join(selection.facets)}" if selection.facets else "",
        f"by {', '.join(selection.annotators)}" if selection.annotators else "",
        f"from {selection.since}" if selection.since else "",
        f"until {selection.until}" if selection.until else "",
        f"under guideline {selection.guideline}" if selection.guideline is not None else "",
        f"blanks: {selection.negatives}" if selection.negatives != "first-use" else "",
        f"rare labels: {selection.others}" if selection.others != "keep" else "",
        f"labels with at least {selection.min_support} positives",
    ]
    return "; ".join(part for part in parts if part)


urlpatterns = [path("snapshots/<slug:slug>/", snapshot_list, name="snapshots")]
