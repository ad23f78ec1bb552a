"""Requests for background work: a row first, then a message that only wakes a worker.

The row of a job is the truth about its state. A message that is lost, doubled or late changes
nothing: the sweep sends again what nobody has taken, and a worker takes a job by a
conditional update. This module never imports `workers`; a task is known by its name.
"""

from __future__ import annotations

import logging
import socket
import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from celery import current_app
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from labeling.models import Job, Library, WorkerBeat
from labeling.models.jobs import JobKind

logger = logging.getLogger(__name__)

#: The task that does a job of a kind, and the queue its workers listen on.
TASKS: dict[str, tuple[str, str]] = {
    JobKind.IMPORT: ("workers.import_catalogue", "default"),
    JobKind.UNDO_IMPORT: ("workers.undo_import", "default"),
    JobKind.PROBE: ("workers.probe_tracks", "audio"),
    JobKind.FEATURES: ("workers.extract_features", "audio"),
    JobKind.CONSISTENCY: ("workers.measure_consistency", "default"),
    JobKind.SNAPSHOT: ("workers.take_snapshot", "default"),
    JobKind.TRAIN: ("workers.train_model", "ml"),
    JobKind.EVALUATE: ("workers.evaluate_folds", "ml"),
    JobKind.COMPARE: ("workers.compare_criteria", "ml"),
    JobKind.PREDICT: ("workers.predict_pool", "ml"),
    JobKind.RANK: ("workers.rank_queue", "ml"),
}
#: The queues that workers listen on; together they do every kind of job.
QUEUES = ("audio", "ml", "default")
HELP_TASK = "workers.help_with"
#: What the scheduler is called among the beats.
SCHEDULER = "schedule"
_BROKER_ANSWERS_WITHIN_S = 0.5


def enqueue(
    kind: str,
    *,
    library: Library | None,
    key: str = "",
    arguments: dict[str, Any] | None = None,
    by_id: int | None = None,
    is_announced: bool = True,
) -> Job:
    """Create a job, or return the one that has this kind and key (or already trains).

    1. Insert the row; the constraints decide who wins a race.
    2. After the commit, send a message; a failure to send is not an error (the sweep sends it).
       Callers that do the job in this process leave the message out.
    """
    key = key or uuid.uuid4().hex
    job = _insert(kind, library, key, arguments or {}, by_id)
    if job is None:
        return _found_or_new(kind, library, key, arguments or {}, by_id, is_announced)
    if is_announced:
        transaction.on_commit(lambda: send(job))
    return job


def _insert(
    kind: str, library: Library | None, key: str, arguments: dict[str, Any], by_id: int | None
) -> Job | None:
    """Return the new row; None if a constraint says that there is one already."""
    try:
        with transaction.atomic():
            return Job.objects.create(
                library=library, kind=kind, key=key, arguments=arguments, by_id=by_id
            )
    except IntegrityError:
        return None


def _found_or_new(
    kind: str,
    library: Library | None,
    key: str,
    arguments: dict[str, Any],
    by_id: int | None,
    is_announced: bool,
) -> Job:
    """Return the job in the way; create ours if that one has just ended."""
    same = Job.objects.filter(kind=kind, key=key).first()
    if same is None:
        same = Job.objects.filter(kind=kind, library=library, state__in=Job.OPEN).first()
    if same is not None:
        return same
    return enqueue(
        kind,
        library=library,
        key=key,
        arguments=arguments,
        by_id=by_id,
        is_announced=is_announced,
    )


def queue_of(kind: str) -> str:
    """Return the queue on which the workers for this kind of job listen."""
    return TASKS[kind][1]


def send(job: Job) -> bool:
    """Wake a worker for this job; return whether the broker took the message."""
    name, queue = TASKS[job.kind]
    if not send_message(name, [job.pk], queue):
        return False
    Job.objects.filter(pk=job.pk).update(sent_at=timezone.now())
    return True


