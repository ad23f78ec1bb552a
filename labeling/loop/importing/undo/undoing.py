"""Undo of an import, in short transactions that may be interrupted and continued.

Stage: import. Events are never deleted: an answer is taken back by a retraction, and tracks,
labels and annotators that nobody else used are withdrawn. What others built on is kept and
listed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from django.db.models import Exists, OuterRef
from django.utils import timezone

from labeling import jobs
from labeling.batching import batches
from labeling.bulk_rows import insert_rows
from labeling.errors import BadInput
from labeling.loop.events.current_answers import project
from labeling.loop.importing.csv.columns import FIELDS
from labeling.loop.importing.labels import Added
from labeling.loop.importing.lock import one_import_at_a_time
from labeling.loop.importing.undo.counts import UndoCounts
from labeling.loop.importing.undo.leftovers import (
    judged_by_others,
    unused_annotators,
    unused_labels,
)
from labeling.loop.importing.undo.plan import ImportedEvent, TracksPlan, plan_tracks
from labeling.loop.library import withdrawing
from labeling.models import (
    Annotation,
    Annotator,
    DirtyKey,
    ImportBatch,
    ImportedChange,
    Job,
    LabelAlias,
    Presentation,
    QueueItem,
    Track,
)
from labeling.models.jobs import JobKind
from labeling.models.rollups import UNKNOWN_DAY
from labeling.writing import short_write

Progress = Callable[[int, int], None]
ShouldStop = Callable[[], bool]
#: Tracks of one transaction: well below a second, even with many annotators on each.
CHUNK = 200
_RETRACTION = (
    "library_id",
    "track_id",
    "annotator_id",
    "kind",
    "revises_id",
    "guideline_id",
    "stratum",
    "answered_at",
    "recorded_by_id",
    "idempotency_key",
    "request_hash",
)
_DIRTY = ("library_id", "annotator_id", "track_id", "day")


def check_undo(batch: ImportBatch) -> None:
    """Refuse to undo what was not imported, or what is still being imported."""
    if batch.is_dry_run:
        raise BadInput("this import was only tried out: there is nothing to undo")
    if batch.job is None and batch.stored_as:
        raise BadInput("this file was not imported yet: there is nothing to undo")
    if batch.job is not None and batch.job.state in Job.OPEN:
        raise BadInput("this import is still running: wait until it has ended, or cancel it")


def request_undo(batch: ImportBatch, *, by_id: int | None = None) -> Job:
    """Request the undo of an import; a failed or cancelled one is requested again."""
    check_undo(batch)
    job = jobs.enqueue(
        JobKind.UNDO_IMPORT,
        library=batch.library,
        key=f"undo-import:{batch.uid}",
        arguments={"batch": batch.pk},
        by_id=by_id,
    )
    if job.state in (Job.State.FAILED, Job.State.CANCELLED):
        job = jobs.retry(job)
    ImportBatch.objects.filter(pk=batch.pk).update(undo_job=job)
    return job


def preview_undo(batch: ImportBatch) -> dict[str, Any]:
    """Return what an undo would take back and keep; write nothing."""
    check_undo(batch)
    return ImportUndo(batch, is_dry_run=True).run()


def undo_import(
    batch: ImportBatch,
    *,
    by_id: int | None = None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> dict[str, Any]:
    """Take back what an import added, as far as nobody has built on it; return the report.

    An interrupted undo is simply run again, and an import that is undone stays so.
    """
    check_undo(batch)
    with one_import_at_a_time(batch.library_id, should_stop) as has_turn:
        if not has_turn:
            return UndoCounts().as_report(is_dry_run=False, is_stopped=True)
        batch.refresh_from_db()
        return ImportUndo(batch, by_id=by_id).run(progress, should_stop)


@dataclass
class ImportUndo:
    """One pass over all that an import added; a dry run reads and counts the same."""

    batch: ImportBatch
    by_id: int | None = None
    is_dry_run: bool = False
    counts: UndoCounts = field(default_factory=UndoCounts)
    _events: set[int] = field(default_factory=set)
    _annotators: set[int] = field(default_factory=set)

    def run(
        self, progress: Progress | None = None, should_stop: ShouldStop | None = None
    ) -> dict[str, Any]:
        """Take back the answers and tracks first, then what only they used."""
        if not self.is_dry_run:
            self._continue_counting()
        track_ids = self._track_ids()
        for done, ids in enumerate(batches(track_ids, CHUNK), start=1):
            if should_stop is not None and should_stop():
                return self._end(is_stopped=True)
            self._do_tracks(ids)
            if progress is not None:
                progress(min(done * CHUNK, len(track_ids)), len(track_ids))
        self._do_leftovers()
        return self._end(is_stopped=False)

    def _continue_counting(self) -> None:
        """Start from the counts of an undo that was interrupted."""
        for name, n in (self.batch.undo_report or {}).items():
            if name in self.counts.numbers():
                setattr(self.counts, name, n)

    def _track_ids(self) -> list[int]:
        """Return the tracks that the import created, changed or answered."""
        answered = Annotation.objects.filter(library=self.batch.library_id, batch=self.batch)
        created = Track.objects.filter(library=self.batch.library_id, batch=self.batch)
        return sorted(
            {
                *answered.order_by().values_list("track_id", flat=True),
                *created.order_by().values_list("id", flat=True),
                *self.batch.changes.order_by().values_list("track_id", flat=True),
            }
        )

    def _do_tracks(self, ids: list[int]) -> None:
        if self.is_dry_run:
            self._count(plan_tracks(self.batch, Track.objects.filter(pk__in=ids)))
            return
        with short_write():
            self._lock_annotators(ids)
            tracks = withdrawing.lock_tracks(ids)
            plan = plan_tracks(self.batch, tracks)
            self._retract(plan.retract)
            self._withdraw(plan.withdraw)
            self._count(plan)
            self._restore({track.pk: track for track in tracks}, plan)
            self._store()

    def _lock_annotators(self, track_ids: list[int]) -> None:
        """Lock in the order of a person's answer: first the annotator, then the track."""
        said = Annotation.objects.filter(track__in=track_ids, batch=self.batch)
        ids = said.order_by().values("annotator")
        list(Annotator.objects.select_for_update().filter(pk__in=ids).order_by("pk"))

    def _count(self, plan: TracksPlan) -> None:
        self.counts.answers += len(plan.retract)
        self.counts.tracks += len(plan.withdraw)
        self.counts.keep("track", plan.kept_tracks)
        self.counts.keep("answer", plan.kept_answers)
        self._events |= {event.id for event in plan.depended_on}
        self._annotators |= {event.annotator_id for event in plan.depended_on}
        if self.is_dry_run:
            tracks = Track.objects.in_bulk(list(plan.restore))
            for track_id, changes in plan.restore.items():
                self._restored(tracks[track_id], changes)

    def _retract(self, events: list[ImportedEvent]) -> None:
        now, library_id = timezone.now(), self.batch.library_id
        insert_rows(
            Annotation,
            _RETRACTION,
            [
                (
                    library_id,
                    event.track_id,
                    event.annotator_id,
                    Annotation.Kind.RETRACTION.value,
                    event.id,
                    event.guideline_id,
                    event.stratum,
                    now,
                    self.by_id,
                    f"{Annotation.UNDO_KEY}{event.uid}",
                    "",
                )
                for event in events
            ],
        )
        dirty = [
            (library_id, event.annotator_id, event.track_id, _day_of(event)) for event in events
        ]
        insert_rows(DirtyKey, _DIRTY, dirty)
        touched: dict[int, set[int]] = {}
        for event in events:
            touched.setdefault(event.annotator_id, set()).add(event.track_id)
        for annotator_id, track_ids in sorted(touched.items()):
            project(annotator_id, track_ids)

    def _withdraw(self, track_ids: list[int]) -> None:
        Track.objects.filter(pk__in=track_ids).update(
            state=Track.State.WITHDRAWN, state_reason=f"import {self.batch.pk} was undone"
        )
        items = QueueItem.objects.filter(track__in=track_ids)
        served = Presentation.objects.filter(item=OuterRef("pk"))
        items.filter(~Exists(served)).delete()
        items.filter(remaining__gt=0).update(needed=0, remaining=0)

    def _restore(self, tracks: dict[int, Track], plan: TracksPlan) -> None:
        for track_id, changes in plan.restore.items():
            track = tracks[track_id]
            if self._restored(track, changes):
                track.save(update_fields=["extra", *FIELDS])
            ImportedChange.objects.filter(pk__in=[one.pk for one in changes]).delete()

    def _restored(self, track: Track, changes: list[ImportedChange]) -> bool:
        """Give a track the facts of before, where they are still those of the import."""
        kept = {name for change in changes for name in _give_back(track, change)}
        if kept:
            why = f"{', '.join(sorted(kept))} changed again since"
            self.counts.keep("facts", [(track.key, why)])
        names = {name for change in changes for name in _names(change)}
        self.counts.facts += bool(names - kept)
        return bool(names - kept)

    def _do_leftovers(self) -> None:
        labels = unused_labels(self.batch, self._events)
        annotators = unused_annotators(self.batch, self._annotators)
        self.counts.keep("label", labels.kept)
        self.counts.keep("annotator", annotators.kept)
        if self.is_dry_run:
            self.counts.labels += len(labels.withdraw)
            self.counts.annotators += len(annotators.withdraw)
            return
        now = timezone.now()
        for ids in batches(labels.withdraw, CHUNK):
            with short_write():
                withdrawing.withdraw_labels(ids, now)
                self.counts.labels += len(ids)
                self._store()
        for ids in batches(annotators.withdraw, CHUNK):
            with short_write():
                withdrawing.withdraw_annotators(ids, now)
                self.counts.annotators += len(ids)
                self._store()
        for ids in batches(Added.by(self.batch).aliases, CHUNK):
            LabelAlias.objects.filter(pk__in=ids).delete()
        self._return_labels(labels.withdraw)

    def _return_labels(self, withdrawn: Collection[int]) -> None:
        """Return labels that an answer named while they were being withdrawn."""
        named = judged_by_others(self.batch, withdrawn, ())
        if not named:
            return
        with short_write():
            for label in withdrawing.return_labels(named):
                self.counts.labels -= 1
                self.counts.keep("label", [(label.name, "it is in use")])
            self._store()

    def _store(self) -> None:
        """Store the counts in the transaction that they count."""
        ImportBatch.objects.filter(pk=self.batch.pk).update(undo_report=self.counts.numbers())

    def _end(self, *, is_stopped: bool) -> dict[str, Any]:
        report = self.counts.as_report(is_dry_run=self.is_dry_run, is_stopped=is_stopped)
        if not self.is_dry_run:
            self.batch.undo_report = report
            if not is_stopped and self.batch.undone_at is None:
                self.batch.undone_at = timezone.now()
            self.batch.save(update_fields=["undo_report", "undone_at"])
        return report


def _day_of(event: ImportedEvent) -> Any:
    """Return the day of an answer; a revision of a catalogue has that of what it revises."""
    return event.answered_at.astimezone(UTC).date() if event.answered_at else UNKNOWN_DAY


def _names(change: ImportedChange) -> set[str]:
    return {*change.after, *change.after["extra"]} - {"extra"}


def _give_back(track: Track, change: ImportedChange) -> set[str]:
    """Give the facts of before where nothing changed them since; return those that stay."""
    kept = set()
    for name in _names(change) - set(change.after["extra"]):
        if getattr(track, name) == change.after[name]:
            setattr(track, name, change.before[name])
        else:
            kept.add(name)
    for name, new in change.after["extra"].items():
        if track.extra.get(name) != new:
            kept.add(name)
        elif change.before["extra"].get(name) is None:
            del track.extra[name]
        else:
            track.extra[name] = change.before["extra"][name]
    return kept
