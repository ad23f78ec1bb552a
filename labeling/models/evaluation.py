"""Evaluation records: predictions of runs for tracks that they were not trained on."""

from __future__ import annotations

from django.db import models

from labeling.models.base import Travelling
from labeling.models.catalogue import Library
from labeling.models.jobs import Job
from labeling.models.training import TrainingRun


class Evaluation(Travelling):
    """The record of one run, or of one cross-validation, from which its report is computed."""

    class Side(models.TextChoices):
        AUDIT = "audit"
        FOLDS = "folds"

    library = models.ForeignKey(Library, on_delete=models.PROTECT, related_name="evaluations")
    run = models.OneToOneField(
        TrainingRun, on_delete=models.PROTECT, null=True, related_name="evaluation"
    )
    job = models.ForeignKey(Job, on_delete=models.PROTECT, null=True, related_name="+")
    side = models.CharField(max_length=8, choices=Side.choices)
    network = models.CharField(max_length=40)
    folder = models.CharField(max_length=200, help_text="Below the folder of models.")
    sha256 = models.CharField(max_length=64, help_text="Of the record's file.")
    answers_hash = models.CharField(
        max_length=64, help_text="Of the held-out tracks and what was judged of them."
    )
    tracks = models.PositiveIntegerField()
    verdict = models.CharField(max_length=120)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"evaluation {self.pk} ({self.network}, {self.side})"
