"""Attempts at jobs: claimed once, alive while they run, committed once. Read this first.

A task of the loop is a function of an `Attempt`, registered with `@job_task(kind)`:

    @job_task(JobKind.TRAIN)
    def train_model(run: Attempt) -> None:
        trained = ml.training.fit.train(..., on_epoch=run.progress, should_stop=run.should_stop)
        with run.committing({"model_version": ...}):
            models.register_model(trained)

1. *Claim.* A conditional update turns the row from queued to running under a new token. Who
   updates no row leaves: a doubled or late message does nothing.
2. *Heartbeat.* A thread writes `heartbeat_at` and the progress, guarded by the token, and reads
   whether the job was cancelled, given to another worker, or whether this worker shuts down.
   Work asks `run.should_stop()` (or `run.check()`, which raises) where it can end well.
3. *Commit.* `run.committing(result)` is one transaction: what the block writes, and `done`,
   which is set only where the token still holds; else all of it is rolled back. Long writes
   before it go through `run.fenced()`, each transaction guarded in the same way.
4. *Errors.* What the loop or `ml` refuses fails the job with its message. Anything else is
   tried again until `max_attempts`, then fails as `crashed: Class: message`.
5. *Death.* A worker that is killed beats no more; `workers.jobs.upkeep.sweep` queues the job
   again.

Work on many files is cut into chunks (`run.do_chunks`, see `workers.jobs.chunks`), so that
several processes share a job and a kill costs one chunk. `run_inline` does all this in the
calling process, without broker or worker.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from celery import shared_task
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from labeling import jobs
from labeling.errors import BadInput, LoopError
from labeling.models import Job, Library
from ml.errors import CancelledError, MlError
from workers.jobs import beats, chunks
from workers.jobs.heartbeat import Heartbeat
from workers.jobs.stopping import Cancelled, HandedBack, LeaseLost, Stopped

logger = logging.getLogger(__name__)

Work = Callable[["Attempt"], "dict[str, Any] | None"]
WORK: dict[str, Work] = {}
#: No job is this long; the hard limit kills the process, and the sweep tries the job again.
SOFT_LIMIT_S = 6 * 3600
_REASON_LENGTH = 2000


class Attempt:
    """One attempt at a job, while this process holds it."""

    def __init__(self, job: Job, token: uuid.UUID, worker: str = "") -> None:
        self.job = job
        self.token = token
        self.worker = worker
        self.is_committed = False
        self._told = (job.done, job.total, job.message)
        self._stopped: type[Stopped] | None = None
        self._lease: chunks.Lease | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the job."""
        return dict(self.job.arguments)

    @property
    def library(self) -> Library:
        """The library of the job."""
        if self.job.library is None:
            raise BadInput(f"a job of kind {self.job.kind} needs a library")
        return self.job.library

    def progress(self, done: int, total: int, message: str = "") -> None:
        """Report progress; the next heartbeat writes it."""
        self._told = (max(0, done), max(0, total), message[:300])

    def should_stop(self) -> bool:
        """Say whether to end now: cancelled, given to another worker, or shutting down."""
        return self._stopped is not None

    def check(self) -> None:
        """Raise the reason to stop, if there is one."""
        if self._stopped is not None:
            raise self._stopped(f"job {self.job.pk}")

    @contextmanager
    def fenced(self) -> Iterator[None]:
        """Write in one transaction that commits only while this attempt owns the job."""
        with transaction.atomic():
            yield
            if not self._mine().update(heartbeat_at=timezone.now()):
                self._lost()

    @contextmanager
    def committing(
        self, result: dict[str, Any] | None = None, *, then: Callable[[], None] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Write and finish in one transaction; the block may still add to the result.

        `then` runs in the same transaction once the job is done.
        """
        self.check()
        outcome = dict(result or {})
        with transaction.atomic():
            yield outcome
            now = timezone.now()
            done, total, message = self._told
            ended = self._mine(cancel_requested=False).update(
                state=Job.State.DONE,
                result=outcome,
                done=total or done,
                total=total,
                message=message,
                heartbeat_at=now,
                finished_at=now,
            )
            if not ended:
                self._lost()
            if then is not None:
                then()
        self.is_committed = True

    def do_chunks(self, arguments: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Share these chunks with every worker of the queue; return their results in order."""
        return chunks.share(self, arguments)

    def holding(self, lease: chunks.Lease | None) -> None:
        """Keep this lease alive together with the job."""
        self._lease = lease

    def beat(self) -> None:
        """Renew the heartbeat; find out whether to stop."""
        done, total, message = self._told
        now = timezone.now()
        if not self._mine().update(heartbeat_at=now, done=done, total=total, message=message):
            self._stopped = LeaseLost
        elif not self._mine(cancel_requested=False).exists():
            self._stopped = Cancelled
        elif beats.is_shutting_down(self.worker):
            self._stopped = HandedBack
        elif self._lease is not None:
            self._lease.renew()

    def end(self, state: str, reason: str = "", **fields: Any) -> bool:
        """End or give back this attempt if it still owns the job."""
        return bool(self._mine().update(state=state, reason=reason[:_REASON_LENGTH], **fields))

    def _mine(self, **where: Any) -> Any:
        return Job.objects.filter(
            pk=self.job.pk, token=self.token, state=Job.State.RUNNING, **where
        )

    def _lost(self) -> None:
        is_cancelled = self._mine(cancel_requested=True).exists()
        raise (Cancelled if is_cancelled else LeaseLost)(f"job {self.job.pk}")


def job_task(kind: str) -> Callable[[Work], Work]:
    """Register a function of an `Attempt` as the work of this kind of job, and as its task."""
    name, _ = jobs.TASKS[kind]

    def register(work: Work) -> Work:
        WORK[kind] = work

        @shared_task(
            name=name,
            bind=True,
            ignore_result=True,
            soft_time_limit=SOFT_LIMIT_S,
            time_limit=SOFT_LIMIT_S + 60,
        )
        def task(self: Any, job_id: int) -> None:
            execute(job_id, worker=self.request.hostname or "")

        return work

    return register


def claim(job_id: int, worker: str = "") -> Attempt | None:
    """Claim a queued job; None if it is not queued (any more)."""
    token, now = uuid.uuid4(), timezone.now()
    taken = Job.objects.filter(pk=job_id, state=Job.State.QUEUED).update(
        state=Job.State.RUNNING,
        token=token,
        attempts=F("attempts") + 1,
        started_at=now,
        heartbeat_at=now,
        reason="",
        message="",
    )
    if not taken:
        return None
    return Attempt(Job.objects.select_related("library").get(pk=job_id), token, worker)


def execute(job_id: int, *, worker: str = "", may_retry: bool = True) -> None:
    """Do a job from claim to commit, and record in its row how it ended."""
    run = claim(job_id, worker)
    if run is None:
        return
    logger.info("job %s (%s): attempt %s", job_id, run.job.kind, run.job.attempts)
    with Heartbeat(run.beat, settings.HEARTBEAT_S):
        try:
            result = work_of(run.job.kind)(run)
            if not run.is_committed:
                with run.committing(result):
                    pass
        except KeyboardInterrupt:
            run.end(Job.State.CANCELLED, "interrupted", finished_at=timezone.now())
            raise
        except Exception as error:
            settle(run, error, may_retry=may_retry)


def work_of(kind: str) -> Work:
    """Return the function that does jobs of this kind, loading the loop's tasks if needed."""
    if kind not in WORK:
        import_module("workers.tasks")
    return WORK[kind]


def settle(run: Attempt, error: Exception, *, may_retry: bool) -> None:
    """Record why an attempt ended without a commit."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
    if run.is_committed:
        logger.error("job %s: failed after its commit", run.job.pk, exc_info=error)
    elif isinstance(error, Stopped | CancelledError):
        _settle_stop(run, error)
    elif isinstance(error, LoopError | MlError):
        _fail(run, str(error), result={"bad_input": isinstance(error, BadInput)})
    else:
        _settle_crash(run, error, may_retry=may_retry)


def _settle_stop(run: Attempt, error: Exception) -> None:
    try:
        run.check()
    except Stopped as stop:
        error = stop
    now = timezone.now()
    if isinstance(error, HandedBack):
        run.end(
            Job.State.QUEUED,
            "its worker was shut down; it starts again with the next one",
            attempts=F("attempts") - 1,
            token=None,
            sent_at=None,
            queued_at=now,
        )
    elif isinstance(error, LeaseLost):
        logger.warning("job %s: another worker has it, this attempt is discarded", run.job.pk)
    else:
        run.end(Job.State.CANCELLED, "cancelled", finished_at=now)


def _settle_crash(run: Attempt, error: Exception, *, may_retry: bool) -> None:
    logger.error("job %s (%s) crashed", run.job.pk, run.job.kind, exc_info=error)
    reason = f"crashed: {type(error).__name__}: {error}"
    if not may_retry or run.job.attempts >= run.job.max_attempts:
        _fail(run, reason)
        return
    # Sent "now" without a message: so the sweep sends it, after a pause.
    now = timezone.now()
    run.end(Job.State.QUEUED, reason, token=None, sent_at=now, queued_at=now)


def _fail(run: Attempt, reason: str, result: dict[str, Any] | None = None) -> None:
    logger.warning("job %s (%s) failed: %s", run.job.pk, run.job.kind, reason)
    run.end(Job.State.FAILED, reason, result=result or {}, finished_at=timezone.now())


def run_inline(job: Job) -> Job:
    """Do a job in this process, by the same path as a worker; return the row as it ended.

    A crash is not tried again, because the person who runs a command wants to see it. A job
    that a worker has claimed in the meantime is left to it.
    """
    execute(job.pk, may_retry=False)
    job.refresh_from_db()
    return job
