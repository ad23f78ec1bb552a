"""Criteria changes: days from which an annotator applies different criteria."""

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
    """Declare that an annotator's criteria changed, for all labels, a facet or a label."""
    reason = " ".join(reason.split())
    if not reason:
        raise BadInput("enter a reason: what changed on that day?")
    if len(reason) > LONGEST_REASON:
        raise BadInput(f"the reason is longer than {LONGEST_REASON} characters")
    if day > timezone.now().date():
        raise BadInput(f"{day} is in the future: choose a day up to today")
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
        raise BadInput(
            f"there is already a criteria change of {annotator} on {day}: {cut.reason}"
        )
    return cut


def withdraw(library: Library, cut_id: int) -> EraCut:
    """Withdraw a declared criteria change; a detected one is evidence and stays."""
    cut = EraCut.objects.filter(pk=cut_id, annotator__library=library).first()
    if cut is None:
        raise BadInput("this criteria change does not exist (any more)")
    if cut.kind != EraCut.Kind.DECLARED:
        raise BadInput("this criteria change was detected, not declared: it stays")
    cut.delete()
    return cut


def eras_of(library: Library) -> list[EraCut]:
    """Return all criteria changes of a library, newest first."""
    rows = EraCut.objects.filter(annotator__library=library)
    return list(rows.select_related("annotator", "facet", "label", "by").order_by("-at", "-id"))