def ask_for_help(job: Job, helpers: int) -> None:
    """Wake more workers of the job's queue to share its chunks."""
    for _ in range(helpers):
        if not send_message(HELP_TASK, [job.pk], queue_of(job.kind)):
            return


def send_message(name: str, args: list[Any], queue: str) -> bool:
    """Send one message, within a second; a broker that cannot take it is not an error."""
    try:
        look_for_broker()
        current_app.signature(name, args=args, queue=queue).apply_async(
            retry=False, ignore_result=True
        )
    except Exception as error:  # the broker's own errors are of many classes
        logger.warning("%s%s not announced (the sweep will): %s", name, tuple(args), error)
        return False
    return True


def look_for_broker() -> None:
    """Raise OSError immediately if the client would retry for seconds."""
    parts = urlsplit(settings.CELERY_BROKER_URL)
    if parts.scheme in ("redis", "rediss") and parts.hostname:
        socket.create_connection(
            (parts.hostname, parts.port or 6379), timeout=_BROKER_ANSWERS_WITHIN_S
        ).close()


def beats() -> QuerySet[WorkerBeat]:
    """Return the workers with a recent heartbeat."""
    since = timezone.now() - timedelta(seconds=settings.WORKER_SEEN_S)
    return WorkerBeat.objects.filter(beat_at__gte=since)


def queues_served() -> set[str]:
    """Return the queues on which a living worker listens (and the scheduler's name)."""
    listened = (beat.queues.split(",") for beat in beats())
    return {queue for queues in listened for queue in queues if queue}


def worker_is_there(queue: str = "") -> bool:
    """Say whether a worker (of this queue) has a recent heartbeat."""
    served = queues_served()
    return queue in served if queue else bool(served - {SCHEDULER})


def stuck(served: Iterable[str]) -> QuerySet[Job]:
    """Return stuck jobs: their worker is gone, or none listens on their queue."""
    now = timezone.now()
    unserved = [kind for kind, (_, queue) in TASKS.items() if queue not in set(served)]
    forgotten = now - timedelta(seconds=settings.STALE_AFTER_S + 3 * settings.HEARTBEAT_S + 10)
    waiting = now - timedelta(seconds=60)
    return Job.objects.filter(
        Q(state=Job.State.RUNNING, heartbeat_at__lt=forgotten)
        | Q(state=Job.State.QUEUED, kind__in=unserved, queued_at__lt=waiting)
    )


def cancel(job: Job) -> None:
    """Stop a job: immediately if nobody works on it, else at its next heartbeat."""
    now = timezone.now()
    stopped = Job.objects.filter(pk=job.pk, state=Job.State.QUEUED).update(
        state=Job.State.CANCELLED, finished_at=now, reason="cancelled before it started"
    )
    if not stopped:
        Job.objects.filter(pk=job.pk, state=Job.State.RUNNING).update(cancel_requested=True)


def can_help_to_retry(ended: Iterable[Job]) -> set[int]:
    """Return the ids of those that failed, were not asked again, and could end otherwise.

    Imports are left out, because their own page starts them again. So are refused requests
    (`bad_input`), which would be refused again.
    """
    failed = {
        _retry_key(job): job.pk
        for job in ended
        if job.state == Job.State.FAILED
        and job.kind != JobKind.IMPORT
        and not job.result.get("bad_input")
    }
    asked_again = Job.objects.filter(key__in=failed).values_list("key", flat=True)
    return set(failed.values()) - {failed[key] for key in asked_again}


def _retry_key(job: Job) -> str:
    return f"retry:{job.uid.hex}"


def retry(job: Job) -> Job:
    """Request a failed or cancelled job again: a new job with the same arguments.

    Its key names the job that it retries, so two clicks create one job; if that one failed too,
    it is the one that is retried.
    """
    again = enqueue(
        job.kind,
        library=job.library,
        key=_retry_key(job),
        arguments=dict(job.arguments),
        by_id=job.by_id,
    )
    return retry(again) if again.state in (Job.State.FAILED, Job.State.CANCELLED) else again
