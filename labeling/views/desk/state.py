"""Parts of the desk that change while an annotator works: counts, guideline, training."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from labeling.loop import features, retraining
from labeling.loop.library import guidelines, libraries
from labeling.loop.registry import models
from labeling.loop.registry.trust import trust_in
from labeling.loop.serving import claimable, random_order
from labeling.models import (
    Annotation,
    Annotator,
    GuidelineVersion,
    Job,
    Library,
    ModelVersion,
    Round,
)
from labeling.models.jobs import JobKind
from labeling.models.queue import Stratum
from labeling.templatetags.formats import time_or_day

_OFFERED = (Stratum.OVERLAP, Stratum.AUDIT, Stratum.EXPLORE, Stratum.REPEAT)


def state_of(library: Library, annotator: Annotator) -> dict[str, Any]:
    """Return what the page polls."""
    unread = unread_guideline(library, annotator)
    return {
        "figures": desk_figures(library, annotator),
        "loop": loop_line(library),
        "guideline": None
        if unread is None
        else {"number": unread.number, "since": since(unread)},
    }


def desk_figures(library: Library, annotator: Annotator) -> dict[str, int]:
    """Return how much this person did today and how many tracks can be served to them.

    Only what they recorded themselves counts, by when they answered: an import or a program may
    write years of history in one minute.
    """
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    done = own_answers(annotator).filter(kind=Annotation.Kind.JUDGEMENT, answered_at__gte=today)
    return {
        "today": done.exclude(revised_by__kind=Annotation.Kind.RETRACTION).count(),
        "ranked": _offered(library, annotator),
        "ready": random_order.ready_count(library),
    }


def own_answers(annotator: Annotator) -> QuerySet[Annotation]:
    """Return the events that the annotator recorded in person."""
    return annotator.annotations.filter(
        recorded_by_id=annotator.user_id, recorded_by__isnull=False, answered_at__isnull=False
    )


def _offered(library: Library, annotator: Annotator) -> int:
    live = Round.objects.filter(library=library, state=Round.State.LIVE).first()
    if live is None:
        return 0
    rows = claimable.not_had(live, Stratum.ACQUIRE, annotator).order_by().values("pk")
    for stratum in _OFFERED:
        others = claimable.not_had(live, stratum, annotator)
        rows = rows.union(others.order_by().values("pk"))
    return int(rows.count())


def unread_guideline(library: Library, annotator: Annotator | None) -> GuidelineVersion | None:
    """Return the guideline in force if the annotator has not acknowledged it."""
    in_force = libraries.guideline_in_force(library)
    if in_force.number == 0:
        return None
    if annotator is not None and guidelines.has_read(in_force, annotator):
        return None
    return in_force


def since(guideline: GuidelineVersion) -> str:
    """Return when a guideline came into force: its day, or today's hour."""
    return time_or_day(guideline.published_at) if guideline.published_at else ""


def loop_line(library: Library) -> str:
    """Return one line on the next training and the champion."""
    if not features.has_audio(library):
        return ""
    open_job = retraining.open_training(library)
    if open_job is not None:
        is_running = open_job.state == Job.State.RUNNING and open_job.kind == JobKind.TRAIN
        return "training now" if is_running else "the next training is on its way"
    if library.jobs.filter(
        state__in=Job.OPEN, kind__in=[JobKind.PREDICT, JobKind.RANK]
    ).exists():
        return "trained: the queue is being ranked again"
    champion = models.champion_of(library)
    parts = (
        _until_training(library),
        _model(library, champion),
        _suggesting(library, champion),
    )
    return " · ".join(part for part in parts if part)


def _until_training(library: Library) -> str:
    wanted = library.retrain_after
    if not wanted:
        return ""
    n = retraining.new_annotations(library, wanted)
    return f"{n:,} of {wanted:,} annotations until the next training"


def _model(library: Library, champion: ModelVersion | None) -> str:
    if champion is None:
        return ""
    live = Round.objects.filter(library=library, state=Round.State.LIVE).first()
    if live is None or live.model_version_id != champion.pk or live.live_at is None:
        return f"model {champion.number} is the champion"
    moment = time_or_day(live.live_at)
    return f"model {champion.number} is the champion and has ranked the queue since {moment}"


def _suggesting(library: Library, champion: ModelVersion | None) -> str:
    """Say how many labels are suggested, if not all are."""
    if champion is None or not library.shows_suggestions:
        return ""
    found = trust_in(champion)
    if found.skill is None:
        return "no suggestions: the model has not been evaluated on audit tracks yet"
    if not found.labels:
        return (
            "no suggestions: the model is not known to be better than guessing on the audit "
            "tracks yet"
        )
    if len(found.labels) == found.n_labels:
        return ""
    return (
        f"suggestions for {len(found.labels):,} of {found.n_labels:,} labels: the model is not "
        "known to be better than guessing on the others yet"
    )
