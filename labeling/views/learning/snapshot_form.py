"""The form that selects the answers of a snapshot."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Q

from labeling.errors import BadInput
from labeling.loop.datasets import selection as selecting
from labeling.loop.datasets.selection import Selection
from labeling.models import Library
from labeling.templatetags.formats import day
from ml.consistency.consensus import AGGREGATIONS

_CRITERIA = (
    ("all", "all answers"),
    ("current", "answers by the current criteria"),
    ("legacy", "legacy answers: all others"),
)
#: Sources that something writes today; the API and the command accept the others too.
_SOURCES = {
    "judgement": "given on the annotation page",
    "imported": "imported",
}
_NEGATIVES = (
    ("first-use", "a no once this annotator has used the label (careful)"),
    ("closed", "always a no (the catalogue was complete from the start)"),
    ("open", "never a no (learn from given labels only)"),
)
_OTHERS = (
    ("keep", "leave rare labels out"),
    ("fold", "merge rare labels into Others"),
    ("drop", "leave rare labels and Others out"),
)
_AGGREGATIONS = (
    ("facet", "by facet: one accuracy per person; what they cannot settle stays open"),
    ("one-coin", "label by label: one accuracy per person and label"),
    ("majority", "by majority of the votes for each label"),
    ("plurality", "by the labels with the most votes"),
)
_MAIN = ("criteria", "facets", "annotators", "since", "until")
_UPLOADS_SHOWN = 30


def _day(**kwargs: Any) -> forms.DateField:
    return forms.DateField(
        required=False, widget=forms.DateInput(attrs={"type": "date"}), **kwargs
    )


def _several(**kwargs: Any) -> forms.MultipleChoiceField:
    kwargs.setdefault("help_text", "Choose none for all.")
    return forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, **kwargs
    )


class SnapshotForm(forms.Form):
    """A selection of answers; empty means all."""

    criteria = forms.ChoiceField(
        required=False,
        choices=_CRITERIA,
        help_text=(
            "A current curator is an active person who has answered under the guideline in "
            "force. Their current criteria start with their last declared criteria change."
        ),
    )
    facets = _several()
    annotators = _several()
    since = _day(label="From")
    until = _day(
        label="Until",
        help_text="UTC days, both included. Answers without a date count as the oldest.",
    )
    guidelines = _several(label="Guideline versions")
    sources = _several(label="Source of the answers")
    batches = _several(label="Uploads")
    negatives = forms.ChoiceField(
        label="An empty cell of an import counts as",
        choices=_NEGATIVES,
        help_text="This concerns imports only: the annotation page records each no.",
    )
    others = forms.ChoiceField(label="Rare labels", choices=_OTHERS)
    top_labels = forms.IntegerField(
        label="Most frequent labels to keep",
        required=False,
        min_value=0,
        help_text="Per facet; the other labels count as rare. Leave empty to keep all.",
    )
    min_support = forms.IntegerField(
        label="Fewest positive answers per label", min_value=1, initial=5
    )
    aggregation = forms.ChoiceField(
        label="Answers of several people are combined",
        required=False,
        choices=_AGGREGATIONS,
        help_text="A track with one answer keeps it.",
    )

    def __init__(self, library: Library, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.library = library
        for name, values in _choices(library).items():
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)  # noqa: S101 - tells the type checker
            field.choices = values
        if not _uploads(library):
            del self.fields["batches"]

    @property
    def main_fields(self) -> list[forms.BoundField]:
        """The fields that most people need."""
        return [self[name] for name in _MAIN]

    @property
    def more_fields(self) -> list[forms.BoundField]:
        """The rest."""
        return [self[name] for name in self.fields if name not in _MAIN]

    @property
    def is_more_open(self) -> bool:
        """Say whether one of the rest was chosen or is wrong."""
        return any(
            field.errors or field.name in self.changed_data for field in self.more_fields
        )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                selecting.check_selection(self.library, self.selection())
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
            guidelines=tuple(int(number) for number in values["guidelines"]),
            sources=tuple(values["sources"]),
            batches=tuple(int(number) for number in values.get("batches", ())),
            criteria=values["criteria"] or "all",
            negatives=values["negatives"],
            others=values["others"],
            top_labels=values["top_labels"] or 0,
            min_support=values["min_support"],
            aggregation=values["aggregation"] or AGGREGATIONS[0],
        )


def _choices(library: Library) -> dict[str, list[tuple[str, str]]]:
    return {
        "facets": [(f.name_key, f.name) for f in library.facets.all()],
        "annotators": [
            (one.name_key, f"{one.name} ({one.get_kind_display()})")
            for one in library.annotators.in_use().exclude(kind="model")
        ],
        "guidelines": [
            (str(one.number), f"version {one.number}" if one.number else "unknown (imported)")
            for one in library.guidelines.exclude(published_at=None)
        ],
        "sources": list(_SOURCES.items()),
        "batches": _uploads(library),
    }


def _uploads(library: Library) -> list[tuple[str, str]]:
    started = Q(job__isnull=False) | Q(stored_as="")
    rows = library.imports.filter(started, is_dry_run=False, undone_at=None).order_by("-pk")
    return [
        (str(one.pk), f"{one.pk}: {one.file_name}, {day(one.created_at)}")
        for one in rows[:_UPLOADS_SHOWN]
    ]
