"""Commands whose work is a job chain: each job requests the next when it commits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labeling.errors import BadInput
from labeling.loop import retraining
from labeling.management.following import follow_job
from labeling.models import Job, Library
from labeling.models.jobs import JobKind
from workers.jobs.run import run_inline
from workers.management.base import BackgroundCommand

#: What a person may ask of a training, which one that is under way would not heed.
OPTIONS = ("snapshot", "recipe", "selection", "network", "facets", "epochs", "seed")


class ChainCommand(BackgroundCommand):
    """A command that sees a chain of jobs through to its end, or to the first that waits."""

    def do_chain(
        self,
        library: Library,
        options: dict[str, Any],
        steps: Sequence[str],
        arguments: dict[str, Any] | None = None,
    ) -> list[Job]:
        """Request the steps and follow them; return the jobs in order, the last maybe open."""
        is_inline = bool(options["inline"])
        told = {name: value for name, value in (arguments or {}).items() if value is not None}
        if is_inline:
            told["is_announced"] = False
        if JobKind.TRAIN in steps:
            _refuse_other(retraining.open_training(library), told)
        chain = self._adopted(library, steps, options) if is_inline else []
        steps = _left(steps, [job.kind for job in chain])
        if not steps:
            return chain
        job = retraining.ask(library, steps, arguments=told, is_announced=not is_inline)
        while True:
            if job.kind == JobKind.TRAIN:  # another may have been requested since
                _refuse_other(job, told)
            chain.append(self._seen_through(job, options))
            next_id = chain[-1].result.get("next_job")
            if not next_id:
                return chain
            job = Job.objects.get(pk=next_id)

    def _adopted(
        self, library: Library, steps: Sequence[str], options: dict[str, Any]
    ) -> list[Job]:
        """Run queued jobs that these steps would make redundant.

        Otherwise they would stay queued forever.
        """
        waiting = retraining.waiting_for(library, steps)
        return [
            self._seen_through(job, options) for job in waiting if retraining.end_redundant(job)
        ]

    def _seen_through(self, job: Job, options: dict[str, Any]) -> Job:
        if options["inline"]:
            job = run_inline(job)
        if not options["no_wait"]:
            job = follow_job(job, self.stderr)  # type: ignore[arg-type]
        return self._judged(job)

    def results(self, chain: Sequence[Job]) -> dict[str, dict[str, Any]]:
        """Return the result of each finished job by its kind."""
        return {job.kind: job.result for job in chain if job.state == Job.State.DONE}

    def pending(self, chain: Sequence[Job]) -> dict[str, list[int]]:
        """Return `pending_jobs` if the chain has not ended."""
        waiting = [job.pk for job in chain if job.state in Job.OPEN]
        return {"pending_jobs": waiting} if waiting else {}


def _refuse_other(job: Job | None, told: dict[str, Any]) -> None:
    """Refuse options that an open training would ignore."""
    wanted = {name: told[name] for name in OPTIONS if told.get(name)}
    if job is None or not wanted or wanted.items() <= job.arguments.items():
        return
    raise BadInput(
        f"job {job.pk} ({job.get_kind_display()}, {job.state}) is not finished and was "
        f"requested without {', '.join(wanted)}: wait until it ends or cancel it on the Jobs "
        "page, then try again"
    )


def _left(steps: Sequence[str], done: Sequence[str]) -> list[str]:
    """Return the steps without those that were just done, in their order, from the first."""
    left = list(steps)
    while left and left[0] in done:
        del left[0]
    return left
