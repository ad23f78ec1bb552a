"""Libraries, their members, tracks and the files behind them."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from labeling.models.base import Travelling, within


class Library(Travelling):
    """One catalogue with its own taxonomy, people and loop."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    audit_share = models.FloatField(
        default=0.2, help_text="Share of the tracks that is kept apart, to measure with."
    )
    serve_audit_share = models.FloatField(
        default=0.12, help_text="Share of what is served that comes from the audit tracks."
    )
    overlap_share = models.FloatField(
        default=0.08, help_text="Share served to several annotators, to measure agreement."
    )
    repeat_share = models.FloatField(
        default=0.04, help_text="Share of own old tracks, blind, to measure self-agreement."
    )
    explore_share = models.FloatField(
        default=0.1, help_text="Share drawn at random from the training side."
    )
    overlap_answers = models.PositiveSmallIntegerField(
        default=2, help_text="Answers wanted for each overlap track."
    )
    repeat_min_days = models.PositiveSmallIntegerField(
        default=30, help_text="Days before one's own track may come back."
    )
    lease_minutes = models.PositiveSmallIntegerField(
        default=10, help_text="Minutes without a sign of life until a track goes to others."
    )
    retrain_after = models.PositiveIntegerField(
        default=20, help_text="New or changed annotations that start a training; 0: never."
    )
    network = models.CharField(max_length=40, default="pooled")
    features = models.CharField(max_length=40, default="audiotag")
    shows_suggestions = models.BooleanField(
        default=True, help_text="Show the model's suggestions (never on measuring strata)."
    )
    is_synthetic = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]
        verbose_name_plural = "libraries"
        constraints = [
            within("library_audit_share", "audit_share", 0, 0.5),
            within("library_serve_audit_share", "serve_audit_share", 0, 1),
            within("library_overlap_share", "overlap_share", 0, 1),
            within("library_repeat_share", "repeat_share", 0, 1),
            within("library_explore_share", "explore_share", 0, 1),
            models.CheckConstraint(
                name="library_shares_at_most_1",
                condition=models.Q(
                    serve_audit_share__lte=1.0
                    - models.F("overlap_share")
                    - models.F("repeat_share")
                    - models.F("explore_share")
                ),
                violation_error_message="the shares of what is served are together at most 1",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """The role of a user in a library."""

    class Role(models.TextChoices):
        ANNOTATOR = "annotator", "Annotator: labels tracks"
        CURATOR = "curator", "Curator: also guidelines, taxonomy, consistency, models"
        MANAGER = "manager", "Manager: also imports, members, settings"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships"
    )
    library = models.ForeignKey(Library, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.ANNOTATOR)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "library"], name="membership_once")
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.library}: {self.role}"


class AudioRoot(models.Model):
    """A folder of audio under a name; files are resolved inside it and nowhere else."""

    name = models.CharField(max_length=60, unique=True)
    path = models.CharField(max_length=1000)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name}: {self.path}"


class AudioFile(models.Model):
    """An audio file with the facts that the probe measured."""

    root = models.ForeignKey(AudioRoot, on_delete=models.PROTECT, related_name="files")
    relative_path = models.CharField(max_length=700)
    size_bytes = models.BigIntegerField(null=True)
    modified_at = models.FloatField(null=True, help_text="The file system's mtime.")
    sha256 = models.CharField(max_length=64, blank=True, db_index=True)
    container = models.CharField(max_length=20, blank=True)
    subtype = models.CharField(max_length=40, blank=True)
    sample_rate_hz = models.PositiveIntegerField(null=True)
    channels = models.PositiveSmallIntegerField(null=True)
    bit_rate = models.PositiveIntegerField(null=True, help_text="Bits a second.")
    length_s = models.FloatField(null=True, help_text="Counted from decoding.")
    loudness_db = models.FloatField(null=True, help_text="dB below full scale.")
    peaks_file = models.CharField(max_length=200, blank=True)
    probed_at = models.DateTimeField(null=True)
    warning = models.CharField(max_length=300, blank=True)
    unplayable = models.CharField(
        max_length=100,
        blank=True,
        default="",
        help_text="Why browsers cannot play it; empty if they can.",
    )
    decoding = models.PositiveSmallIntegerField(
        default=0, help_text="Version of the rules of the last probe."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["root", "relative_path"], name="audio_file_once")
        ]
        indexes = [models.Index(fields=["unplayable"], name="audio_unplayable")]

    def __str__(self) -> str:
        return self.relative_path


class TrackQuerySet(models.QuerySet["Track"]):
    """Tracks; those that the undo of an import withdrew stay, but nothing shows them."""

    def in_use(self) -> TrackQuerySet:
        """Leave out the withdrawn tracks."""
        return self.exclude(state=Track.State.WITHDRAWN)


class Track(Travelling):
    """One recording of the catalogue."""

    class State(models.TextChoices):
        NO_AUDIO = "no_audio", "no audio"
        MISSING = "missing", "file missing"
        PENDING = "pending", "waiting for the audio worker"
        READY = "ready", "ready"
        UNREADABLE = "unreadable", "unreadable"
        WITHDRAWN = "withdrawn", "withdrawn with its import"

    #: The states of the tracks that pages and programs see.
    SHOWN_STATES = [one for one in State if one != "withdrawn"]

    library = models.ForeignKey(Library, on_delete=models.PROTECT, related_name="tracks")
    key = models.CharField(max_length=700)
    title = models.CharField(max_length=300, blank=True)
    album = models.CharField(max_length=300, blank=True)
    artist = models.CharField(max_length=300, blank=True)
    composer = models.CharField(max_length=300, blank=True)
    isrc = models.CharField(max_length=20, blank=True)
    extra = models.JSONField(default=dict, blank=True)
    family = models.CharField(max_length=200, blank=True)
    split_group = models.CharField(
        max_length=64, blank=True, help_text="What must stay on one side of every split."
    )
    is_audit = models.BooleanField(default=False)
    random_key = models.BigIntegerField(default=0)
    audio = models.ForeignKey(
        AudioFile, on_delete=models.PROTECT, null=True, blank=True, related_name="tracks"
    )
    state = models.CharField(max_length=12, choices=State.choices, default=State.NO_AUDIO)
    state_reason = models.CharField(max_length=300, blank=True)
    batch = models.ForeignKey(
        "labeling.ImportBatch",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="tracks",
        help_text="The import that created it; null: unknown.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TrackQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["library", "key"], name="track_key_once")
        ]
        indexes = [
            models.Index(fields=["library", "is_audit", "random_key"], name="track_walk"),
            models.Index(fields=["library", "state", "id"], name="track_state"),
            models.Index(fields=["library", "split_group"], name="track_group"),
        ]

    def __str__(self) -> str:
        return self.title or self.key
