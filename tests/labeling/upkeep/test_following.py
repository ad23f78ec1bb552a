"""A command follows background work where a worker is there, or says what would run it."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from labeling.management import following
from labeling.models import Job, WorkerBeat

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(tmp_path):
    """Import two files; return the answer and what went to stderr."""
    (tmp_path / "a").mkdir()
    for name in ("1.mp3", "2.mp3"):
        (tmp_path / "a" / name).write_bytes(b"x")
    table = tmp_path / "c.csv"
    table.write_text("filename\na/1.mp3\na/2.mp3\n")

    def run(*options):
        out, err = io.StringIO(), io.StringIO()
        words = ["--audio", str(tmp_path), "--library", "lib", "--json", *options]
        call_command("import_library", str(table), *words, stdout=out, stderr=err)
        return json.loads(out.getvalue()), err.getvalue()

    return run


@pytest.fixture
def worker():
    WorkerBeat.objects.create(name="w", queues="audio", pid=1, beat_at=timezone.now())


class Looks:
    """Replaces the pause between two polls: a worker does its part in it."""

    def __init__(self, *steps):
        self.steps = list(steps)

    def wait(self, seconds):
        Job.objects.update(**self.steps.pop(0))


@pytest.fixture
def meanwhile(monkeypatch):
    def meanwhile(*steps):
        looks = Looks(*steps)
        monkeypatch.setattr(following, "Event", lambda: looks)
        return looks

    return meanwhile


def test_without_a_worker_it_says_what_would_run_them(run):
    answer, told = run()
    job = Job.objects.get()
    assert answer["pending_jobs"] == [job.pk]
    assert answer["tracks_created"] == 2
    (line,) = told.strip().splitlines()[-1:]
    assert f"job {job.pk}" in line
    assert "make run" in line


def test_no_wait_leaves_it_to_the_worker(run, worker, meanwhile):
    looks = meanwhile({"state": "done"})
    answer, _ = run("--no-wait")
    assert answer["pending_jobs"] == [Job.objects.get().pk]
    assert len(looks.steps) == 1


def test_with_a_worker_it_is_followed_to_the_end(run, worker, meanwhile):
    looks = meanwhile(
        {"state": "running", "total": 2},
        {"done": 1},
        {"done": 2, "state": "done"},
    )
    answer, told = run()
    assert "pending_jobs" not in answer
    assert looks.steps == []
    assert f"[{'.' * 24}] 0 of 2" in told
    assert "1 of 2" in told
    assert told.strip().endswith("done")


def test_a_worker_that_goes_away_leaves_it_pending(run, worker, meanwhile, monkeypatch):
    meanwhile({"state": "running"})
    there = iter([True, False])
    monkeypatch.setattr(following.jobs, "worker_is_there", lambda queue: next(there))
    answer, told = run()
    assert answer["pending_jobs"] == [Job.objects.get().pk]
    assert "waits for a worker" in told


def test_a_failed_probe_fails_the_command(run, worker, meanwhile):
    meanwhile({"state": "failed", "reason": "the disk is full"})
    with pytest.raises(
        CommandError, match=r"imported, but .* failed: the disk is full"
    ) as failed:
        run()
    assert failed.value.returncode == 1
