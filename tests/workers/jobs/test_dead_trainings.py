"""A training whose worker died for good: its run does not seem to go on for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling import jobs
from labeling.loop import features
from labeling.loop.datasets import snapshots
from labeling.loop.registry import models
from labeling.models import Job, TrainingRun
from labeling.models.jobs import JobKind
from ml.types import TrainingConfig
from tests.planted_library import plant
from workers.jobs import run as job_run
from workers.jobs import upkeep

pytestmark = pytest.mark.django_db


@pytest.fixture
def job(monkeypatch):
    """A job whose worker was killed while it trained."""
    monkeypatch.setattr(jobs, "send_message", lambda *message: True)
    library = plant(n_tracks=12, n_audit=3).library
    job = jobs.enqueue(JobKind.TRAIN, library=library, is_announced=False)
    job_run.claim(job.pk)
    models.start_run(
        snapshots.take_snapshot(library, snapshots.Selection(min_support=2)),
        features.feature_set_of("audiotag"),
        TrainingConfig(network="pooled-numpy"),
        digest="d",
        facts={},
        versions={},
        job=job,
    )
    long_ago = timezone.now() - timedelta(minutes=5)
    Job.objects.filter(pk=job.pk).update(heartbeat_at=long_ago)
    return job


def test_the_last_death_ends_the_run(job):
    Job.objects.filter(pk=job.pk).update(attempts=3)
    upkeep.sweep()
    job.refresh_from_db()
    run = TrainingRun.objects.get()
    assert (job.state, run.state) == ("failed", "failed")
    assert run.reason == job.reason
    assert run.reason.startswith("the worker died 3 times")
    assert run.finished_at is not None


def test_death_after_a_cancel_ends_the_run(job):
    Job.objects.filter(pk=job.pk).update(cancel_requested=True)
    upkeep.sweep()
    assert TrainingRun.objects.get().state == "failed"


def test_an_earlier_death_leaves_it_to_the_next_attempt(job):
    upkeep.sweep()
    job.refresh_from_db()
    assert (job.state, TrainingRun.objects.get().state) == ("queued", "running")
