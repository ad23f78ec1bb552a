"""Cuts in an annotator's work: days from which criteria count as different ones."""

from __future__ import annotations

import datetime

from django.contrib.auth.models import User
from django.utils import timezone

from labeling.errors import BadInput
from labeling.models import Annotator, EraCut, Facet, Label, Library

LONGEST_REASON = 500


def declare(
    library: Library,
    annotator: Annotator,
    day: datetime.date,
    reason: str,
    *,
    facet: Facet | None = None,
    label: Label | None = None,
    by: User | None = None,
) -> EraCut:
    """Say that an annotator's criteria changed on a day, for all labels, a facet or a label."""
    reason = " ".join(reason.split())
    if not reason:
        raise BadInput("say why: what changed on that day?")
    if len(reason) > LONGEST_REASON:
        raise BadInput(f"the reason is longer than {LONGEST_REASON} characters")
    if day > timezone.now().date():
        raise BadInput(f"{day} is in the future: a cut is a day of work that is done")
    if label is not None:
        facet = label.facet
    rows = (annotator.library_id, facet.library_id if facet else library.pk)
    if rows != (library.pk, library.pk):
        raise BadInput("the annotator and the label must be of this library")
    at = datetime.datetime.combine(day, datetime.time.min, datetime.UTC)
    cut, is_new = EraCut.objects.get_or_create(
        annotator=annotator,
        at=at,
        facet=facet,
        label=label,
        defaults={"reason": reason, "by": by},
    )
    if not is_new:
        raise BadInput(f"there is a cut of {annotator} on {day} already: {cut.reason}")
    return cut


def withdraw(library: Library, cut_id: int) -> EraCut:
    """Take a declared cut back; one that was detected is evidence and stays."""
    cut = EraCut.objects.filter(pk=cut_id, annotator__library=library).first()
    if cut is None:
        raise BadInput("there is no such cut (any more)")
    if cut.kind != EraCut.Kind.DECLARED:
        raise BadInput("this cut was detected, not declared: it stays")
    cut.delete()
    return cut


def eras_of(library: Library) -> list[EraCut]:
    """Return all cuts of a library, newest first."""
    rows = EraCut.objects.filter(annotator__library=library)
    return list(rows.select_related("annotator", "facet", "label", "by").order_by("-at", "-id"))
