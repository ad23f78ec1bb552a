"""Base of commands with background work: `--inline`, `--no-wait`, `pending_jobs`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from labeling import jobs
from labeling.errors import BadInput
from labeling.management.base import AudiotagCommand
from labeling.management.following import follow_job
from labeling.models import Job, Library
from workers.jobs.run import run_inline


class BackgroundCommand(AudiotagCommand):
    """A command whose work a worker does, or this process with `--inline`.

        def answer(self, **options):
            library = self.library(options["library"])
            job = self.do(JobKind.FEATURES, library, options, arguments={...})
            return self.reply(job, ("tracks_done", "tracks_failed"))

    A job that no worker could take yet leaves its id in `pending_jobs` and its figures null.
    If the job failed, the command fails with exit 1, or 2 if the input was bad.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        how = parser.add_mutually_exclusive_group()
        how.add_argument(
            "--inline", action="store_true", help="work in this process: no broker, no worker"
        )
        how.add_argument(
            "--no-wait", action="store_true", help="request the work and leave it to a worker"
        )

    def do(
        self,
        kind: str,
        library: Library | None,
        options: dict[str, Any],
        *,
        arguments: dict[str, Any] | None = None,
        key: str = "",
    ) -> Job:
        """Request a job and follow it as the options say; raise if it failed."""
        is_inline = options["inline"]
        job = jobs.enqueue(
            kind, library=library, key=key, arguments=arguments, is_announced=not is_inline
        )
        if is_inline:
            job = run_inline(job)
        if not options["no_wait"]:
            job = follow_job(job, getattr(self.stderr, "_out", None))
        return self._judged(job)

    def reply(self, job: Job, keys: tuple[str, ...], **more: Any) -> dict[str, Any]:
        """Return these keys of the job's result; null while it is not done."""
        answer = {key: job.result.get(key) for key in keys} | more
        if job.state in Job.OPEN:
            answer["pending_jobs"] = [*answer.get("pending_jobs", []), job.pk]
        return answer

    def _judged(self, job: Job) -> Job:
        if job.state == Job.State.FAILED and job.result.get("bad_input"):
            raise BadInput(job.reason)
        if job.state in (Job.State.FAILED, Job.State.CANCELLED):
            raise CommandError(f"job {job.pk} {job.state}: {job.reason}", returncode=1)
        if job.state in Job.OPEN:
            self.say(
                f"job {job.pk} ({job.get_kind_display()}) waits for a worker: `make run` "
                "starts one; or give this command --inline"
            )
        return job
