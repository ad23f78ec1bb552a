"""Guideline versions: drafted, published once, acknowledged by each annotator."""

from __future__ import annotations

import unicodedata

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from labeling.errors import BadInput
from labeling.loop.library import libraries
from labeling.models import Annotator, GuidelineVersion, Library, Receipt

LONGEST = 50_000


def draft_of(library: Library) -> GuidelineVersion | None:
    """Return the draft, if there is one."""
    return library.guidelines.filter(published_at__isnull=True).order_by("number").first()


def save_draft(library: Library, text: str, *, by: User | None = None) -> GuidelineVersion:
    """Save the text as the draft of the next version; a library has one draft at a time."""
    text = _clean(text)
    with transaction.atomic():
        draft = draft_of(library)
        if draft is not None:
            draft.text, draft.by = text, by
            draft.save(update_fields=["text", "by"])
            return draft
        last = library.guidelines.aggregate(last=Max("number"))["last"] or 0
        return GuidelineVersion.objects.create(
            library=library, number=last + 1, text=text, by=by
        )


def publish(library: Library, *, by: User | None = None) -> GuidelineVersion:
    """Put the draft in force from now on; a published version is never changed.

    1. Refuse if there is no draft, or if it equals the version in force.
    2. Claim it by its state, so that publishing twice publishes once.
    """
    draft = draft_of(library)
    if draft is None:
        raise BadInput("there is no draft to publish: write one first")
    in_force = libraries.guideline_in_force(library)
    if draft.text == in_force.text:
        raise BadInput("the draft is the same as the version in force: change it first")
    GuidelineVersion.objects.filter(pk=draft.pk, published_at__isnull=True).update(
        published_at=timezone.now(), by=by
    )
    draft.refresh_from_db()
    return draft


def discard_draft(library: Library) -> None:
    """Discard the draft; a published version cannot be discarded."""
    library.guidelines.filter(published_at__isnull=True).delete()


def acknowledge(guideline: GuidelineVersion, annotator: Annotator) -> Receipt:
    """Record once that an annotator has read the version in force."""
    if guideline.pk != libraries.guideline_in_force(annotator.library).pk:
        raise BadInput("another version is in force now: read that one")
    try:
        with transaction.atomic():
            return Receipt.objects.get_or_create(guideline=guideline, annotator=annotator)[0]
    except IntegrityError:  # pressed twice at once
        return Receipt.objects.get(guideline=guideline, annotator=annotator)


def has_read(guideline: GuidelineVersion, annotator: Annotator) -> bool:
    """Say whether the annotator has acknowledged this version (version 0: always)."""
    if guideline.number == 0:
        return True
    return Receipt.objects.filter(guideline=guideline, annotator=annotator).exists()


def _clean(text: str) -> str:
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    if not text:
        raise BadInput("the guideline is empty: say what a label means and when to give it")
    if len(text) > LONGEST or "\0" in text:
        raise BadInput(f"the guideline must be plain text of at most {LONGEST} characters")
    return text
