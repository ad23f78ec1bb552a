"""The run of an import: applies a staged catalogue in short transactions."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from labeling.bulk_rows import rarer_checkpoints
from labeling.loop.importing import audio, split_groups
from labeling.loop.importing import labels as import_labels
from labeling.loop.importing.answers import (
    NOBODY,
    CatalogueAnswer,
    ImportedAnswerWriter,
    Origin,
    Slot,
    SlotKey,
    slots,
)
from labeling.loop.importing.audio import AudioFolder
from labeling.loop.importing.csv.staging import StagedAnswer, StagedTrack, Staging
from labeling.loop.importing.labels import LabelPlan, LabelSets
from labeling.loop.importing.lock import FOLDERS, one_import_at_a_time
from labeling.loop.importing.look_alikes import LookAlikes, look_alikes
from labeling.loop.importing.tracks import TrackCounts, TrackWriter, former_keys
from labeling.loop.library import libraries, taxonomy
from labeling.models import Annotator, AudioRoot, Facet, Label, Library
from labeling.names import name_key
from labeling.writing import short_write

Progress = Callable[[int, int], None]
ShouldStop = Callable[[], bool]
#: Tracks of one transaction; few, so that on SQLite nobody waits long behind it (measured:
#: the same waits as with 500, and a tenth less time in all).
CHUNK = 1_000
#: Most tracks of a catalogue have one of a few hundred label sets.
_REMEMBERED = 4_096


class ImportRun:
    """One pass over a staged catalogue; a dry run reads and counts the same but writes nothing.

    In a dry run, new facets, labels, annotators and tracks have ids below zero.
    """

    def __init__(
        self,
        library: Library,
        facets: dict[str, Facet],
        staging: Staging,
        folder: AudioFolder | None,
        is_dry_run: bool,
        origin: Origin = NOBODY,
    ) -> None:
        self.library, self.facets, self.staging = library, facets, staging
        self.folder, self.is_dry_run, self.origin = folder, is_dry_run, origin
        self.folders = [*(folder.paths if folder else ()), *audio.own_folders(library)]
        self.n_annotations = 0
        self.same_as: list[dict[str, str]] = []
        self.look_alikes: list[LookAlikes] = []
        self._digest_of = lru_cache(_REMEMBERED)(self._digest)

    def apply(
        self, progress: Progress | None = None, should_stop: ShouldStop | None = None
    ) -> dict[str, Any]:
        """Apply all of it, or as much as there is time for; return the report."""
        if self.is_dry_run:
            return self._apply(progress, should_stop)
        with one_import_at_a_time(self.library.pk, should_stop) as has_turn:
            if not has_turn:
                return self.stopped()
            return self._apply(progress, should_stop)

    def stopped(self) -> dict[str, Any]:
        """Return the report of a run that was stopped before it wrote anything."""
        return self._report(LabelPlan(), TrackCounts(), is_stopped=True)

    def _apply(
        self, progress: Progress | None, should_stop: ShouldStop | None
    ) -> dict[str, Any]:
        self.staging.call(former_keys(self.library, self.folders))
        planned = import_labels.plan_labels(self.staging.texts, self.facets)
        tracks = self._prepare(planned)
        self.look_alikes = self._look_alikes()
        done, is_stopped = 0, False
        with rarer_checkpoints():
            for chunk in self.staging.chunks(CHUNK):
                if should_stop is not None and should_stop():
                    is_stopped = True
                    break
                self._apply_chunk(chunk, tracks)
                done += len(chunk)
                if progress is not None:
                    progress(done, self.staging.n_tracks)
        return self._report(planned, tracks.counts, is_stopped=is_stopped)

    def _report(
        self, planned: LabelPlan, counts: TrackCounts, *, is_stopped: bool
    ) -> dict[str, Any]:
        return {
            "tracks_created": counts.created,
            "tracks_updated": counts.updated,
            "tracks_unchanged": counts.unchanged,
            "annotations_created": self.n_annotations,
            "audio_missing": counts.audio_missing,
            "labels_created": planned.n_new,
            "labels_new": planned.rarest_new(self.staging.texts, self.staging.rows_with),
            "labels_merged": len(planned.merged),
            "merged": planned.merged,
            "annotators_same_as": self.same_as,
            "look_alikes": self.look_alikes,
            "is_dry_run": self.is_dry_run,
            "is_stopped": is_stopped,
        }

    def _prepare(self, planned: LabelPlan) -> TrackWriter:
        """Create what all chunks need: labels, annotators, the audio folder, places."""
        names = self.staging.annotator_names
        places: dict[str, split_groups.SplitPlace] = {}
        root = None
        if self.is_dry_run:
            known = dict(
                Annotator.objects.filter(library_id=self.library.pk).values_list(
                    "name_key", "id"
                )
            )
            self.annotator_ids = [
                known.get(name_key(name), -1 - number) for number, name in enumerate(names)
            ]
        else:
            with short_write():
                added = import_labels.make_labels(planned, self.facets)
                self.annotator_ids = import_labels.annotators_named(self.library, names, added)
                if self.origin.batch_id is not None:
                    added.store(self.origin.batch_id)
                self.same_as = libraries.link_namesakes(self.library, self.annotator_ids)
            root = self._root(self.folder) if self.folder else None
            placing = split_groups.place_tracks(self.library, self.staging.groupings())
            split_groups.move_tracks(placing)
            places = placing.incoming
        self._resolve(planned)
        return TrackWriter(self.library, places, root, self.is_dry_run, self.origin.batch_id)

    def _look_alikes(self) -> list[LookAlikes]:
        """Return the names of the file that look like other names, in it or in the library."""
        known: dict[str, list[str]] = defaultdict(list)
        if self.library.pk:
            labels = Label.objects.filter(facet__library=self.library).order_by("id")
            for facet_key, name in labels.values_list("facet__name_key", "name"):
                known[facet_key].append(name)
            people = Annotator.objects.filter(library=self.library).order_by("id")
            known["annotator"] += people.values_list("name", flat=True)
        texts: dict[str, list[str]] = defaultdict(list)
        for facet_key, name in self.staging.texts:
            texts[facet_key].append(name)
        texts["annotator"] += self.staging.annotator_names
        return [
            one
            for column, names in texts.items()
            for one in look_alikes(column, [*known[column], *names], of=names)
        ]

    def _root(self, folder: AudioFolder) -> AudioRoot:
        with one_import_at_a_time(FOLDERS):
            return audio.register_files(folder, self.library)

    def _resolve(self, planned: LabelPlan) -> None:
        """Give each text of the file its facet and label."""
        facet_ids = {
            key: facet.pk or -1 - n for n, (key, facet) in enumerate(self.facets.items())
        }
        unmade: dict[tuple[str, str], int] = {}
        self.label_of: list[tuple[int, int]] = []
        used: dict[int, set[int]] = defaultdict(set)
        for (facet_key, _), key in planned.texts.items():
            label_id = planned.known[facet_key].get(key)
            if label_id is None:
                label_id = unmade.setdefault((facet_key, key), -1 - len(unmade))
            self.label_of.append((facet_ids[facet_key], label_id))
            used[facet_ids[facet_key]].add(label_id)
        self.keys = list(
            zip((facet for facet, _ in planned.texts), planned.texts.values(), strict=True)
        )
        self.merged = taxonomy.resolutions(self.library) if self.library.pk else {}
        if not self.is_dry_run:
            guideline = libraries.unknown_guideline(self.library)
            label_sets = LabelSets(self.facets, used)
            self.writer = ImportedAnswerWriter(
                self.library, guideline.pk, label_sets, self.origin
            )

    def _apply_chunk(self, chunk: list[StagedTrack], tracks: TrackWriter) -> None:
        """Look for the files first, then write in one transaction, without any file access."""
        folder = self.folder
        found = {one.key: folder.find(one.key, one.written) for one in chunk} if folder else {}
        if self.is_dry_run:
            self._write(chunk, tracks, found)
            return
        with short_write():
            # Changes of the library row wait for the chunk, and the chunk for them.
            Library.objects.select_for_update(no_key=True).get(pk=self.library.pk)
            self._write(chunk, tracks, found)

    def _write(
        self,
        chunk: list[StagedTrack],
        tracks: TrackWriter,
        found: dict[str, audio.FoundFile],
    ) -> None:
        track_ids, new_ids = tracks.write(chunk, found)
        said = [
            self._said(track_ids[one.key], one.key, answer)
            for one in chunk
            for answer in one.answers
        ]
        known = self._slots(said, new_ids)
        news = [
            (one, slot, facet_ids)
            for one, slot in ((one, known.get(one.slot) or Slot()) for one in said)
            if (facet_ids := slot.news(one))
        ]
        self.n_annotations += len(news)
        if news and not self.is_dry_run:
            self.writer.write(news, new_ids)

    def _slots(self, said: list[CatalogueAnswer], new_ids: set[int]) -> dict[SlotKey, Slot]:
        old = {one.track_id for one in said} - new_ids
        return slots(old, self.annotator_ids, self.merged) if old else {}

    def _said(self, track_id: int, key: str, answer: StagedAnswer) -> CatalogueAnswer:
        facets: dict[int, set[int]] = defaultdict(set)
        for text in answer.texts:
            facet_id, label_id = self.label_of[text]
            facets[facet_id].add(label_id)
        return CatalogueAnswer(
            track_id=track_id,
            track_key=key,
            annotator_id=self.annotator_ids[answer.annotator],
            answered_at=answer.answered_at,
            facets={facet_id: frozenset(labels) for facet_id, labels in facets.items()},
            digest=self._digest_of(tuple(answer.texts)),
            extra=answer.own or None,
        )

    def _digest(self, texts: tuple[int, ...]) -> str:
        """Return a hash of an answer, independent of spelling."""
        names = sorted({"\0".join(self.keys[text]) for text in texts})
        return hashlib.sha256("\n".join(names).encode()).hexdigest()
