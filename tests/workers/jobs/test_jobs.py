"""A job is claimed once, committed once, and its row says how it ended."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from labeling import jobs
from labeling.errors import BadInput
from labeling.models import Job, Library
from labeling.models.jobs import JobKind
from ml.errors import CancelledError, NothingToLearnError
from tests.factories import make_library
from tests.workers.jobs_for_tests import doing
from workers.jobs import run as job_run
from workers.jobs import upkeep
from workers.jobs.run import claim, execute, run_inline
from workers.jobs.stopping import HandedBack

pytestmark = pytest.mark.django_db
KIND = JobKind.SNAPSHOT


@pytest.fixture
def job():
    return jobs.enqueue(KIND, library=make_library(), arguments={"a": 1}, is_announced=False)


def done(job):
    job.refresh_from_db()
    return job


def rename(run, name):
    Library.objects.filter(pk=run.job.library_id).update(name=name)


class TestClaim:
    def test_it_gives_the_job_to_one(self, job):
        first, second = claim(job.pk), claim(job.pk)
        assert first is not None
        assert second is None
        assert done(job).state == Job.State.RUNNING
        assert (job.token, job.attempts) == (first.token, 1)

    @pytest.mark.parametrize("state", ["running", "done", "failed", "cancelled"])
    def test_it_leaves_what_is_not_queued(self, job, state):
        Job.objects.filter(pk=job.pk).update(state=state)
        with doing(KIND, lambda run: pytest.fail("worked on it")):
            execute(job.pk)
        assert done(job).state == state

    def test_a_job_that_is_not_there_is_no_error(self):
        assert claim(987_654) is None


class TestCommit:
    def test_the_result_and_the_writes_come_together(self, job):
        def work(run):
            run.progress(3, 7, "on the way")
            with run.committing({"snapshot": 5}) as result:
                rename(run, "written")
                result["hash"] = "ab"

        with doing(KIND, work):
            execute(job.pk)
        assert done(job).state == Job.State.DONE
        assert job.result == {"snapshot": 5, "hash": "ab"}
        assert (job.done, job.total, job.message) == (7, 7, "on the way")
        assert job.finished_at is not None
        assert job.library.name == "written"

    def test_what_the_function_returns_is_the_result(self, job):
        with doing(KIND, lambda run: {"tracks": 4} | run.arguments):
            execute(job.pk)
        assert done(job).result == {"tracks": 4, "a": 1}

    def test_an_attempt_that_lost_its_lease_writes_nothing(self, job):
        def work(run):
            name = run.library.name
            Job.objects.filter(pk=job.pk).update(token=uuid.uuid4())
            with run.committing({"late": True}):
                rename(run, "written late")
            pytest.fail(f"committed for {name}")

        with doing(KIND, work):
            execute(job.pk)
        assert done(job).state == Job.State.RUNNING
        assert job.result == {}
        assert Library.objects.get(pk=job.library_id).name != "written late"

    def test_fenced_writes_hold_only_with_the_lease(self, job):
        run = claim(job.pk)
        with run.fenced():
            rename(run, "mine")
        Job.objects.filter(pk=job.pk).update(token=uuid.uuid4())
        with pytest.raises(job_run.LeaseLost), run.fenced():
            rename(run, "not mine any more")
        assert Library.objects.get(pk=job.library_id).name == "mine"

    def test_an_error_after_the_commit_changes_nothing(self, job):
        def work(run):
            with run.committing({"n": 1}):
                pass
            raise RuntimeError("too late")

        with doing(KIND, work):
            execute(job.pk)
        assert (done(job).state, job.result, job.reason) == (Job.State.DONE, {"n": 1}, "")


class TestErrors:
    @pytest.mark.parametrize("error", [BadInput("no labels"), NothingToLearnError("no labels")])
    def test_what_is_refused_fails_with_its_message(self, job, error):
        with doing(KIND, raising(error)):
            execute(job.pk)
        assert (done(job).state, job.reason) == (Job.State.FAILED, "no labels")
        assert job.result == {"bad_input": isinstance(error, BadInput)}

    def test_a_crash_is_tried_three_times(self, job):
        states = []
        with doing(KIND, raising(ZeroDivisionError("by zero"))):
            for _ in range(3):
                execute(job.pk)
                states.append(done(job).state)
        assert states == ["queued", "queued", "failed"]
        assert job.reason == "crashed: ZeroDivisionError: by zero"
        assert job.attempts == 3
        assert job.finished_at is not None

    def test_a_crash_waits_for_the_sweep(self, job):
        with doing(KIND, raising(MemoryError())):
            execute(job.pk)
        now = timezone.now()
        assert upkeep._unheard(now) == []
        assert upkeep._unheard(now + timedelta(seconds=11)) == [job]

    def test_the_traceback_is_logged(self, job, caplog):
        with doing(KIND, raising(KeyError("x"))):
            execute(job.pk)
        assert "Traceback" in caplog.text
        assert "KeyError" in caplog.text

    def test_a_job_without_its_library_says_so(self):
        job = jobs.enqueue(KIND, library=None, is_announced=False)
        with doing(KIND, lambda run: {"slug": run.library.slug}):
            execute(job.pk)
        assert done(job).reason == "a job of kind snapshot needs a library"


def raising(error):
    def work(run):
        raise error

    return work


class TestStopping:
    def test_a_cancelled_job_ends_cancelled(self, job):
        def work(run):
            jobs.cancel(run.job)
            run.beat()
            assert run.should_stop()
            raise CancelledError("stopped between two epochs")

        with doing(KIND, work):
            execute(job.pk)
        assert (done(job).state, job.reason) == (Job.State.CANCELLED, "cancelled")

    def test_a_commit_after_the_cancel_is_rolled_back(self, job):
        def work(run):
            jobs.cancel(run.job)
            with run.committing():
                rename(run, "cancelled")

        with doing(KIND, work):
            execute(job.pk)
        assert done(job).state == Job.State.CANCELLED
        assert Library.objects.get(pk=job.library_id).name != "cancelled"

    def test_a_queued_job_is_cancelled_at_once(self, job):
        jobs.cancel(job)
        assert (done(job).state, job.reason) == ("cancelled", "cancelled before it started")

    def test_a_job_handed_back_keeps_its_attempts(self, job):
        def work(run):
            run._stopped = HandedBack
            run.check()

        with doing(KIND, work):
            execute(job.pk)
        assert (done(job).state, job.attempts, job.token) == (Job.State.QUEUED, 0, None)

    def test_a_beat_after_another_worker_took_over_stops(self, job):
        run = claim(job.pk)
        run.beat()
        assert not run.should_stop()
        Job.objects.filter(pk=job.pk).update(token=uuid.uuid4())
        run.beat()
        with pytest.raises(job_run.LeaseLost):
            run.check()

    def test_the_beat_writes_the_progress(self, job):
        run = claim(job.pk)
        run.progress(2, 9, "epoch 2")
        run.beat()
        assert (done(job).done, job.total, job.message) == (2, 9, "epoch 2")


class TestInline:
    def test_it_ends_in_this_process(self, job):
        with doing(KIND, lambda run: {"n": 3}):
            assert run_inline(job).result == {"n": 3}

    def test_a_crash_is_not_tried_again(self, job):
        with doing(KIND, raising(OSError("no disk"))):
            ended = run_inline(job)
        assert (ended.state, ended.reason) == ("failed", "crashed: OSError: no disk")

    def test_interrupting_it_cancels_it(self, job):
        with doing(KIND, raising(KeyboardInterrupt())), pytest.raises(KeyboardInterrupt):
            run_inline(job)
        assert (done(job).state, job.reason) == ("cancelled", "interrupted")


class TestAsking:
    def test_a_key_makes_one_job(self):
        first = jobs.enqueue(KIND, library=None, key="monday")
        assert jobs.enqueue(KIND, library=None, key="monday") == first

    def test_a_library_trains_once_at_a_time(self):
        library = make_library()
        first = jobs.enqueue(JobKind.TRAIN, library=library)
        assert jobs.enqueue(JobKind.TRAIN, library=library) == first
        Job.objects.filter(pk=first.pk).update(state=Job.State.DONE)
        assert jobs.enqueue(JobKind.TRAIN, library=library) != first

    def test_retrying_asks_for_the_same_again(self, job):
        again = jobs.retry(job)
        assert again.pk != job.pk
        assert (again.kind, again.library, again.arguments) == (KIND, job.library, {"a": 1})

    def test_a_broker_that_is_gone_is_no_error(self, job, settings):
        settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
        assert jobs.send(job) is False
        assert done(job).sent_at is None

    def test_every_kind_has_a_task_and_a_queue(self):
        assert set(jobs.TASKS) == set(JobKind)
        assert {queue for _, queue in jobs.TASKS.values()} == set(jobs.QUEUES)
