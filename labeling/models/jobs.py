"""Background work. The row of a job is the truth; a message only wakes a worker."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from labeling.models.base import Travelling
from labeling.models.catalogue import Library


class JobKind(models.TextChoices):
    """The kinds of jobs, in the order of the loop."""

    IMPORT = "import", "Import a catalogue"
    UNDO_IMPORT = "undo_import", "Undo an import"
    PROBE = "probe", "Listen to new files"
    FEATURES = "features", "Compute features"
    CONSISTENCY = "consistency", "Measure consistency"
    SNAPSHOT = "snapshot", "Take a snapshot"
    TRAIN = "train", "Train and evaluate"
    EVALUATE = "evaluate", "Measure by folds"
    COMPARE = "compare", "Train on everybody, legacy, current"
    PREDICT = "predict", "Predict the pool"
    RANK = "rank", "Rank the queue"


class Job(Travelling):
    """A piece of background work as people see it."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    OPEN = (State.QUEUED, State.RUNNING)

    library = models.ForeignKey(
        Library, on_delete=models.PROTECT, null=True, related_name="jobs"
    )
    kind = models.CharField(max_length=12, choices=JobKind.choices)
    key = models.CharField(
        max_length=120, help_text="Asking twice under one key makes one job."
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    arguments = models.JSONField(default=dict)
    result = models.JSONField(default=dict)
    reason = models.TextField(blank=True)
    message = models.CharField(max_length=300, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    token = models.UUIDField(null=True, help_text="Of the attempt that may commit.")
    attempts = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=3)
    heartbeat_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    queued_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    cancel_requested = models.BooleanField(default=False)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "key"], name="job_key_once"),
            models.UniqueConstraint(
                fields=["library"],
                name="job_one_training",
                condition=Q(kind="train", state__in=["queued", "running"]),
            ),
        ]
        indexes = [
            models.Index(
                fields=["state", "heartbeat_at"],
                name="job_open",
                condition=Q(state__in=["queued", "running"]),
            ),
            models.Index(fields=["library", "-id"], name="job_library"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}: {self.state}"


class JobChunk(models.Model):
    """A part of a long job that one process leases; a killed process costs one chunk."""

    class State(models.TextChoices):
        OPEN = "open"
        LEASED = "leased"
        DONE = "done"
        FAILED = "failed"

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="chunks")
    n = models.PositiveIntegerField()
    arguments = models.JSONField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    token = models.UUIDField(null=True)
    until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    result = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "n"], name="job_chunk_once")]
        indexes = [models.Index(fields=["job", "state", "n"], name="job_chunk_open")]

    def __str__(self) -> str:
        return f"chunk {self.n} of {self.job_id}"


class WorkerBeat(models.Model):
    """A worker process was alive at `beat_at`."""

    name = models.CharField(max_length=120, unique=True)
    queues = models.CharField(max_length=100)
    pid = models.PositiveIntegerField()
    beat_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
