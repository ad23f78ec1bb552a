"""The sweep queues what died, announces what nobody heard of, and may run several times."""

from __future__ import annotations

import threading
from datetime import timedelta
from unittest.mock import Mock

import pytest
from django.db import InterfaceError
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from labeling import jobs
from labeling.models import DirtyKey, Job, WorkerBeat
from labeling.models.jobs import JobKind
from tests.factories import make_annotator, make_library, make_track
from workers import tasks
from workers.jobs import beats, run, schedules, upkeep
from workers.jobs.beats import GRACE_S, is_shutting_down
from workers.jobs.heartbeat import Heartbeat

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch):
    messages = []
    monkeypatch.setattr(jobs, "send_message", lambda *message: messages.append(message) or True)
    return messages


@pytest.fixture
def job():
    return jobs.enqueue(JobKind.TRAIN, library=make_library(), is_announced=False)


def beat(queues, ago_s=0, name="w"):
    WorkerBeat.objects.create(
        name=name, queues=queues, pid=1, beat_at=timezone.now() - timedelta(seconds=ago_s)
    )


def dead(job, attempts=1, **fields):
    run.claim(job.pk)
    Job.objects.filter(pk=job.pk).update(
        heartbeat_at=timezone.now() - timedelta(seconds=60), attempts=attempts, **fields
    )


class TestDeadWorkers:
    def test_their_job_is_queued_and_announced(self, job, sent):
        beat("ml")
        dead(job)
        assert upkeep.sweep()["revived"] == 1
        job.refresh_from_db()
        assert (job.state, job.token, job.attempts) == (Job.State.QUEUED, None, 1)
        assert job.reason.startswith("the worker died (last seen at ")
        assert sent == [("workers.train_model", [job.pk], "ml")]
        assert run.claim(job.pk) is not None

    def test_their_job_fails_after_three_deaths(self, job, sent):
        dead(job, attempts=3)
        upkeep.sweep()
        job.refresh_from_db()
        assert job.state == Job.State.FAILED
        assert job.reason.startswith("the worker died 3 times (last at 20")
        assert job.finished_at is not None

    def test_their_cancelled_job_ends_cancelled(self, job, sent):
        dead(job, cancel_requested=True)
        upkeep.sweep()
        job.refresh_from_db()
        assert (job.state, job.reason) == (Job.State.CANCELLED, "cancelled")

    def test_a_job_that_beats_is_left_alone(self, job, sent):
        run.claim(job.pk)
        assert upkeep.sweep()["revived"] == 0
        job.refresh_from_db()
        assert job.state == Job.State.RUNNING

    def test_one_of_two_sweeps_wins(self, job, sent):
        dead(job)
        now = timezone.now()
        (seen,) = upkeep._stale(now)
        assert upkeep._revive(seen, now)
        assert not upkeep._revive(seen, now)

    def test_a_beat_between_looking_and_acting_saves_the_job(self, job):
        dead(job)
        now = timezone.now()
        (seen,) = upkeep._stale(now)
        Job.objects.filter(pk=job.pk).update(heartbeat_at=now)
        assert not upkeep._revive(seen, now)


class TestLostMessages:
    def test_an_unsent_job_is_sent_once(self, job, sent):
        beat("audio,ml")
        upkeep.sweep()
        upkeep.sweep()
        assert sent == [("workers.train_model", [job.pk], "ml")]

    def test_nothing_is_sent_where_nobody_listens(self, job, sent):
        beat("default")
        upkeep.sweep()
        assert sent == []

    @pytest.mark.parametrize(
        ("age_s", "sent_s", "is_due"),
        [(9, 9, False), (11, 11, True), (50, 20, False), (60, 30, True), (3600, 59, False)],
    )
    def test_the_pauses_double_up_to_a_minute(self, job, age_s, sent_s, is_due):
        now = timezone.now()
        job.queued_at = now - timedelta(seconds=age_s)
        job.sent_at = now - timedelta(seconds=sent_s)
        assert upkeep._is_due(job, now) is is_due

    def test_one_of_two_sweeps_sends(self, job, sent):
        now = timezone.now()
        assert upkeep._announce(job, now)
        job.sent_at = None
        assert not upkeep._announce(job, now)


