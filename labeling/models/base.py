"""Base classes and constraints that several tables share."""

from __future__ import annotations

import uuid

from django.db import models


class Travelling(models.Model):
    """A row with a permanent id for use outside this database (exports, snapshots, models)."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)

    class Meta:
        abstract = True


def within(name: str, field: str, low: float, high: float) -> models.CheckConstraint:
    """Return a named constraint that keeps a number in [low, high]."""
    return models.CheckConstraint(
        condition=models.Q(**{f"{field}__gte": low, f"{field}__lte": high}), name=name
    )
