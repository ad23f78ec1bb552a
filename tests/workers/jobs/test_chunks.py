"""Chunks: shared by processes, done once each, and safe against those that die or crash."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling import jobs
from labeling.models import Job, JobChunk
from labeling.models.jobs import JobKind
from tests.factories import make_library
from tests.workers.jobs_for_tests import doing
from workers.jobs import chunks
from workers.jobs import run as job_run

pytestmark = pytest.mark.django_db
KIND = JobKind.FEATURES
PARTS = [{"ids": [1, 2]}, {"ids": [3, 4]}, {"ids": [5]}]


@pytest.fixture
def job():
    return jobs.enqueue(KIND, library=make_library(), is_announced=False)


def never():
    return False


def sums(run):
    return {"total": sum(part["sum"] for part in run.do_chunks(PARTS))}


def add_up(lease):
    return {"sum": sum(lease.arguments["ids"])}


def ended(job):
    job.refresh_from_db()
    return job


class TestOwner:
    def test_it_does_all_chunks_and_sees_their_results(self, job):
        with doing(KIND, sums, add_up):
            job_run.execute(job.pk)
        assert ended(job).result == {"total": 15}
        assert (job.done, job.total) == (5, 5)

    def test_its_successor_does_only_what_is_left(self, job):
        seen = []

        def die_in_the_third(lease):
            seen.append(lease.arguments["ids"])
            if len(seen) == 3:
                raise KeyboardInterrupt
            return add_up(lease)

        with doing(KIND, sums, die_in_the_third), pytest.raises(KeyboardInterrupt):
            job_run.execute(job.pk)
        Job.objects.filter(pk=job.pk).update(state=Job.State.QUEUED)
        JobChunk.objects.filter(state="leased").update(until=timezone.now())
        with doing(KIND, sums, die_in_the_third):
            job_run.execute(job.pk)
        assert ended(job).result == {"total": 15}
        assert seen == [[1, 2], [3, 4], [5], [5]]

    def test_a_chunk_that_always_crashes_fails_the_job_after_the_others(self, job):
        done = []

        def crash(lease):
            if 3 in lease.arguments["ids"]:
                raise ValueError("bad file")
            done.append(lease.chunk.n)
            return add_up(lease)

        with doing(KIND, sums, crash):
            job_run.execute(job.pk)
        assert ended(job).state == Job.State.FAILED
        assert job.reason == "1 of 3 parts failed, first part 2: ValueError: bad file"
        assert done == [0, 2]

    def test_a_cancel_ends_it_between_chunks(self, job):
        def cancel(lease):
            jobs.cancel(lease.job)
            return add_up(lease)

        with doing(KIND, sums, cancel):
            job_run.execute(job.pk)
        assert ended(job).state == Job.State.CANCELLED
        assert not JobChunk.objects.filter(job=job, state="done").exists()

    def test_no_chunks_are_no_work(self, job):
        with doing(KIND, lambda run: {"n": len(run.do_chunks([]))}, add_up):
            job_run.execute(job.pk)
        assert ended(job).result == {"n": 0}


class TestLease:
    @pytest.fixture
    def running(self, job):
        job_run.claim(job.pk)
        chunks.make_chunks(job, PARTS)
        return job

    def test_two_processes_get_different_chunks(self, running):
        first, second = chunks.lease(running, never), chunks.lease(running, never)
        assert (first.chunk.n, second.chunk.n) == (0, 1)

    def test_a_lease_that_ran_out_is_given_again_and_the_late_one_discarded(self, running):
        late = chunks.lease(running, never)
        JobChunk.objects.filter(pk=late.chunk.pk).update(
            until=timezone.now() - timedelta(seconds=1)
        )
        again = chunks.lease(running, never)
        assert (again.chunk.n, again.chunk.attempts) == (0, 2)
        with again.finishing({"by": "the second"}):
            pass
        with pytest.raises(chunks.LeaseLost), late.finishing({"by": "the first"}):
            pass
        assert JobChunk.objects.get(pk=late.chunk.pk).result == {"by": "the second"}

    def test_renewing_tells_that_it_was_lost(self, running):
        held = chunks.lease(running, never)
        held.renew()
        assert not held.should_stop()
        JobChunk.objects.filter(pk=held.chunk.pk).update(token=None, state="open")
        held.renew()
        assert held.should_stop()

    def test_a_chunk_whose_workers_died_three_times_fails(self, running):
        for _ in range(3):
            held = chunks.lease(running, never)
            JobChunk.objects.filter(pk=held.chunk.pk).update(
                until=timezone.now() - timedelta(seconds=1)
            )
        assert chunks.lease(running, never).chunk.n == 1
        row = JobChunk.objects.get(job=running, n=0)
        assert (row.state, row.result) == ("failed", {"reason": "its worker died 3 times"})

    def test_a_cancelled_job_takes_no_more_chunks(self, running):
        held = chunks.lease(running, never)
        jobs.cancel(running)
        with pytest.raises(chunks.LeaseLost), held.finishing():
            pass

    def test_making_twice_makes_once(self, running):
        chunks.make_chunks(running, PARTS * 2)
        assert JobChunk.objects.filter(job=running).count() == 3


class TestHelper:
    def test_it_shares_the_chunks_of_a_running_job(self, job):
        job_run.claim(job.pk)
        chunks.make_chunks(job, PARTS)
        with doing(KIND, sums, add_up):
            assert chunks.help_with(job.pk) == 3
            assert chunks.help_with(job.pk) == 0
        assert ended(job).state == Job.State.RUNNING  # the owner commits it

    @pytest.mark.parametrize("state", ["queued", "done", "cancelled"])
    def test_it_leaves_a_job_that_does_not_run(self, job, state):
        chunks.make_chunks(job, PARTS)
        Job.objects.filter(pk=job.pk).update(state=state)
        with doing(KIND, sums, add_up):
            assert chunks.help_with(job.pk) == 0