class TestBeats:
    def test_old_ones_are_removed(self, sent):
        beat("ml", ago_s=3600, name="old")
        beat("ml", name="new")
        upkeep.sweep()
        assert list(WorkerBeat.objects.values_list("name", flat=True)) == ["new"]

    def test_only_a_recent_one_counts(self):
        beat("ml", ago_s=16)
        assert not jobs.worker_is_there()
        beat("audio", ago_s=14, name="x")
        assert jobs.worker_is_there()
        assert jobs.worker_is_there("audio")
        assert not jobs.worker_is_there("ml")

    def test_the_scheduler_is_no_worker(self):
        beat(jobs.SCHEDULER)
        assert not jobs.worker_is_there()

    def test_a_worker_that_stops_gives_its_work_a_pause(self, monkeypatch):
        beat("", name="stopping")
        beat("ml", name="working")
        assert not is_shutting_down("")
        assert not is_shutting_down("working")
        assert not is_shutting_down("stopping")
        later = timezone.now() + timedelta(seconds=GRACE_S + 1)
        monkeypatch.setattr("workers.jobs.beats.timezone.now", lambda: later)
        assert is_shutting_down("stopping")


class TestStuck:
    def test_it_names_dead_and_unserved_jobs(self, job):
        other = jobs.enqueue(JobKind.SNAPSHOT, library=None, is_announced=False)
        assert list(jobs.stuck([])) == []
        Job.objects.update(queued_at=timezone.now() - timedelta(seconds=90))
        assert set(jobs.stuck(["ml"])) == {other}
        dead(job)
        assert set(jobs.stuck(["ml", "default"])) == {job}


class TestSchedule:
    def test_it_is_made_once_and_keeps_changes(self):
        names = ["Sweep", "Consistency", "Retrain at night", "Prune at night"]
        assert schedules.ensure_schedules() == names
        PeriodicTask.objects.filter(name="Retrain at night").update(enabled=False)
        assert schedules.ensure_schedules() == []
        nightly = PeriodicTask.objects.get(name="Retrain at night")
        assert (nightly.enabled, nightly.task) == (False, "workers.retrain_all")
        assert (nightly.crontab.hour, nightly.crontab.minute) == ("3", "0")
        assert PeriodicTask.objects.get(name="Sweep").interval.every == 5

    def test_consistency_is_asked_once_a_slot_where_answers_came(self):
        library, _ = make_library(), make_library()
        DirtyKey.objects.create(
            library=library,
            annotator=make_annotator(library),
            track=make_track(library),
            day="2026-01-01",
        )
        (first,) = upkeep.refresh_consistency()
        (second,) = upkeep.refresh_consistency()
        assert first == second
        assert (first.library, first.kind) == (library, JobKind.CONSISTENCY)

    def test_a_library_in_trouble_holds_up_no_other_at_night(self, monkeypatch, caplog):
        bad, good = make_library(), make_library()
        asked = []

        def request(library):
            if library == bad:
                raise ValueError("features of an older version")
            asked.append(library)

        monkeypatch.setattr("labeling.loop.retraining.request_nightly", request)
        tasks.retrain_all()
        assert asked == [good]
        assert "no nightly training was requested" in caplog.text


class TestBeatsGoOn:
    """A thread that beats must outlive whatever goes wrong in one beat."""

    def test_of_a_job(self, monkeypatch):
        monkeypatch.setattr("workers.jobs.heartbeat.connection", Mock(in_atomic_block=False))
        monkeypatch.setattr("workers.jobs.heartbeat.connections", Mock())
        beaten, again = [], threading.Event()

        def beat():
            beaten.append(1)
            if len(beaten) == 1:
                raise InterfaceError("connection already closed")
            again.set()

        with Heartbeat(beat, 0.01):
            assert again.wait(20)

    def test_of_a_worker(self, monkeypatch):
        monkeypatch.setattr("workers.jobs.beats.BEAT_S", 0.01)
        monkeypatch.setattr("workers.jobs.beats.connections", Mock())
        swept, again = [], threading.Event()

        def sweep():
            swept.append(1)
            if len(swept) == 1:
                raise KeyError("a kind of job of a later version")
            again.set()

        beat = beats.ProcessBeat("w", "ml", sweep)
        monkeypatch.setattr(beat, "write", lambda: None)
        beat.start()
        assert again.wait(20)
        beat.end()
