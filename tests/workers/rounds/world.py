"""Commands that turn the loop in this process."""

from __future__ import annotations

import io
import json

from django.core.management import call_command

from labeling import jobs
from labeling.models.jobs import JobKind


def run(command, library, *arguments):
    out = io.StringIO()
    call_command(
        command,
        "--library",
        library.slug,
        "--json",
        *arguments,
        stdout=out,
        stderr=io.StringIO(),
    )
    return json.loads(out.getvalue())


def round_of(library, *arguments):
    return run("run_round", library, "--inline", *arguments)


def probe_of(library):
    """Ask for a probe as an import does."""
    return jobs.enqueue(JobKind.PROBE, library=library, is_announced=False)
