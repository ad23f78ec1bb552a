"""The Jobs page: state, progress and reason of each job; cancel and retry for curators."""

from __future__ import annotations

import pytest
from django.utils import timezone

from labeling import jobs
from labeling.models import Job, WorkerBeat
from labeling.models.jobs import JobKind
from labeling.templatetags.job_names import job_name
from tests.factories import make_library, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def library():
    return make_library("house")


@pytest.fixture
def curator(client, library):
    client.force_login(make_user("anna", library=library, role="curator"))
    return client


def make_job(library, **fields):
    job = jobs.enqueue(JobKind.FEATURES, library=library, is_announced=False)
    Job.objects.filter(pk=job.pk).update(**fields)
    return Job.objects.get(pk=job.pk)


def page(client, part=""):
    answer = client.get(f"/jobs/house/{part}")
    assert answer.status_code == 200
    return answer.content.decode()


class TestList:
    def test_nothing_yet_says_what_comes(self, curator):
        assert "No jobs yet" in page(curator)

    def test_progress_and_message_of_what_runs(self, curator, library):
        make_job(library, state="running", done=3, total=12, message="epoch 3")
        html = page(curator)
        assert "3 of 12" in html
        assert 'max="12" value="3"' in html
        assert "epoch 3" in html

    def test_the_reason_of_what_failed_is_escaped(self, curator, library):
        make_job(library, state="failed", reason="crashed: <b>bold</b>", attempts=3)
        html = page(curator)
        assert "crashed: &lt;b&gt;bold&lt;/b&gt;" in html
        assert "attempt 3 of 3" in html

    def test_the_rows_alone(self, curator, library):
        make_job(library)
        rows = page(curator, "rows/")
        assert "Compute features" in rows
        assert "<html" not in rows

    def test_other_libraries_stay_out(self, curator):
        make_job(make_library("other"), reason="not yours")
        assert "not yours" not in page(curator)

    def test_without_a_worker_it_says_so(self, curator, library):
        make_job(library)
        assert "No worker is running" in page(curator)

    def test_with_a_worker_of_another_queue_it_names_the_missing_one(self, curator, library):
        make_job(library)
        WorkerBeat.objects.create(name="w", queues="ml", pid=1, beat_at=timezone.now())
        assert "No worker serves the queue audio" in page(curator)
        WorkerBeat.objects.create(name="v", queues="audio", pid=1, beat_at=timezone.now())
        assert "No worker" not in page(curator)


class TestActions:
    def test_a_waiting_job_is_cancelled(self, curator, library):
        job = make_job(library)
        answer = curator.post(f"/jobs/house/{job.pk}/cancel/")
        job.refresh_from_db()
        assert (answer.url, job.state) == ("/jobs/house/", "cancelled")

    def test_a_running_job_is_asked_to_stop(self, curator, library):
        job = make_job(library, state="running")
        curator.post(f"/jobs/house/{job.pk}/cancel/")
        job.refresh_from_db()
        assert (job.state, job.cancel_requested) == ("running", True)
        assert "stopping" in page(curator)

    def test_a_failed_job_is_asked_again(self, curator, library):
        job = make_job(library, state="failed", arguments={"features": "seed-1s"})
        curator.post(f"/jobs/house/{job.pk}/retry/")
        again = Job.objects.exclude(pk=job.pk).get()
        assert (again.state, again.arguments) == ("queued", {"features": "seed-1s"})

    def test_two_clicks_ask_once_and_a_failed_retry_can_be_tried_again(self, curator, library):
        job = make_job(library, state="failed", arguments={"features": "seed-1s"})
        for _ in range(2):
            curator.post(f"/jobs/house/{job.pk}/retry/")
        again = Job.objects.exclude(pk=job.pk).get()
        Job.objects.filter(pk=again.pk).update(state="cancelled")
        for _ in range(2):
            curator.post(f"/jobs/house/{job.pk}/retry/")
        third = Job.objects.exclude(pk__in=[job.pk, again.pk]).get()
        assert (third.state, third.arguments) == ("queued", {"features": "seed-1s"})

    @pytest.mark.parametrize(("action", "state"), [("retry", "done"), ("cancel", "failed")])
    def test_what_cannot_be_done_changes_nothing(self, curator, library, action, state):
        job = make_job(library, state=state)
        curator.post(f"/jobs/house/{job.pk}/{action}/")
        job.refresh_from_db()
        assert (job.state, Job.objects.count()) == (state, 1)

    @pytest.mark.parametrize("action", ["cancel", "retry"])
    def test_who_may(self, client, library, action):
        job = make_job(library, state="failed")
        address = f"/jobs/house/{job.pk}/{action}/"
        assert client.post(address).status_code == 302
        client.force_login(make_user(library=library, role="annotator"))
        assert client.post(address).status_code == 403
        client.force_login(make_user())
        assert client.post(address).status_code == 404
        client.force_login(make_user(library=library, role="manager"))
        assert client.get(address).status_code == 405

    def test_a_job_of_another_library_is_not_found(self, curator):
        job = make_job(make_library("other"))
        assert curator.post(f"/jobs/house/{job.pk}/cancel/").status_code == 404

    def test_retry_is_offered_once_and_only_where_it_can_help(self, curator, library):
        job = make_job(library, state="failed", reason="the worker died 3 times")
        retry = f"/jobs/house/{job.pk}/retry/"
        assert retry in page(curator)
        curator.post(retry)
        assert retry not in page(curator)

    @pytest.mark.parametrize(
        "fields",
        [
            {"state": "done"},
            {"state": "cancelled"},
            {"state": "failed", "kind": "import"},
            {"state": "failed", "result": {"bad_input": True}},
        ],
    )
    def test_retry_is_not_offered_where_it_cannot(self, curator, library, fields):
        make_job(library, **fields)
        assert "Retry" not in page(curator)

    def test_cancelled_is_said_once(self, curator, library):
        make_job(library, state="cancelled", reason="cancelled")
        assert page(curator, "rows/").count("cancelled") == 1

    def test_an_annotator_sees_no_buttons(self, client, library):
        make_job(library)
        make_job(library, state="failed")
        client.force_login(make_user(library=library, role="annotator"))
        html = page(client)
        assert "Cancel" not in html
        assert "Retry" not in html


def test_a_kind_of_job_that_this_program_does_not_know_has_a_name():
    assert job_name("train") == "Train and evaluate"
    assert job_name("transcribe") == "transcribe"
