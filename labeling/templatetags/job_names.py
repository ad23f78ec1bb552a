"""Names of jobs for people, where a better one exists than the stored choices have."""

from __future__ import annotations

from django import template

from labeling.models.jobs import JobKind

register = template.Library()
#: The choices of a field belong to the migrations' state, so better words are kept here.
_BETTER = {
    JobKind.PROBE: "Read new audio files",
    JobKind.EVALUATE: "Cross-validate",
    JobKind.COMPARE: "Train on all, legacy and current answers",
}


@register.filter
def job_name(kind: str) -> str:
    """Return the name of a kind of job, or the kind itself if this program does not know it."""
    if kind not in JobKind.values:
        return kind
    found = JobKind(kind)
    return _BETTER.get(found, str(found.label))
