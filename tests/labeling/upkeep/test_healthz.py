"""/healthz: 200 while pages work, 503 else, and nothing in it that helps an intruder."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from labeling import health, jobs
from labeling.models import Job, WorkerBeat
from labeling.models.jobs import JobKind

pytestmark = pytest.mark.django_db


def beat(queues):
    WorkerBeat.objects.create(name=queues, queues=queues, pid=1, beat_at=timezone.now())


def test_all_is_well(client):
    beat("audio,ml")
    beat("default")
    beat(jobs.SCHEDULER)
    answer = client.get("/healthz?strict=1")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "checks": {
            "database": True,
            "migrations": True,
            "worker_audio": True,
            "worker_ml": True,
            "worker_default": True,
            "schedule": True,
            "jobs": True,
        },
    }


def test_without_workers_pages_still_work(client):
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"]["worker_ml"] is False
    assert client.get("/healthz?strict=1").status_code == 503


def test_a_job_nobody_moves_shows(client):
    job = jobs.enqueue(JobKind.TRAIN, library=None, is_announced=False)
    Job.objects.filter(pk=job.pk).update(queued_at=timezone.now() - timedelta(hours=1))
    assert client.get("/healthz").json()["checks"]["jobs"] is False


def test_a_database_that_is_gone_is_503_without_its_address(client, monkeypatch):
    def fail():
        raise OperationalError("could not connect to db.internal:5432 as audiotag")

    monkeypatch.setattr(health.connection, "cursor", fail)
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (503, "down")
    assert b"internal" not in answer.content


def test_a_missing_migration_is_503(client, monkeypatch):
    class Behind(health.MigrationExecutor):
        def migration_plan(self, targets, clean_start=False):
            (app, name), *_ = targets
            return [(self.loader.graph.nodes[app, name], False)]

    monkeypatch.setattr(health, "MigrationExecutor", Behind)
    assert client.get("/healthz").status_code == 503


def test_it_may_be_asked_and_nothing_else(client):
    assert client.head("/healthz").status_code == 200
    assert client.post("/healthz").status_code == 405
    assert "no-cache" in client.get("/healthz")["Cache-Control"]
