"""Features on disk, and dataset snapshots to train on."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from labeling.models.base import Travelling
from labeling.models.catalogue import AudioFile, Library


class FeatureSet(models.Model):
    """A feature configuration under its hash."""

    name = models.CharField(max_length=40)
    digest = models.CharField(max_length=64, unique=True)
    parameters = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name


class FeatureRow(models.Model):
    """The place of a file's features, or the reason why there are none."""

    class State(models.TextChoices):
        DONE = "done"
        FAILED = "failed"

    feature_set = models.ForeignKey(FeatureSet, on_delete=models.PROTECT, related_name="rows")
    audio = models.ForeignKey(AudioFile, on_delete=models.PROTECT, related_name="features")
    shard = models.CharField(max_length=120, blank=True)
    offset = models.PositiveIntegerField(default=0)
    windows = models.PositiveIntegerField(default=0)
    position = models.PositiveIntegerField(default=0, help_text="Row of the summary.")
    state = models.CharField(max_length=8, choices=State.choices)
    reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["feature_set", "audio"], name="feature_row_once")
        ]
        indexes = [models.Index(fields=["feature_set", "shard"], name="feature_row_shard")]

    def __str__(self) -> str:
        return f"{self.feature_set_id} of {self.audio_id}: {self.state}"


class Snapshot(Travelling):
    """A stored training set: the answers of a selection, by annotator, period and guideline."""

    library = models.ForeignKey(Library, on_delete=models.PROTECT, related_name="snapshots")
    number = models.PositiveIntegerField()
    selection = models.JSONField()
    hash = models.CharField(max_length=64)
    file = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    tracks = models.PositiveIntegerField()
    annotations = models.PositiveIntegerField()
    label_uids = models.JSONField()
    split = models.JSONField()
    facts = models.JSONField(
        default=dict, help_text="Who said how much, and what the words of the selection meant."
    )
    taken_at = models.DateTimeField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True
    )

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["library", "hash"], name="snapshot_hash_once"),
            models.UniqueConstraint(fields=["library", "number"], name="snapshot_number_once"),
        ]

    def __str__(self) -> str:
        return f"snapshot {self.number}"
