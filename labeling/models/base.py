"""Base classes and constraints that several tables share."""

from __future__ import annotations

import uuid
from typing import Any, Self, TypeVar

from django.core.exceptions import ValidationError
from django.db import models

from labeling.names import name_key, tidy_name


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


class NamedRow(models.Model):
    """Base of rows with a name and its key: a form gives a new row its key."""

    class Meta:
        abstract = True

    def clean(self) -> None:
        """Store the name without hidden characters; refuse one that is taken."""
        row: Any = self
        row.name = tidy_name(row.name)
        row.name_key = row.name_key or name_key(row.name)
        if not name_key(row.name):
            raise ValidationError({"name": "type a name that people can see"})
        same = type(row).objects.filter(library=row.library_id, name_key=row.name_key)
        if same.exclude(pk=row.pk).exists():
            raise ValidationError({"name": "this name is taken: choose another one"})
