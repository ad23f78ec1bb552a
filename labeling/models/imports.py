"""Imported catalogues, what they changed, and saved mappings of their columns."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from labeling.models.base import Travelling
from labeling.models.catalogue import Library, Track
from labeling.models.jobs import Job


class ImportMapping(models.Model):
    """A saved way to read the columns of a catalogue."""

    library = models.ForeignKey(Library, on_delete=models.PROTECT, related_name="mappings")
    name = models.CharField(max_length=120)
    options = models.JSONField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["library", "name"], name="mapping_once")]

    def __str__(self) -> str:
        return self.name


class ImportBatch(Travelling):
    """An import: its file and options, its job and report, and how it was undone.

    `added` lists the ids of the labels, spellings and annotators that it created. An import by
    command has neither a job nor a stored file.
    """

    library = models.ForeignKey(Library, on_delete=models.PROTECT, related_name="imports")
    file_name = models.CharField(max_length=255)
    stored_as = models.CharField(max_length=200)
    options = models.JSONField(default=dict)
    is_dry_run = models.BooleanField(default=False)
    job = models.ForeignKey(Job, on_delete=models.PROTECT, null=True)
    report = models.JSONField(default=dict)
    added = models.JSONField(null=True, blank=True)
    undo_job = models.ForeignKey(
        Job, on_delete=models.PROTECT, null=True, blank=True, related_name="undone_imports"
    )
    undo_report = models.JSONField(null=True, blank=True)
    undone_at = models.DateTimeField(null=True, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "import batches"

    def __str__(self) -> str:
        return self.file_name


class ImportedChange(models.Model):
    """New facts that an import gave to an existing track: the values before and after."""

    batch = models.ForeignKey(ImportBatch, on_delete=models.PROTECT, related_name="changes")
    track = models.ForeignKey(Track, on_delete=models.PROTECT, related_name="imported_changes")
    before = models.JSONField()
    after = models.JSONField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.track_id} by import {self.batch_id}"
