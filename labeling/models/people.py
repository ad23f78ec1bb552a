"""Annotators, guideline versions and declared criteria changes."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from labeling.models.base import NamedRow, Travelling, WithdrawableQuerySet
from labeling.models.catalogue import Library
from labeling.models.taxonomy import Facet, Label


class Annotator(NamedRow, Travelling):
    """A person or a source whose answers are kept separate from everybody else's."""

    class Kind(models.TextChoices):
        PERSON = "person"
        LEGACY = "legacy"
        PARTNER = "partner"
        MODEL = "model"
        REFERENCE = "reference"

    library = models.ForeignKey(Library, on_delete=models.PROTECT, related_name="annotators")
    name = models.CharField(max_length=150)
    name_key = models.CharField(max_length=150)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.PERSON)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="annotators",
    )
    same_as = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True)
    served = models.PositiveBigIntegerField(
        default=0, help_text="Tracks presented so far; places the next one among the strata."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(
        null=True, blank=True, help_text="When the import that created it was undone."
    )

    objects = WithdrawableQuerySet["Annotator"].as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["library", "name_key"], name="annotator_once"),
            models.UniqueConstraint(
                fields=["library", "user"],
                name="annotator_user_once",
                condition=models.Q(user__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class GuidelineVersion(models.Model):
    """The criteria in force from `published_at`; number 0 means unknown (imported)."""

    library = models.ForeignKey(Library, on_delete=models.PROTECT, related_name="guidelines")
    number = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    published_at = models.DateTimeField(null=True, blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["library", "number"], name="guideline_once")
        ]

    def __str__(self) -> str:
        return f"guideline {self.number}" if self.number else "guideline unknown"


class Receipt(models.Model):
    """An annotator has read a guideline version."""

    guideline = models.ForeignKey(
        GuidelineVersion, on_delete=models.PROTECT, related_name="receipts"
    )
    annotator = models.ForeignKey(Annotator, on_delete=models.PROTECT, related_name="receipts")
    acknowledged_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["guideline", "annotator"], name="receipt_once")
        ]

    def __str__(self) -> str:
        return f"{self.annotator} read {self.guideline}"


class EraCut(models.Model):
    """A criteria change: from this moment on, an annotator applies different criteria."""

    class Kind(models.TextChoices):
        DECLARED = "declared"
        DETECTED = "detected"

    annotator = models.ForeignKey(Annotator, on_delete=models.PROTECT, related_name="era_cuts")
    at = models.DateTimeField()
    facet = models.ForeignKey(Facet, on_delete=models.PROTECT, null=True, blank=True)
    label = models.ForeignKey(Label, on_delete=models.PROTECT, null=True, blank=True)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.DECLARED)
    reason = models.TextField(blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["at"]

    def __str__(self) -> str:
        return f"{self.annotator} from {self.at:%Y-%m-%d}"
