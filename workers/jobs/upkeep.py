"""Upkeep of background work: the sweep, and the tasks of the schedule.

Everything here may run in several processes at once, and twice for one slot of the schedule:
each step is a conditional update that only one of them makes, and a job requested by the
schedule carries its slot in its key, which is unique.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from celery import shared_task, signals
from django.conf import settings
from django.utils import timezone

from labeling import jobs
from labeling.loop.registry import models
from labeling.loop.serving import leases
from labeling.loop.upkeep import prune
from labeling.models import DirtyKey, Job, Library, WorkerBeat
from labeling.models.jobs import JobKind
from workers.jobs import beats
from workers.jobs.chunks import help_with as do_chunks_of

logger = logging.getLogger(__name__)

SWEEP = "workers.sweep"
REFRESH_CONSISTENCY = "workers.refresh_consistency"
PRUNE = "workers.prune"
RESEND_AFTER = timedelta(seconds=10)
RESEND_AT_MOST_EVERY = timedelta(seconds=60)
_BEAT_FORGOTTEN = timedelta(minutes=10)
CONSISTENCY_SLOT_S = 600


@signals.worker_ready.connect(weak=False)
def _worker_is_ready(sender: Any, **_: Any) -> None:
    """Let a worker beat and sweep from now on, so that a missing scheduler loses nothing."""
    queues = ",".join(sorted(sender.app.amqp.queues.consume_from))
    beats.start_beating(sender.hostname, queues, sweep)


@shared_task(name=SWEEP, ignore_result=True)
def sweep_task() -> None:
    """Sweep, as the schedule asks (the workers do it too)."""
    sweep()


@shared_task(name=REFRESH_CONSISTENCY, ignore_result=True)
def refresh_consistency_task() -> None:
    """Request consistency for libraries with new answers."""
    refresh_consistency()


@shared_task(name=PRUNE, ignore_result=True)
def prune_task() -> None:
    """Prune old files and rows."""
    logger.info("pruned: %s", prune.prune().as_json())


@shared_task(name=jobs.HELP_TASK, bind=True, ignore_result=True)
def help_task(self: Any, job_id: int) -> None:
    """Share the chunks of a job that another process owns."""
    do_chunks_of(job_id, worker=self.request.hostname or "")


def sweep() -> dict[str, int]:
    """Repair what a kill, a lost message or an absent worker left behind.

    1. Running jobs whose heartbeat stopped go back to the queue, or end.
    2. Queued jobs that nobody took are announced again.
    3. Presentations whose lease ran out are closed, so that others get the track.
    4. Rows of workers that are long gone are removed.
    """
    now = timezone.now()
    revived = sum(_revive(job, now) for job in _stale(now))
    served = jobs.queues_served()
    sent = sum(_announce(job, now) for job in _unheard(now) if _is_served(job, served))
    expired = leases.expire_leases()
    WorkerBeat.objects.filter(beat_at__lt=now - _BEAT_FORGOTTEN).delete()
    return {"revived": revived, "sent": sent, "expired": expired}


def _stale(now: datetime) -> list[Job]:
    limit = now - timedelta(seconds=settings.STALE_AFTER_S)
    return list(Job.objects.filter(state=Job.State.RUNNING, heartbeat_at__lt=limit))


def _revive(job: Job, now: datetime) -> bool:
    """Queue or end one job whose worker is gone, unless it beats again or another sweep did."""
    last = (
        f"{job.heartbeat_at:%Y-%m-%d %H:%M:%S} UTC" if job.heartbeat_at else "an unknown time"
    )
    fields: dict[str, Any] = {"token": None}
    if job.cancel_requested:
        fields |= {"state": Job.State.CANCELLED, "reason": "cancelled", "finished_at": now}
    elif job.attempts >= job.max_attempts:
        times = f"{job.attempts} times" if job.attempts > 1 else "once"
        fields |= {
            "state": Job.State.FAILED,
            "reason": f"the worker died {times} (last at {last})",
            "finished_at": now,
        }
    else:
        fields |= {
            "state": Job.State.QUEUED,
            "reason": f"the worker died (last seen at {last}); it starts again",
            "queued_at": now,
            "sent_at": None,
        }
    changed = Job.objects.filter(
        pk=job.pk, state=Job.State.RUNNING, token=job.token, heartbeat_at=job.heartbeat_at
    ).update(**fields)
    if changed:
        logger.warning("job %s (%s): %s", job.pk, job.kind, fields["reason"])
        if fields["state"] != Job.State.QUEUED:
            models.end_runs_of(job, fields["reason"])
    return bool(changed)


def _unheard(now: datetime) -> list[Job]:
    """Return queued jobs whose message is due again; the pauses double up to a minute."""
    waiting = Job.objects.filter(state=Job.State.QUEUED).order_by("id")
    return [job for job in waiting if _is_due(job, now)]


def _is_due(job: Job, now: datetime) -> bool:
    if job.sent_at is None:
        return True
    waited = job.sent_at - job.queued_at
    pause = min(max(RESEND_AFTER, waited), RESEND_AT_MOST_EVERY)
    return now - job.sent_at >= pause


def _is_served(job: Job, served: set[str]) -> bool:
    return jobs.queue_of(job.kind) in served


def _announce(job: Job, now: datetime) -> bool:
    """Send the message of one queued job, unless another sweep does so now."""
    mine = Job.objects.filter(pk=job.pk, state=Job.State.QUEUED, sent_at=job.sent_at)
    return bool(mine.update(sent_at=now)) and jobs.send(job)


def refresh_consistency() -> list[Job]:
    """Request consistency, once per slot, for every library with uncounted answers."""
    slot = int(timezone.now().timestamp() // CONSISTENCY_SLOT_S)
    waiting = Library.objects.filter(pk__in=DirtyKey.objects.values("library"))
    return [
        jobs.enqueue(
            JobKind.CONSISTENCY, library=library, key=f"consistency:{library.slug}:{slot}"
        )
        for library in waiting
    ]
