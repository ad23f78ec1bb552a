"""Annotations as append-only events, and the current answers that follow from them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from labeling.models.base import Travelling
from labeling.models.catalogue import Library, Track
from labeling.models.imports import ImportBatch
from labeling.models.people import Annotator, GuidelineVersion
from labeling.models.queue import Presentation
from labeling.models.taxonomy import Facet, Label, LabelSet


class Annotation(Travelling):
    """One submission of one annotator on one track. Never changed, never deleted."""

    class Kind(models.TextChoices):
        JUDGEMENT = "judgement"
        REVISION = "revision"
        RETRACTION = "retraction"
        PROPAGATED = "propagated"
        ADJUDICATION = "adjudication"
        IMPORTED = "imported"
        AUTOMATIC = "automatic"

    #: Kinds of independent annotations: only these count for consistency.
    INDEPENDENT = (Kind.JUDGEMENT, Kind.IMPORTED)
    #: Prefix of the idempotency key of an event that an import wrote.
    IMPORT_KEY = "import:"
    #: Prefix of the idempotency key of a retraction that undoes an import.
    UNDO_KEY = "undo-import:"

    library = models.ForeignKey(Library, on_delete=models.PROTECT, related_name="annotations")
    track = models.ForeignKey(Track, on_delete=models.PROTECT, related_name="annotations")
    annotator = models.ForeignKey(
        Annotator, on_delete=models.PROTECT, related_name="annotations"
    )
    presentation = models.ForeignKey(
        Presentation, on_delete=models.PROTECT, null=True, related_name="annotations"
    )
    kind = models.CharField(max_length=12, choices=Kind.choices)
    revises = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, related_name="revised_by"
    )
    derived_from = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, related_name="derived"
    )
    guideline = models.ForeignKey(GuidelineVersion, on_delete=models.PROTECT)
    stratum = models.CharField(
        max_length=12, blank=True, help_text="Why it was served; empty: not served."
    )
    answered_at = models.DateTimeField(null=True, help_text="Null: the source does not say.")
    recorded_at = models.DateTimeField(auto_now_add=True)
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True
    )
    decision_time_s = models.FloatField(null=True)
    note = models.TextField(blank=True)
    extra = models.JSONField(
        null=True, blank=True, help_text="Columns of the catalogue that belong to this answer."
    )
    batch = models.ForeignKey(
        ImportBatch,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="annotations",
        help_text="The upload that it came with; null: none.",
    )
    idempotency_key = models.CharField(max_length=100)
    request_hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["annotator", "idempotency_key"], name="annotation_idempotency_once"
            ),
            models.CheckConstraint(
                condition=Q(revises__isnull=False) | ~Q(kind__in=["revision", "retraction"]),
                name="annotation_revises_something",
            ),
            models.CheckConstraint(
                condition=Q(derived_from__isnull=False) | ~Q(kind="propagated"),
                name="annotation_derived_from_something",
            ),
        ]
        indexes = [
            models.Index(fields=["track", "annotator"], name="annotation_track"),
            models.Index(fields=["annotator", "answered_at"], name="annotation_time"),
            models.Index(fields=["library", "recorded_at"], name="annotation_recorded"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.annotator_id} on {self.track_id}"


class Answer(models.Model):
    """The part of an annotation about one facet; if complete, labels not given count as no."""

    annotation = models.ForeignKey(Annotation, on_delete=models.PROTECT, related_name="answers")
    facet = models.ForeignKey(Facet, on_delete=models.PROTECT)
    label_set = models.ForeignKey(LabelSet, on_delete=models.PROTECT)
    is_complete = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["annotation", "facet"], name="answer_facet_once")
        ]

    def __str__(self) -> str:
        return f"{self.facet_id} in {self.annotation_id}"


class Judgement(models.Model):
    """Yes, unsure or an explicit no, for one label of an answer."""

    YES, UNSURE, NO = 1, 0, -1

    answer = models.ForeignKey(Answer, on_delete=models.PROTECT, related_name="judgements")
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="judgements")
    value = models.SmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["answer", "label"], name="judgement_once"),
            models.CheckConstraint(
                condition=Q(value__in=[-1, 0, 1]), name="judgement_value_three_valued"
            ),
        ]
        indexes = [models.Index(fields=["label", "answer"], name="judgement_label")]

    def __str__(self) -> str:
        return f"{self.label_id}: {self.value:+d}"


class CurrentAnswer(models.Model):
    """The current answer per annotator, track and facet; rebuilt by replaying the events."""

    annotator = models.ForeignKey(Annotator, on_delete=models.PROTECT)
    track = models.ForeignKey(Track, on_delete=models.PROTECT, related_name="current_answers")
    facet = models.ForeignKey(Facet, on_delete=models.PROTECT)
    answer = models.ForeignKey(Answer, on_delete=models.PROTECT, null=True)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["track", "facet", "annotator"], name="current_answer_once"
            )
        ]
        indexes = [models.Index(fields=["annotator", "track"], name="current_answer_annotator")]

    def __str__(self) -> str:
        return f"{self.annotator_id} on {self.track_id}, {self.facet_id}"
