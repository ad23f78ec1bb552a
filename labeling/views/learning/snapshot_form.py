"""The form by which a person chooses answers to freeze."""

from __future__ import annotations

from typing import Any

from django import forms

from labeling.errors import BadInput
from labeling.loop.datasets import selection as selecting
from labeling.loop.datasets.selection import SOURCES, Selection
from labeling.models import Library

_CRITERIA = (
    ("all", "everybody's, of all times"),
    ("current", "the current curator's present ones"),
    ("legacy", "all but those"),
)
_SOURCES = {
    "judgement": "given in the page",
    "imported": "imported",
    "adjudication": "settled between annotators",
    "propagated": "carried over from another mix",
}
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
_MAIN = ("criteria", "facets", "annotators", "since", "until")
_UPLOADS_SHOWN = 30


def _day(**kwargs: Any) -> forms.DateField:
    return forms.DateField(
        required=False, widget=forms.DateInput(attrs={"type": "date"}), **kwargs
    )


def _several(**kwargs: Any) -> forms.MultipleChoiceField:
    kwargs.setdefault("help_text", "None ticked: all.")
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
            "force; their present criteria begin with their last declared change."
        ),
    )
    facets = _several()
    annotators = _several()
    since = _day()
    until = _day(
        help_text="Both are UTC days and included. Answers without a date count as the oldest."
    )
    guidelines = _several(label="Guideline versions")
    sources = _several(label="How answers came about")
    batches = _several(label="Uploads")
    negatives = forms.ChoiceField(
        label="A blank in an imported answer is",
        choices=_NEGATIVES,
        help_text="Answers given in the page always say what was not ticked.",
    )
    others = forms.ChoiceField(label="Rare labels", choices=_OTHERS)
    top_labels = forms.IntegerField(
        label="Most frequent labels that stand by themselves",
        required=False,
        min_value=0,
        help_text="Of each facet, where rare ones are united or left out. Empty: all.",
    )
    min_support = forms.IntegerField(
        label="Fewest positive answers of a label", min_value=1, initial=5
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
        """What most people choose by."""
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
        )


def _choices(library: Library) -> dict[str, list[tuple[str, str]]]:
    return {
        "facets": [(f.name_key, f.name) for f in library.facets.all()],
        "annotators": [
            (one.name_key, f"{one.name} ({one.get_kind_display()})")
            for one in library.annotators.exclude(kind="model")
        ],
        "guidelines": [
            (str(one.number), f"version {one.number}" if one.number else "unknown (imported)")
            for one in library.guidelines.exclude(published_at=None)
        ],
        "sources": [(source, _SOURCES[source]) for source in SOURCES],
        "batches": _uploads(library),
    }


def _uploads(library: Library) -> list[tuple[str, str]]:
    rows = library.imports.filter(is_dry_run=False, job__isnull=False).order_by("-pk")
    return [
        (str(one.pk), f"{one.pk}: {one.file_name}, {one.created_at:%Y-%m-%d}")
        for one in rows[:_UPLOADS_SHOWN]
    ]
