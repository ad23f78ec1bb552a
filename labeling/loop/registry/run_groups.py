"""Run groups: one configuration trained on all, legacy and current answers, for comparison.

Stage: model registry.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings

from labeling.loop.registry.evaluation_records import Measured
from labeling.loop.registry.promotion import Decision
from labeling.models import Job, Library, RunGroup
from ml.evaluation.comparison import compare
from ml.evaluation.record import FILE_NAME, read_record

#: The arms in the order in which they are trained and shown; the first is the reference.
ARMS = ("all", "legacy", "current")
#: Parts of the comparison that are stored; curves are computed from the records on request.
_KEPT = ("n", "labels_compared", "n_resamples", "message", "labels", "differing")
DECISION = Decision(
    False, "it is one of three runs for comparison, so it is never promoted automatically"
)


def open_group(library: Library, job: Job, facts: dict[str, Any]) -> RunGroup:
    """Return the group of a job; the first attempt creates it."""
    found = library.run_groups.filter(facts__job=job.pk).first()
    if found is not None:
        return found
    return RunGroup.objects.create(
        library=library,
        kind=RunGroup.Kind.CRITERIA,
        facts={"job": job.pk, **facts},
        by_id=job.by_id,
    )


def compare_arms(arms: Sequence[tuple[str, Measured]]) -> dict[str, Any]:
    """Compare the arms on the tracks and labels that all of them have; reads files."""
    root = Path(settings.MODEL_ROOT)
    records = [read_record(root / one.folder / FILE_NAME, one.sha256) for _, one in arms]
    found: dict[str, Any] = {**compare(records)}
    runs = [{"arm": arm, **one} for (arm, _), one in zip(arms, found["runs"], strict=True)]
    return {**{name: found[name] for name in _KEPT}, "runs": runs}


def close_group(group: RunGroup, result: dict[str, Any]) -> None:
    """Store the result of the comparison, in the caller's transaction."""
    RunGroup.objects.filter(pk=group.pk).update(result=result)
