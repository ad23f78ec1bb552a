"""Withdrawn rows: what the undo of an import takes out of use without deleting it.

Events refer to tracks, labels and annotators, and events are never deleted. So these rows stay
for the history, but no page, queue or export offers them. The name of a withdrawn label or
annotator is free again. A withdrawn track keeps its key: the next import that names it, or an
answer that was on its way, brings it back into use.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from labeling.models import Annotator, Label, LabelAlias, Track
from labeling.names import name_key

State = Track.State


def state_in_use(track: Track) -> str:
    """Return the state of a withdrawn track that comes back with the file it had."""
    if track.audio is None:
        return State.NO_AUDIO.value
    return State.READY.value if track.audio.length_s is not None else State.PENDING.value


def lock_tracks(track_ids: Iterable[int]) -> list[Track]:
    """Lock tracks in the caller's transaction, always in the same order, and return them.

    New answers and the undo of an import wait for each other here, so neither overlooks the
    other.
    """
    rows = Track.objects.filter(pk__in=list(track_ids)).order_by("pk")
    return list(rows.select_for_update(no_key=True))


def keep_in_use(track_ids: Iterable[int]) -> None:
    """Lock tracks that get an answer, and bring back those that were withdrawn just before."""
    for track in lock_tracks(track_ids):
        if track.state == State.WITHDRAWN:
            track.state, track.state_reason = state_in_use(track), ""
            track.save(update_fields=["state", "state_reason"])


def withdraw_labels(label_ids: Iterable[int], at: datetime) -> None:
    """Withdraw labels with their spellings, in the caller's transaction."""
    labels = list(Label.objects.filter(pk__in=list(label_ids)))
    LabelAlias.objects.filter(label__in=labels).delete()
    for label in labels:
        label.name_key, label.hotkey = _free(label), ""
        label.is_active, label.withdrawn_at = False, at
    fields = ["name_key", "hotkey", "is_active", "withdrawn_at"]
    Label.objects.bulk_update(labels, fields, batch_size=200)


def withdraw_annotators(annotator_ids: Iterable[int], at: datetime) -> None:
    """Withdraw annotators, in the caller's transaction."""
    annotators = list(Annotator.objects.filter(pk__in=list(annotator_ids)))
    for annotator in annotators:
        annotator.name_key, annotator.same_as = _free(annotator), None
        annotator.withdrawn_at = at
    fields = ["name_key", "same_as", "withdrawn_at"]
    Annotator.objects.bulk_update(annotators, fields, batch_size=200)


def _free(row: Label | Annotator) -> str:
    """Return a key that no name has: keys of names have no capital letters."""
    return f"WITHDRAWN {row.pk}"


def return_labels(label_ids: Iterable[int]) -> list[Label]:
    """Bring withdrawn labels back, in the caller's transaction.

    If another label has taken the name since, it is the label: the old one is merged into it.
    """
    labels = list(Label.objects.filter(pk__in=list(label_ids), withdrawn_at__isnull=False))
    for label in labels:
        key = name_key(label.name)
        taken = Label.objects.filter(facet=label.facet_id, name_key=key).first()
        label.withdrawn_at = None
        if taken is None:
            label.name_key, label.is_active = key, True
        else:
            label.merged_into = taken
        label.save(update_fields=["withdrawn_at", "name_key", "is_active", "merged_into"])
    return labels
