"""Rounds, their queue items, and the presentations of tracks to annotators."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Case, F, Q, Value, When

from labeling.models.catalogue import Library, Track
from labeling.models.people import Annotator, GuidelineVersion
from labeling.models.training import ModelVersion


class Stratum(models.TextChoices):
    """The reason why a track is served. Only the first three may measure people."""

    AUDIT = "audit"
    OVERLAP = "overlap"
    REPEAT = "repeat"
    EXPLORE = "explore"
    ACQUIRE = "acquire"
    DIRECT = "direct"


class Round(models.Model):
    """One ranking of the pool; a library serves from its live round."""

    class State(models.TextChoices):
        BUILDING = "building"
        LIVE = "live"
        RETIRED = "retired"

    library = models.ForeignKey(Library, on_delete=models.PROTECT, related_name="rounds")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.BUILDING)
    strategy = models.CharField(max_length=40)
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True)
    audit_cursor = models.BigIntegerField(default=-1)
    explore_cursor = models.BigIntegerField(default=-1)
    next_rank = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    live_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["library", "number"], name="round_once"),
            models.UniqueConstraint(
                fields=["library"], name="round_one_live", condition=Q(state="live")
            ),
        ]

    def __str__(self) -> str:
        return f"round {self.number}"


class QueueItem(models.Model):
    """A ranked offer of a track: `remaining` answers are still wanted of `needed`."""

    round = models.ForeignKey(Round, on_delete=models.PROTECT, related_name="items")
    track = models.ForeignKey(Track, on_delete=models.PROTECT, related_name="queue_items")
    stratum = models.CharField(max_length=12, choices=Stratum.choices)
    strategy = models.CharField(max_length=40)
    probability = models.FloatField(
        null=True, help_text="Chance with which the track came into this stratum."
    )
    score = models.FloatField(null=True)
    rank = models.PositiveIntegerField()
    reason = models.CharField(max_length=300)
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True)
    reserved_for = models.ForeignKey(Annotator, on_delete=models.PROTECT, null=True)
    needed = models.PositiveSmallIntegerField(default=1)
    remaining = models.PositiveSmallIntegerField(default=1)
    # A number, not a boolean: SQLite uses an index for `= 1`, not for a bare boolean column.
    is_open = models.GeneratedField(
        expression=Case(When(remaining__gt=0, then=Value(1)), default=Value(0)),
        output_field=models.SmallIntegerField(),
        db_persist=True,
    )

    class Meta:
        ordering = ["round", "stratum", "rank"]
        constraints = [
            models.UniqueConstraint(
                fields=["round", "track"],
                name="queue_item_once",
                condition=Q(reserved_for__isnull=True),
            ),
            models.CheckConstraint(
                condition=Q(remaining__gte=0) & Q(remaining__lte=F("needed")),
                name="queue_item_remaining",
            ),
        ]
        indexes = [
            # `is_open` before `rank`: answered items leave the scan, which so stays short.
            models.Index(
                fields=["round", "stratum", "is_open", "rank"], name="queue_item_open"
            ),
            models.Index(fields=["reserved_for", "round"], name="queue_item_reserved"),
        ]

    def __str__(self) -> str:
        return f"{self.stratum} {self.rank}: {self.track_id}"


class Presentation(models.Model):
    """A track served to an annotator, with everything that was shown."""

    class Outcome(models.TextChoices):
        OPEN = "open"
        ANSWERED = "answered"
        SKIPPED = "skipped"
        EXPIRED = "expired"
        RELEASED = "released"

    token = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    library = models.ForeignKey(Library, on_delete=models.PROTECT, related_name="presentations")
    track = models.ForeignKey(Track, on_delete=models.PROTECT, related_name="presentations")
    annotator = models.ForeignKey(
        Annotator, on_delete=models.PROTECT, related_name="presentations"
    )
    item = models.ForeignKey(
        QueueItem, on_delete=models.PROTECT, null=True, related_name="presentations"
    )
    stratum = models.CharField(max_length=12, choices=Stratum.choices)
    strategy = models.CharField(max_length=40)
    probability = models.FloatField(null=True)
    reason = models.CharField(max_length=300)
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True)
    guideline = models.ForeignKey(GuidelineVersion, on_delete=models.PROTECT)
    suggestions = models.JSONField(default=list)
    presented_at = models.DateTimeField()
    lease_until = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.OPEN)
    skip_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["annotator", "track"],
                name="presentation_one_open",
                condition=Q(outcome="open"),
            ),
            models.UniqueConstraint(
                fields=["item", "annotator"],
                name="presentation_item_once",
                condition=Q(outcome__in=["open", "answered", "skipped"]),
            ),
        ]
        indexes = [
            models.Index(
                fields=["lease_until"], name="presentation_lease", condition=Q(outcome="open")
            ),
            models.Index(fields=["annotator", "-id"], name="presentation_annotator"),
            models.Index(fields=["track", "annotator"], name="presentation_track"),
        ]

    def __str__(self) -> str:
        return f"{self.track_id} before {self.annotator_id}: {self.outcome}"
