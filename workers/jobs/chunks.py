"""Chunks: the unit in which processes share a long job, and what a kill costs.

The process that claimed the job (its owner) cuts the work into rows, once, and asks for help;
then owner and helpers do the same: take a lease on an open chunk, work, commit it fenced by
the chunk's token. A lease is kept alive by the heartbeat of its holder; when that stops, the
lease runs out and anyone takes the chunk again. Helpers hold nothing else: they come and go,
even from other machines. When the owner dies, its successor finds the finished chunks done.
The owner waits for the last lease, then commits the job. A chunk that failed as often as a
job may be tried fails the job, after all the others are done.

The arguments of a chunk are a JSON object; where it has a list `ids`, its length is what the
progress counts. The function of a kind is registered with `@chunk_task(kind)`:

    @chunk_task(JobKind.FEATURES)
    def extract_some(lease: Lease) -> None:
        rows = ml...(lease.arguments["ids"])
        with lease.finishing({"done": len(rows)}):
            featuring.record(rows)
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, Protocol

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from labeling import jobs
from labeling.errors import LoopError
from labeling.models import Job, JobChunk
from workers.jobs import beats
from workers.jobs.heartbeat import Heartbeat
from workers.jobs.stopping import LeaseLost, Stopped

logger = logging.getLogger(__name__)

ChunkWork = Callable[["Lease"], "dict[str, Any] | None"]
CHUNK_WORK: dict[str, ChunkWork] = {}
_WAIT_S = 0.2
_ROWS = 500


class ChunkFailed(LoopError):
    """A part of the job failed on every attempt."""


class ChunkOwner(Protocol):
    """The attempt that owns a job, as far as its chunks need it."""

    job: Job
    worker: str

    def fenced(self) -> AbstractContextManager[None]:
        """Write in one transaction that holds only while this attempt owns the job."""

    def progress(self, done: int, total: int) -> None:
        """Report progress."""

    def should_stop(self) -> bool:
        """Say whether to end now."""

    def check(self) -> None:
        """Raise the reason to end now, if there is one."""

    def beat(self) -> None:
        """Renew the claim on the job; find out whether it was cancelled."""

    def holding(self, lease: Lease | None) -> None:
        """Keep this lease alive with the job, until told None."""


class Lease:
    """A chunk while this process holds it."""

    def __init__(
        self,
        chunk: JobChunk,
        token: uuid.UUID,
        should_stop: Callable[[], bool],
        worker: str = "",
    ) -> None:
        self.chunk = chunk
        self.token = token
        self.worker = worker
        self.done = 0
        self.is_committed = False
        self.is_lost = False
        self._job_should_stop = should_stop

    @property
    def job(self) -> Job:
        """The job that this chunk is part of."""
        return self.chunk.job

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of this chunk."""
        return dict(self.chunk.arguments)

    def progress(self, done: int) -> None:
        """Report how many of the chunk's ids are done."""
        self.done = done

    def should_stop(self) -> bool:
        """Say whether to end now, without a commit."""
        return self.is_lost or self._job_should_stop()

    def renew(self) -> None:
        """Renew the lease; find out whether it was lost."""
        if not self._mine().update(until=_lease_end()):
            self.is_lost = True

    @contextmanager
    def finishing(self, result: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Write and finish the chunk in one transaction; on an error, write nothing."""
        outcome = dict(result or {})
        if self.worker:
            outcome["worker"] = self.worker
        with transaction.atomic():
            yield outcome
            ended = (
                self._mine()
                .filter(job__state__in=Job.OPEN, job__cancel_requested=False)
                .update(state=JobChunk.State.DONE, result=outcome, until=None)
            )
            if not ended:
                raise LeaseLost(f"chunk {self.chunk.n} of job {self.chunk.job_id}")
        self.is_committed = True

    def give_back(self, reason: str = "") -> None:
        """Give the chunk back; with a reason, the attempt counts."""
        if not reason:
            self._mine().update(
                state=JobChunk.State.OPEN, token=None, until=None, attempts=F("attempts") - 1
            )
            return
        is_last = self.chunk.attempts >= self.job.max_attempts
        state = JobChunk.State.FAILED if is_last else JobChunk.State.OPEN
        self._mine().update(state=state, token=None, until=None, result={"reason": reason})

    def _mine(self) -> QuerySet[JobChunk]:
        return JobChunk.objects.filter(
            pk=self.chunk.pk, token=self.token, state=JobChunk.State.LEASED
        )


def chunk_task(kind: str) -> Callable[[ChunkWork], ChunkWork]:
    """Register a function of a `Lease` as the work of each chunk of such a job."""

    def register(work: ChunkWork) -> ChunkWork:
        CHUNK_WORK[kind] = work
        return work

    return register


def make_chunks(job: Job, arguments: Sequence[dict[str, Any]]) -> None:
    """Write the chunks of a job; those of an earlier attempt stay, done or not."""
    if JobChunk.objects.filter(job=job).exists():
        return
    rows = [JobChunk(job=job, n=n, arguments=one) for n, one in enumerate(arguments)]
    with transaction.atomic():
        JobChunk.objects.bulk_create(rows, batch_size=_ROWS, ignore_conflicts=True)


def lease(job: Job, should_stop: Callable[[], bool], worker: str = "") -> Lease | None:
    """Lease the first chunk that is open or whose lease has run out, or return None."""
    now = timezone.now()
    free = Q(state=JobChunk.State.OPEN) | Q(state=JobChunk.State.LEASED, until__lt=now)
    while True:
        chunk = JobChunk.objects.filter(free, job=job).order_by("n").first()
        if chunk is None:
            return None
        same = JobChunk.objects.filter(pk=chunk.pk, state=chunk.state, token=chunk.token)
        if chunk.attempts >= job.max_attempts:
            died = {"reason": f"its worker died {chunk.attempts} times"}
            same.update(state=JobChunk.State.FAILED, token=None, until=None, result=died)
            continue
        token = uuid.uuid4()
        taken = same.update(
            state=JobChunk.State.LEASED,
            token=token,
            until=_lease_end(),
            attempts=F("attempts") + 1,
        )
        if taken:
            chunk.refresh_from_db()
            chunk.job = job
            return Lease(chunk, token, should_stop, worker)


def _lease_end() -> Any:
    return timezone.now() + timedelta(seconds=settings.STALE_AFTER_S)


def do(held: Lease) -> None:
    """Do one chunk; an error counts as an attempt, a request to stop does not."""
    try:
        result = CHUNK_WORK[held.job.kind](held)
        if not held.is_committed:
            with held.finishing(result):
                pass
    except LeaseLost:
        logger.warning("chunk %s of job %s was lost", held.chunk.n, held.job.pk)
    except Exception as error:
        if held.is_committed or held.should_stop() or isinstance(error, Stopped):
            held.give_back()
            return
        logger.exception("chunk %s of job %s crashed", held.chunk.n, held.job.pk)
        held.give_back(f"{type(error).__name__}: {error}"[:500])


def share(run: ChunkOwner, arguments: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Do the chunks of a job together with its helpers, as the owner.

    1. Write the chunks, and wake helpers: as many as there is work for.
    2. Do chunks until none is free, then wait for those that others hold.
    3. Return the results in order; raise ChunkFailed if one failed for good.
    """
    with run.fenced():
        make_chunks(run.job, arguments)
    parts = _Parts(run)
    if run.worker:
        jobs.ask_for_help(run.job, parts.helpers_wanted())
    while not parts.are_finished():
        parts.tell()
        run.check()
        held = lease(run.job, run.should_stop, run.worker)
        if held is None:
            threading.Event().wait(_WAIT_S)
            continue
        run.holding(held)
        try:
            do(held)
        finally:
            run.holding(None)
        if not held.is_committed:
            run.beat()  # was the job cancelled, or given to another?
    parts.tell()
    run.check()
    return parts.results()


class _Parts:
    """All chunks of a job, as its owner sees them."""

    def __init__(self, run: ChunkOwner) -> None:
        self.run = run
        rows = JobChunk.objects.filter(job=run.job).values_list("n", "arguments")
        self.sizes = {n: len(one.get("ids") or [0]) for n, one in rows}

    def helpers_wanted(self) -> int:
        workers = sum(jobs.queue_of(self.run.job.kind) in b.queues for b in jobs.beats())
        return min(len(self.sizes) - 1, max(1, workers) * settings.AUDIO_PROCESSES)

    def tell(self) -> None:
        done = JobChunk.objects.filter(job=self.run.job, state=JobChunk.State.DONE)
        count = sum(self.sizes[n] for n in done.values_list("n", flat=True))
        self.run.progress(count, sum(self.sizes.values()))

    def are_finished(self) -> bool:
        ended = (JobChunk.State.DONE, JobChunk.State.FAILED)
        return not JobChunk.objects.filter(job=self.run.job).exclude(state__in=ended).exists()

    def results(self) -> list[dict[str, Any]]:
        rows = list(JobChunk.objects.filter(job=self.run.job).order_by("n"))
        failed = [row for row in rows if row.state == JobChunk.State.FAILED]
        if failed:
            raise ChunkFailed(
                f"{len(failed)} of {len(rows)} parts failed, first part {failed[0].n + 1}: "
                f"{failed[0].result.get('reason', 'no reason given')}"
            )
        return [row.result for row in rows]


class _Helper:
    """A job of another process, while this process helps with it."""

    def __init__(self, job: Job, worker: str) -> None:
        self.job = job
        self.worker = worker
        self.held: Lease | None = None
        self._is_stopped = False

    def should_stop(self) -> bool:
        return self._is_stopped

    def beat(self) -> None:
        wanted = Job.objects.filter(
            pk=self.job.pk, state__in=Job.OPEN, cancel_requested=False
        ).exists()
        self._is_stopped = not wanted or beats.is_shutting_down(self.worker)
        if self.held is not None and not self._is_stopped:
            self.held.renew()


def help_with(job_id: int, worker: str = "") -> int:
    """Do chunks of another process's job until none is free; return how many were done."""
    job = Job.objects.filter(pk=job_id, state=Job.State.RUNNING, cancel_requested=False).first()
    if job is None:
        return 0
    helper, count = _Helper(job, worker), 0
    with Heartbeat(helper.beat, settings.HEARTBEAT_S):
        while not helper.should_stop():
            helper.held = lease(job, helper.should_stop, worker)
            if helper.held is None:
                break
            do(helper.held)
            count += helper.held.is_committed
            if not helper.held.is_committed:
                helper.beat()
    return count
