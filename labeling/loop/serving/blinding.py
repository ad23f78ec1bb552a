"""Blinding: earlier answers are hidden while an annotator repeats one of their own tracks.

Self-agreement is meaningful only if the repeat is an independent annotation. So from the moment
a repeat is reserved until it is answered, no page and no API shows its annotator their earlier
answers to that track, nor that there are any. The same holds for a track that they labelled
under an older guideline and that is on their desk again.
"""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db.models import Q

from labeling.loop.serving.claimable import ASKED_AGAIN
from labeling.models import Annotator, Library, Presentation, QueueItem, Round, Track
from labeling.models.queue import Stratum


def hidden_tracks(annotator: Annotator | None) -> set[int]:
    """Return the ids of the tracks whose earlier answers their annotator must not see now."""
    if annotator is None:
        return set()
    opened = Presentation.objects.filter(
        Q(stratum=Stratum.REPEAT) | Q(strategy=ASKED_AGAIN),
        annotator=annotator,
        outcome=Presentation.Outcome.OPEN,
    ).order_by()
    reserved = QueueItem.objects.filter(
        reserved_for=annotator,
        is_open=1,
        stratum=Stratum.REPEAT,
        round__state=Round.State.LIVE,
    ).order_by()
    both = opened.values_list("track_id", flat=True).union(
        reserved.values_list("track_id", flat=True)
    )
    return set(both)


def hidden_from(library: Library, user: User) -> set[int]:
    """Return the ids of the tracks whose earlier answers this user must not see now."""
    return hidden_tracks(Annotator.objects.filter(library=library, user=user).first())


def is_hidden(annotator: Annotator, track: Track) -> bool:
    """Say whether the earlier answers of the annotator to this track are hidden now."""
    return track.pk in hidden_tracks(annotator)
