"""Split groups: which tracks stay together in every split, and which are audit tracks.

Decided at import from names alone, so that it cannot depend on how a track sounds. A track
never leaves the audit side.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from labeling.batching import batches
from labeling.models import Library, Track
from labeling.names import name_key
from labeling.writing import short_write
from ml.metrics.splits import audit_groups, split_groups

#: Groups that the audit side needs before its metrics are meaningful.
AT_LEAST = 8
CHUNK = 400


@dataclass(frozen=True)
class SplitPlace:
    """The group of a track, and whether it is on the audit side."""

    split_group: str
    is_audit: bool


@dataclass
class Placing:
    """Places of new tracks, and of existing tracks whose place changes through them."""

    incoming: dict[str, SplitPlace] = field(default_factory=dict)
    moved: dict[int, SplitPlace] = field(default_factory=dict)


@dataclass(frozen=True)
class _Known:
    """An existing track."""

    id: int
    family: str
    album: str
    place: SplitPlace


def place_tracks(library: Library, incoming: Iterable[tuple[str, str, str]]) -> Placing:
    """Place new tracks (key, family, album) of a library.

    1. Join new and existing tracks that share a family or an album.
    2. A group with an audit track is an audit group, so merging only adds to that side.
    3. Groups of only new tracks are drawn by the hash of their name.
    """
    known = {
        key: _Known(id_, family, album, SplitPlace(group, is_audit))
        for id_, key, family, album, group, is_audit in _rows(library)
    }
    links = {key: (one.family, one.album) for key, one in known.items()}
    before = dict(links)
    for key, family, album in incoming:
        old_family, old_album = links.get(key, ("", ""))
        links[key] = (family or old_family, album or old_album)
    if links == before:
        return Placing()
    groups = split_groups(
        (key, family and name_key(family), album and name_key(album))
        for key, (family, album) in links.items()
    )
    named = {str(key): group for key, group in groups.items()}
    return _placing(known, named, _audit(library, known, named))


def _rows(library: Library) -> Iterator[tuple[int, str, str, str, str, bool]]:
    rows = Track.objects.in_use().filter(library=library).order_by()
    return rows.values_list("id", "key", "family", "album", "split_group", "is_audit").iterator(
        chunk_size=2_000
    )


def _placing(known: dict[str, _Known], groups: dict[str, str], audit: set[str]) -> Placing:
    placing, hashes = Placing(), {}
    for key, group in groups.items():
        if group not in hashes:
            hashes[group] = hashlib.sha256(group.encode()).hexdigest()[:32]
        now = SplitPlace(hashes[group], group in audit)
        there = known.get(key)
        if there is None:
            placing.incoming[key] = now
        elif there.place != now:
            # Moving to another album removes no track from the audit side.
            placing.moved[there.id] = SplitPlace(
                now.split_group, now.is_audit or there.place.is_audit
            )
    return placing


def _audit(library: Library, known: dict[str, _Known], groups: dict[str, str]) -> set[str]:
    sizes = Counter(groups.values())
    already = {groups[key] for key, one in known.items() if one.place.is_audit}
    if not known:
        names = list(sizes)
        return audit_groups(
            names, [sizes[name] for name in names], library.audit_share, AT_LEAST
        )
    fresh = set(sizes) - {groups[key] for key in known}
    return already | _drawn(fresh, sizes, library.audit_share, len(already))


def _drawn(fresh: set[str], sizes: Counter[str], share: float, n_already: int) -> set[str]:
    """Draw from new groups, each by its own hash, independent of the others.

    So a catalogue imported in a hundred pieces has the same audit share as one imported whole.
    Until there are enough groups, those of smallest hash are added.
    """
    if share <= 0:
        return set()
    largest = share * sum(sizes.values())
    most = len(sizes) // 2 - n_already
    ordered = sorted(fresh, key=_hash)
    drawn = [name for name in ordered if _hash(name) < share and sizes[name] <= largest]
    missing = min(AT_LEAST - n_already, most) - len(drawn)
    rest = [name for name in ordered if name not in set(drawn)]
    return set((drawn + rest[: max(0, missing)])[: max(0, most)])


def _hash(name: str) -> float:
    """Return the hash of the name as a number in [0, 1)."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big") / 2**56


def move_tracks(placing: Placing) -> None:
    """Write the changed places of existing tracks, in short transactions."""
    by_place: dict[SplitPlace, list[int]] = {}
    for track_id, now in placing.moved.items():
        by_place.setdefault(now, []).append(track_id)
    for now, track_ids in by_place.items():
        for ids in batches(track_ids, CHUNK):
            with short_write():
                Track.objects.filter(pk__in=ids).update(
                    split_group=now.split_group, is_audit=now.is_audit
                )
