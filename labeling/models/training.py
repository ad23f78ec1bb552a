"""Training runs, their models, and the decisions on promotion."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from labeling.models.base import Travelling
from labeling.models.catalogue import Library
from labeling.models.dataset import FeatureSet, Snapshot
from labeling.models.jobs import Job


class RunGroup(Travelling):
    """Runs of one configuration that differ in one thing, evaluated on the same tracks."""

    class Kind(models.TextChoices):
        CRITERIA = "criteria", "Everybody, legacy, current"

    library = models.ForeignKey(Library, on_delete=models.PROTECT, related_name="run_groups")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    facts = models.JSONField(default=dict, help_text="What all runs of it have in common.")
    result = models.JSONField(default=dict, help_text="Figures of each arm, differences.")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ({self.pk})"


class TrainingRun(Travelling):
    """One attempt to train: snapshot, configuration, seed, training history, outcome."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    library = models.ForeignKey(Library, on_delete=models.PROTECT, related_name="runs")
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="runs")
    feature_set = models.ForeignKey(FeatureSet, on_delete=models.PROTECT, related_name="runs")
    job = models.ForeignKey(Job, on_delete=models.PROTECT, null=True, related_name="runs")
    group = models.ForeignKey(
        RunGroup, on_delete=models.PROTECT, null=True, blank=True, related_name="runs"
    )
    arm = models.CharField(
        max_length=12, blank=True, help_text="What sets it apart in its group."
    )
    network = models.CharField(max_length=40)
    config = models.JSONField()
    config_hash = models.CharField(max_length=64)
    seed = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    reason = models.TextField(blank=True)
    epochs = models.JSONField(default=list, help_text="Figures of each epoch.")
    metrics = models.JSONField(default=dict)
    baseline = models.JSONField(default=dict)
    versions = models.JSONField(default=dict)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["library", "-started_at"], name="run_library")]

    def __str__(self) -> str:
        return f"run {self.pk} ({self.network})"


class ModelVersion(Travelling):
    """The weights of a finished run. One is the champion of its library."""

    class State(models.TextChoices):
        CANDIDATE = "candidate"
        CHAMPION = "champion"
        RETIRED = "retired"

    library = models.ForeignKey(Library, on_delete=models.PROTECT, related_name="models")
    number = models.PositiveIntegerField()
    run = models.OneToOneField(TrainingRun, on_delete=models.PROTECT, related_name="model")
    state = models.CharField(max_length=10, choices=State.choices, default=State.CANDIDATE)
    folder = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    label_uids = models.JSONField()
    thresholds = models.JSONField()
    calibration = models.JSONField()
    metrics = models.JSONField()
    baseline = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["library", "number"], name="model_once"),
            models.UniqueConstraint(
                fields=["library"], name="model_one_champion", condition=Q(state="champion")
            ),
        ]

    def __str__(self) -> str:
        return f"model {self.number}"


class PromotionEvent(models.Model):
    """A promotion, rejection or rollback, with the metrics that decided."""

    class Kind(models.TextChoices):
        PROMOTED = "promoted"
        REFUSED = "refused"
        ROLLED_BACK = "rolled_back"

    library = models.ForeignKey(Library, on_delete=models.PROTECT, related_name="promotions")
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="promotions"
    )
    previous = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, null=True, related_name="+"
    )
    kind = models.CharField(max_length=12, choices=Kind.choices)
    reason = models.TextField()
    figures = models.JSONField(default=dict)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True
    )
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.model_version}"


class PredictionSet(models.Model):
    """The predictions of a model for every track: a float16 array on disk, label-major."""

    model_version = models.OneToOneField(
        ModelVersion, on_delete=models.PROTECT, related_name="prediction_set"
    )
    file = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    index_file = models.CharField(max_length=200, help_text="Track ids, in column order.")
    label_uids = models.JSONField()
    tracks = models.PositiveIntegerField()
    features_hash = models.CharField(
        max_length=64, blank=True, help_text="Of which features of which tracks were read."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"predictions of {self.model_version}"
