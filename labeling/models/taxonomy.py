"""Facets, labels, their other spellings, and the label sets on offer over time."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from labeling.models.base import NamedRow, Travelling, WithdrawableQuerySet
from labeling.models.catalogue import Library


class Facet(NamedRow, Travelling):
    """An axis of description: genre, mood, instrumentation, category."""

    library = models.ForeignKey(Library, on_delete=models.PROTECT, related_name="facets")
    name = models.CharField(max_length=80)
    name_key = models.CharField(max_length=80)
    position = models.PositiveSmallIntegerField(default=0)
    min_labels = models.PositiveSmallIntegerField(default=0)
    max_labels = models.PositiveSmallIntegerField(
        default=0, help_text="0: as many as you like."
    )

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["library", "name_key"], name="facet_once")
        ]

    def __str__(self) -> str:
        return self.name


class Label(Travelling):
    """One value of a facet. Never deleted: merged into another or made inactive."""

    facet = models.ForeignKey(Facet, on_delete=models.PROTECT, related_name="labels")
    name = models.CharField(max_length=120)
    name_key = models.CharField(max_length=120)
    definition = models.TextField(blank=True)
    examples = models.JSONField(default=list, blank=True)
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children"
    )
    hotkey = models.CharField(max_length=1, blank=True)
    is_active = models.BooleanField(default=True)
    merged_into = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="merged_from"
    )
    position = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(
        null=True, blank=True, help_text="When the import that created it was undone."
    )

    objects = WithdrawableQuerySet["Label"].as_manager()

    class Meta:
        ordering = ["position", "name_key"]
        constraints = [
            models.UniqueConstraint(fields=["facet", "name_key"], name="label_once"),
            models.CheckConstraint(
                condition=~models.Q(merged_into=models.F("id")), name="label_not_into_itself"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class LabelAlias(models.Model):
    """Another spelling of a label, ours (`vocabulary` empty) or a partner's."""

    facet = models.ForeignKey(Facet, on_delete=models.PROTECT, related_name="aliases")
    vocabulary = models.CharField(max_length=80, blank=True)
    text = models.CharField(max_length=120)
    text_key = models.CharField(max_length=120)
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="aliases")

    class Meta:
        verbose_name_plural = "label aliases"
        constraints = [
            models.UniqueConstraint(
                fields=["facet", "vocabulary", "text_key"], name="alias_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.text} = {self.label}"


class LabelSet(models.Model):
    """The labels of a facet on offer; never edited, every change makes the next number."""

    facet = models.ForeignKey(Facet, on_delete=models.PROTECT, related_name="label_sets")
    number = models.PositiveIntegerField()
    hash = models.CharField(max_length=64)
    labels = models.ManyToManyField(Label, through="LabelSetMember", related_name="label_sets")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["facet", "hash"], name="label_set_once"),
            models.UniqueConstraint(fields=["facet", "number"], name="label_set_number_once"),
        ]

    def __str__(self) -> str:
        return f"{self.facet} {self.number}"


class LabelSetMember(models.Model):
    """A label on offer in a label set."""

    label_set = models.ForeignKey(LabelSet, on_delete=models.PROTECT, related_name="members")
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="memberships")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["label_set", "label"], name="label_set_member_once")
        ]

    def __str__(self) -> str:
        return f"{self.label_set}: {self.label}"


class TaxonomyChange(models.Model):
    """A rename, merge, split or (de)activation, with the state that an undo restores."""

    class Kind(models.TextChoices):
        RENAME = "rename"
        MERGE = "merge"
        SPLIT = "split"
        DEACTIVATE = "deactivate"
        REACTIVATE = "reactivate"
        CREATE = "create"

    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="changes")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True)
    at = models.DateTimeField(auto_now_add=True)
    undone_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.label}"
