"""Base classes and constraints that several tables share."""

from __future__ import annotations

import uuid
from typing import Self, TypeVar

from django.db import models


class Travelling(models.Model):
    """A row with a permanent id for use outside this database (exports, snapshots, models)."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)

    class Meta:
        abstract = True


_Row = TypeVar("_Row", bound=models.Model, covariant=True)


class WithdrawableQuerySet(models.QuerySet[_Row]):
    """Rows that the undo of an import may withdraw: they stay, but nothing offers them."""

    def in_use(self) -> Self:
        """Leave out the withdrawn rows."""
        return self.filter(withdrawn_at__isnull=True)


def within(name: str, field: str, low: float, high: float) -> models.CheckConstraint:
    """Return a named constraint that keeps a number in [low, high]."""
    return models.CheckConstraint(
        condition=models.Q(**{f"{field}__gte": low, f"{field}__lte": high}), name=name
    )
