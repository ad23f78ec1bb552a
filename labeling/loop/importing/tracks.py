"""Tracks of a catalogue: created, updated and attached to their files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from labeling.batching import batches
from labeling.bulk_rows import insert_rows
from labeling.loop.importing.audio import FoundFile, file_rows, relative_key
from labeling.loop.importing.csv.columns import FIELDS
from labeling.loop.importing.csv.staging import StagedTrack
from labeling.loop.importing.split_groups import SplitPlace
from labeling.loop.library.withdrawing import state_in_use
from labeling.models import AudioRoot, ImportedChange, Library, Track
from labeling.names import track_key
from ml.metrics.splits import track_random_key

State = Track.State


_TRACK = (
    "library_id",
    "key",
    "extra",
    "split_group",
    "is_audit",
    "random_key",
    "audio_id",
    "state",
    "state_reason",
    "batch_id",
    *FIELDS,
)
#: Columns of a withdrawn track that are written again: all but those that its key decides.
_GIVEN = tuple(name for name in _TRACK if name not in ("library_id", "key", "random_key"))


def former_keys(library: Library, folders: Sequence[str]) -> dict[str, str]:
    """Return key -> stored key of tracks that were imported by an older rule.

    Such a key is untidy, has invisible characters, or is a path from the root into one of the
    audio folders. The stored keys stay; a catalogue finds their tracks under both.
    """
    if library.pk is None:
        return {}
    found: dict[str, str] = {}
    rows = Track.objects.filter(library=library).order_by("id").values_list("key", flat=True)
    for key in rows.iterator(chunk_size=5_000):
        if _UNTIDY.search(key):
            now = relative_key(track_key(key), folders)
            if now != key:
                found.setdefault(now, key)
    for names in batches(list(found), 900):
        tidy = Track.objects.filter(library=library, key__in=names)
        for key in tidy.values_list("key", flat=True):
            del found[key]
    return found


#: A key that the present rules may change; most keys of a library do not have this.
_UNTIDY = re.compile(r"[^\x20-\x7e]|^/|^\./|//|/\./|/\.?$|\\|^ | $")


def _says_more(staged: StagedTrack, row: dict[str, Any]) -> bool:
    """Say whether the catalogue has new facts about a track."""
    is_news = any(row[name] != text for name, text in staged.fields.items())
    return is_news or bool(staged.extra.items() - row["extra"].items())


def _attached(found: FoundFile | None, files: dict[str, int]) -> tuple[int | None, str, str]:
    """Return audio, state and its reason of a new track."""
    if found is None:
        return None, State.NO_AUDIO.value, ""
    if found.reason:
        return None, State.MISSING.value, found.reason
    return files[found.relative_path], State.PENDING.value, ""


def _change(
    track: Track, staged: StagedTrack, names: list[str], extra: dict[str, str]
) -> dict[str, Any]:
    """Return the facts of a track that change, so that the import can be undone."""
    before = {name: getattr(track, name) for name in names}
    return {
        "track": track,
        "before": before | {"extra": {name: track.extra.get(name) for name in extra}},
        "after": {name: staged.fields[name] for name in names} | {"extra": extra},
    }


@dataclass
class TrackCounts:
    """Counts of the tracks of a catalogue."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    audio_missing: int = 0


