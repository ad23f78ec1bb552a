"""Catalogues uploaded on the Imports page, and saved mappings of their columns."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from labeling.models.base import Travelling
from labeling.models.catalogue import Library
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
    """An uploaded catalogue: its options, its job and its report."""

    library = models.ForeignKey(Library, on_delete=models.PROTECT, related_name="imports")
    file_name = models.CharField(max_length=255)
    stored_as = models.CharField(max_length=200)
    options = models.JSONField(default=dict)
    is_dry_run = models.BooleanField(default=False)
    job = models.ForeignKey(Job, on_delete=models.PROTECT, null=True)
    report = models.JSONField(default=dict)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "import batches"

    def __str__(self) -> str:
        return self.file_name
