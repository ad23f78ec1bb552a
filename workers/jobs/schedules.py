"""The default schedule. Changes by an administrator are kept."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from workers.jobs.upkeep import CONSISTENCY_SLOT_S, PRUNE, REFRESH_CONSISTENCY, SWEEP

RETRAIN_ALL = "workers.retrain_all"


@dataclass(frozen=True)
class Entry:
    """One line of the schedule: every so many seconds, or daily at an hour."""

    name: str
    task: str
    description: str
    every_s: int = 0
    at_hour: int = 0


ENTRIES = (
    Entry(
        "Sweep",
        SWEEP,
        "Queues again what a killed worker left, and sends lost messages again.",
        every_s=5,
    ),
    Entry(
        "Consistency",
        REFRESH_CONSISTENCY,
        "Counts new answers and measures agreement and drift again.",
        every_s=CONSISTENCY_SLOT_S,
    ),
    Entry(
        "Retrain at night",
        RETRAIN_ALL,
        "Trains every library that has new answers. Untick Enabled to stop it.",
        at_hour=3,
    ),
    Entry(
        "Prune at night",
        PRUNE,
        "Removes files of old models, snapshots and predictions, old jobs and uploads.",
        at_hour=5,
    ),
)


def ensure_schedules() -> list[str]:
    """Add the missing entries; return their names. To stop an entry, disable it."""
    added = []
    for entry in ENTRIES:
        with transaction.atomic():
            if PeriodicTask.objects.filter(name=entry.name).exists():
                continue
            PeriodicTask.objects.create(
                name=entry.name,
                task=entry.task,
                description=entry.description,
                queue="default",
                expire_seconds=entry.every_s or None,
                **_timing(entry),
            )
            added.append(entry.name)
    return added


def _timing(entry: Entry) -> dict[str, IntervalSchedule | CrontabSchedule]:
    if entry.every_s:
        interval, _ = IntervalSchedule.objects.get_or_create(
            every=entry.every_s, period=IntervalSchedule.SECONDS
        )
        return {"interval": interval}
    crontab, _ = CrontabSchedule.objects.get_or_create(minute="0", hour=str(entry.at_hour))
    return {"crontab": crontab}