@dataclass
class TrackWriter:
    """Writer of the tracks of a catalogue, chunk by chunk; in a dry run it only counts."""

    library: Library
    places: dict[str, SplitPlace]
    root: AudioRoot | None
    is_dry_run: bool
    batch_id: int | None = None
    counts: TrackCounts = field(default_factory=TrackCounts)
    _changes: list[ImportedChange] = field(default_factory=list)

    def write(
        self, staged: list[StagedTrack], found: dict[str, FoundFile]
    ) -> tuple[dict[str, int], set[int]]:
        """Create or update tracks inside the caller's transaction; return ids and new ids.

        1. Files first: a track refers to one.
        2. A blank cell changes nothing.
        3. A withdrawn track is written like a new one, under its old id.
        """
        known = self._known(staged)
        files, changed_files = self._files(found)
        new = [one for one in staged if one.key not in known]
        old = [one for one in staged if one.key in known]
        gone = [one for one in old if known[one.key]["state"] == State.WITHDRAWN]
        there = [one for one in old if known[one.key]["state"] != State.WITHDRAWN]
        news = [one for one in there if one.key in found or _says_more(one, known[one.key])]
        rows = Track.objects.in_bulk([known[one.key]["id"] for one in news])
        for one in news:
            track = rows[known[one.key]["id"]]
            self._update(track, one, found.get(one.key), files, changed_files)
        self.counts.unchanged += len(there) - len(news)
        self.counts.created += len(new) + len(gone)
        # In a dry run nothing has an id: numbers below zero identify the tracks.
        new_ids = [-1 - number for number in range(len(new))]
        if not self.is_dry_run:
            new_ids = insert_rows(
                Track, _TRACK, [self._new(one, found.get(one.key), files) for one in new]
            )
            self._bring_back({known[one.key]["id"]: one for one in gone}, found, files)
            ImportedChange.objects.bulk_create(self._changes, batch_size=200)
        self._changes.clear()
        ids = {key: row["id"] for key, row in known.items()}
        ids |= {one.key: id_ for one, id_ in zip(new, new_ids, strict=True)}
        return ids, set(new_ids)

    def _known(self, staged: list[StagedTrack]) -> dict[str, dict[str, Any]]:
        """Return the facts of existing tracks, by key."""
        rows = Track.objects.filter(
            library_id=self.library.pk, key__in=[one.key for one in staged]
        )
        return {row["key"]: row for row in rows.values("id", "key", "extra", "state", *FIELDS)}

    def _files(self, found: dict[str, FoundFile]) -> tuple[dict[str, int], set[int]]:
        self.counts.audio_missing += sum(bool(one.reason) for one in found.values())
        if self.root is None or self.is_dry_run:
            return {}, set()
        return file_rows(self.root, found.values())

    def _new(
        self, staged: StagedTrack, found: FoundFile | None, files: dict[str, int]
    ) -> tuple[Any, ...]:
        place = self.places.get(staged.key, SplitPlace("", False))
        return (
            self.library.pk,
            staged.key,
            staged.extra,
            place.split_group,
            place.is_audit,
            track_random_key(str(self.library.uid), staged.key),
            *_attached(found, files),
            self.batch_id,
            *(staged.fields.get(name, "") for name in FIELDS),
        )

    def _bring_back(
        self,
        withdrawn: dict[int, StagedTrack],
        found: dict[str, FoundFile],
        files: dict[str, int],
    ) -> None:
        """Write withdrawn tracks like new ones; without `--audio` a track keeps its file."""
        rows = Track.objects.select_related("audio").in_bulk(list(withdrawn))
        for track_id, staged in withdrawn.items():
            track, file = rows[track_id], found.get(staged.key)
            values = dict(zip(_TRACK, self._new(staged, file, files), strict=True))
            if file is None:
                values |= {"audio_id": track.audio_id, "state": state_in_use(track)}
            for name in _GIVEN:
                setattr(track, name, values[name])
            track.save(update_fields=[name.removesuffix("_id") for name in _GIVEN])

    def _update(
        self,
        track: Track,
        staged: StagedTrack,
        found: FoundFile | None,
        files: dict[str, int],
        changed_files: set[int],
    ) -> None:
        changed = [
            name
            for name in FIELDS
            if name in staged.fields and getattr(track, name) != staged.fields[name]
        ]
        extra = dict(staged.extra.items() - track.extra.items())
        if self.batch_id is not None and (changed or extra):
            self._changes.append(
                ImportedChange(batch_id=self.batch_id, **_change(track, staged, changed, extra))
            )
        for name in changed:
            setattr(track, name, staged.fields[name])
        if extra:
            track.extra = track.extra | staged.extra
            changed.append("extra")
        changed += self._give_file(track, found, files, changed_files)
        if changed and not self.is_dry_run:
            track.save(update_fields=changed)
        self.counts.updated += bool(changed)
        self.counts.unchanged += not changed

    def _give_file(
        self,
        track: Track,
        found: FoundFile | None,
        files: dict[str, int],
        changed_files: set[int],
    ) -> list[str]:
        """Attach the file that was found; return the names of the changed fields."""
        if found is None:
            return []
        before = (track.audio_id, track.state, track.state_reason)
        audio_id = files.get(found.relative_path)
        if found.reason:
            track.state, track.state_reason = State.MISSING, found.reason
        elif self.is_dry_run:
            return self._would_change(track, found)
        elif (
            audio_id != track.audio_id
            or audio_id in changed_files
            or track.state in (State.MISSING, State.NO_AUDIO)
        ):
            track.audio_id, track.state, track.state_reason = audio_id, State.PENDING, ""
        after = (track.audio_id, track.state, track.state_reason)
        names = ["audio", "state", "state_reason"] if after != before else []
        return names or (["state"] if audio_id in changed_files else [])

    def _would_change(self, track: Track, found: FoundFile) -> list[str]:
        """Say, without writing, whether the file of the track has changed."""
        audio = track.audio
        if audio is None or track.state in (State.MISSING, State.NO_AUDIO):
            return ["audio"]
        is_same = (audio.relative_path, audio.size_bytes, audio.modified_at) == (
            found.relative_path,
            found.size_bytes,
            found.modified_at,
        )
        return [] if is_same else ["audio"]
