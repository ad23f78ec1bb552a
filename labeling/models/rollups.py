"""Counts by day, kept so that a dashboard never reads all events. Rebuilt from them."""

from __future__ import annotations

import datetime

from django.db import models

from labeling.models.catalogue import Library, Track
from labeling.models.people import Annotator
from labeling.models.taxonomy import Label, LabelSet

#: The day of an answer whose source does not say when it was given.
UNKNOWN_DAY = datetime.date(1, 1, 1)


class AnswerDay(models.Model):
    """Number of independent answers of an annotator under a label set on a day."""

    annotator = models.ForeignKey(Annotator, on_delete=models.PROTECT)
    label_set = models.ForeignKey(LabelSet, on_delete=models.PROTECT)
    day = models.DateField()
    stratum = models.CharField(max_length=12, blank=True)
    n = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["annotator", "label_set", "day", "stratum"], name="answer_day_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.annotator_id} on {self.day}: {self.n}"


class LabelDay(models.Model):
    """Number of yes, unsure and explicit no judgements of an annotator per label and day."""

    annotator = models.ForeignKey(Annotator, on_delete=models.PROTECT)
    label = models.ForeignKey(Label, on_delete=models.PROTECT)
    day = models.DateField()
    stratum = models.CharField(max_length=12, blank=True)
    yes = models.PositiveIntegerField(default=0)
    unsure = models.PositiveIntegerField(default=0)
    no = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["annotator", "label", "day", "stratum"], name="label_day_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.annotator_id} said {self.label_id} on {self.day}"


class PairCell(models.Model):
    """The 2 x 2 table of a label for two annotators, over the tracks that both judged."""

    a = models.ForeignKey(Annotator, on_delete=models.PROTECT, related_name="+")
    b = models.ForeignKey(Annotator, on_delete=models.PROTECT, related_name="+")
    label = models.ForeignKey(Label, on_delete=models.PROTECT)
    both = models.PositiveIntegerField(default=0)
    only_a = models.PositiveIntegerField(default=0)
    only_b = models.PositiveIntegerField(default=0)
    neither = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["a", "b", "label"], name="pair_cell_once"),
            models.CheckConstraint(
                condition=models.Q(a__lt=models.F("b")), name="pair_cell_ordered"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.a_id} and {self.b_id} on {self.label_id}"


class AgreementFigures(models.Model):
    """Cached agreement statistics of a library, with the state they were computed from.

    They are valid while nothing was counted since (`figures_of` equals `counted`), and while
    names, merges and criteria changes (`made_of` is their hash) are the same.
    """

    library = models.OneToOneField(
        Library, on_delete=models.PROTECT, related_name="agreement_figures"
    )
    counted = models.PositiveBigIntegerField(default=0, help_text="Grows with every count.")
    figures_of = models.PositiveBigIntegerField(null=True)
    made_of = models.CharField(max_length=64, blank=True)
    figures = models.JSONField(default=dict)
    computed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "agreement figures"

    def __str__(self) -> str:
        return f"{self.library_id}: agreement as of {self.computed_at or 'never'}"


class DirtyKey(models.Model):
    """A mark that an event was recorded here, so its counts must be computed again."""

    library = models.ForeignKey(Library, on_delete=models.PROTECT)
    annotator = models.ForeignKey(Annotator, on_delete=models.PROTECT)
    track = models.ForeignKey(Track, on_delete=models.PROTECT)
    day = models.DateField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["library", "id"], name="dirty_key_library")]

    def __str__(self) -> str:
        return f"{self.annotator_id} on {self.track_id}, {self.day}"
