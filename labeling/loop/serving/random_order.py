"""Random order: how audit, overlap and explore tracks become queue items.

Each side of the library is served in the order of `random_key`, a hash of the track. So what
acquisition takes from the pool never biases what the audit shows. Overlap tracks are the part
of the audit tracks that several annotators label; the hash decides which ones. On the training
side, a round reserves the first tracks in random order for exploration, out of reach of
acquisition; unranked serving continues after them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Count, F
from django.db.models.query import QuerySet

from labeling.models import (
    Annotator,
    AudioFile,
    CurrentAnswer,
    Library,
    QueueItem,
    Round,
    Track,
)
from labeling.models.queue import Stratum
from labeling.writing import short_write

#: Tracks read for one portion.
PORTION = 200
#: At most so many, if portion after portion is already labelled.
MOST = 6_400
_CURSORS = {
    Stratum.AUDIT: "audit_cursor",
    Stratum.OVERLAP: "audit_cursor",
    Stratum.EXPLORE: "explore_cursor",
}
_WITH_FILE = (Track.State.READY, Track.State.PENDING, Track.State.UNREADABLE)
EXPLORING = "drawn at random from what nobody has judged yet"
_REASONS = {
    Stratum.AUDIT: "drawn at random, to measure with",
    Stratum.OVERLAP: "drawn at random, judged by several of you",
    Stratum.EXPLORE: EXPLORING,
}


def extend(round_: Round, stratum: str) -> bool:
    """Add the next portion to the queue; return whether there may be more to take now.

    1. Read on from the cursor until there is something to add, or the order ends.
    2. Move the cursor by a conditional update: the loser of a race uses the winner's portion.
    3. Write the items.
    """
    cursor_name = _CURSORS.get(Stratum(stratum))
    if cursor_name is None:
        return False
    library = round_.library
    cursor: int = Round.objects.values_list(cursor_name, flat=True).get(pk=round_.pk)
    start, is_audit, portion = cursor, cursor_name == "audit_cursor", PORTION
    while True:
        tracks = list(_servable(library, is_audit, cursor)[:portion])
        if not tracks:
            if cursor > start:  # no request has to read to the end again
                _lay_out(round_, cursor_name, start, cursor, [])
            return False
        cursor = tracks[-1].random_key
        wanted = _wanted(round_, library, tracks, is_audit)
        if wanted:
            return _lay_out(round_, cursor_name, start, cursor, wanted)
        portion = min(4 * portion, MOST)


def restart(library_ids: Iterable[int]) -> None:
    """Start the random order of the live rounds of these libraries again.

    A new or newly ready track may be anywhere in the random order, even behind the cursor.
    Existing items of the round keep their places.
    """
    Round.objects.filter(library_id__in=set(library_ids), state=Round.State.LIVE).update(
        audit_cursor=-1, explore_cursor=-1
    )


def servable_tracks(library: Library) -> QuerySet[Track]:
    """Return the tracks that can be served: the ready ones, or all if there is no audio.

    A track that browsers cannot play is not served: nobody could hear it.
    """
    return _ready_tracks(library).exclude(state=Track.State.READY, audio__in=_unplayable())


def _ready_tracks(library: Library) -> QuerySet[Track]:
    tracks = Track.objects.in_use().filter(library=library)
    return tracks.filter(state=Track.State.READY) if library_has_audio(library) else tracks


def _unplayable() -> QuerySet[AudioFile, Any]:
    """Return the files that browsers cannot play: few, by their own index."""
    return AudioFile.objects.filter(unplayable__gt="").values("pk")


def unplayable_tracks(library: Library) -> QuerySet[Track]:
    """Return the tracks that wait because browsers cannot play their files."""
    return only_unplayable(Track.objects.filter(library=library))


def only_unplayable(tracks: QuerySet[Track]) -> QuerySet[Track]:
    """Return those of the tracks that wait because browsers cannot play their files."""
    return tracks.filter(state=Track.State.READY, audio__in=_unplayable())


def ready_count(library: Library) -> int:
    """Return how many tracks have a file that people can hear."""
    ready = Track.objects.filter(library=library, state=Track.State.READY)
    return ready.count() - unplayable_tracks(library).count()


def library_has_audio(library: Library) -> bool:
    """Say whether any track of the library has a file."""
    # Named, not excluded: each state is one step into the index, "not these" reads all of it.
    return Track.objects.filter(library=library, state__in=_WITH_FILE).exists()


def _servable(library: Library, is_audit: bool, cursor: int) -> QuerySet[Track]:
    return (
        _ready_tracks(library)  # `_wanted` drops what browsers cannot play
        # `in`: SQLite uses the index of the order for a value, not for a bare boolean column.
        .filter(is_audit__in=[is_audit], random_key__gt=cursor)
        .order_by("random_key")
        .only("id", "random_key")
    )


def _wanted(
    round_: Round, library: Library, tracks: Sequence[Track], is_audit: bool
) -> list[tuple[Track, str, int]]:
    """Return (track, stratum, answers still wanted) of tracks that persons have not finished.

    Tracks that the round has ranked keep their places there.
    """
    ids = [track.pk for track in tracks]
    # By track only: with a filter on the round, SQLite would scan all of the round.
    rows = QueueItem.objects.filter(track__in=ids).order_by()
    has_place = {
        track_id
        for track_id, round_id, reserved_id in rows.values_list(
            "track_id", "round_id", "reserved_for_id"
        )
        if round_id == round_.pk and reserved_id is None
    }
    answered = dict(
        CurrentAnswer.objects.filter(
            track__in=ids,
            annotator__kind=Annotator.Kind.PERSON,
            answer__isnull=False,
        )
        .values_list("track_id")
        .annotate(Count("annotator", distinct=True))
    )
    mute = set(only_unplayable(Track.objects.filter(pk__in=ids)).values_list("pk", flat=True))
    wanted = []
    for track in tracks:
        stratum, needed = _stratum(library, track, is_audit)
        rest = needed - answered.get(track.pk, 0)
        if rest > 0 and track.pk not in has_place and track.pk not in mute:
            wanted.append((track, stratum, rest))
    return wanted


def _stratum(library: Library, track: Track, is_audit: bool) -> tuple[str, int]:
    if not is_audit:
        return Stratum.EXPLORE, 1
    both = library.serve_audit_share + library.overlap_share
    share = library.overlap_share / both if both else 0.0
    # Other digits of the hash than the first ones of the order.
    if (track.random_key % 1_000_003) / 1_000_003 < share:
        return Stratum.OVERLAP, library.overlap_answers
    return Stratum.AUDIT, 1


def _lay_out(
    round_: Round,
    cursor_name: str,
    start: int,
    cursor: int,
    wanted: list[tuple[Track, str, int]],
) -> bool:
    with short_write():
        moved = Round.objects.filter(pk=round_.pk, **{cursor_name: start}).update(
            **{cursor_name: cursor}
        )
        if not moved:
            return True
        rank = next_ranks(round_, len(wanted))
        QueueItem.objects.bulk_create(
            [
                QueueItem(
                    round=round_,
                    track=track,
                    stratum=stratum,
                    strategy="random-walk",
                    rank=rank + position,
                    reason=_REASONS[Stratum(stratum)],
                    needed=needed,
                    remaining=needed,
                )
                for position, (track, stratum, needed) in enumerate(wanted)
            ],
            ignore_conflicts=True,  # acquisition may have chosen one of them a moment ago
            batch_size=100,
        )
    return True


def next_ranks(round_: Round, count: int) -> int:
    """Reserve `count` ranks behind all others of the round; return the first of them."""
    Round.objects.filter(pk=round_.pk).update(next_rank=F("next_rank") + count)
    return int(Round.objects.values_list("next_rank", flat=True).get(pk=round_.pk)) - count
