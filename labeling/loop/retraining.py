"""Retraining: the steps of a round as a chain of jobs, and the triggers that start one.

Stage: retraining. The arguments of a job name the steps that follow it. Each job asks for the
next one in the transaction that commits its result, so no step is lost or done twice.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from labeling import jobs
from labeling.loop import features as loop_features
from labeling.loop import predictions
from labeling.loop.datasets import criteria
from labeling.loop.registry import evaluation_records, models, recipes
from labeling.models import (
    Annotation,
    FeatureSet,
    Job,
    Library,
    ModelVersion,
    PredictionSet,
    PromotionEvent,
)
from labeling.models.jobs import JobKind

logger = logging.getLogger(__name__)

#: The steps of a round, in order.
STEPS = (JobKind.PROBE, JobKind.FEATURES, JobKind.TRAIN, JobKind.PREDICT, JobKind.RANK)
Arguments = dict[str, Any]
#: The last failed training is searched among this many of the newest ended jobs.
_MOST_SEARCHED = 20


def next_missing(library: Library, feature_set: FeatureSet | None = None) -> str | None:
    """Return the first step that has work left, or None if the queue is up to date."""
    own = recipes.features_name_for(library)
    feature_set = feature_set or loop_features.feature_set_of(own)
    if loop_features.has_pending_probe(library):
        return JobKind.PROBE
    if loop_features.has_missing_features(library, feature_set):
        return JobKind.FEATURES
    champion = models.champion_of(library)
    if champion is None or new_annotations(library):
        return JobKind.TRAIN
    if predictions.is_stale(library):
        return JobKind.PREDICT
    return None if _is_ranked_by(champion) else JobKind.RANK


def _is_ranked_by(champion: ModelVersion) -> bool:
    """Return whether the champion ranked the queue, or had nothing left to rank.

    A round without any scored candidate names no model. It counts if it was made after the
    model was promoted and after the model had scored the tracks.
    """
    live = champion.library.rounds.filter(state="live").first()
    if live is None or live.model_version_id == champion.pk:
        return live is not None
    promoted = champion.promotions.exclude(kind=PromotionEvent.Kind.REFUSED).first()
    scored = PredictionSet.objects.filter(model_version=champion).first()
    since = [one for one in (promoted and promoted.at, scored and scored.created_at) if one]
    return live.model_version_id is None and live.created_at > max(
        since, default=live.created_at
    )


def steps_from(library: Library, feature_set: FeatureSet) -> list[str]:
    """Return the steps of a round; probe and features only if some are missing."""
    steps: list[str] = []
    if loop_features.has_pending_probe(library):
        steps.append(JobKind.PROBE)
    if steps or loop_features.has_missing_features(library, feature_set):
        steps.append(JobKind.FEATURES)
    return [*steps, JobKind.TRAIN, JobKind.PREDICT, JobKind.RANK]


def ask(
    library: Library,
    steps: Sequence[str],
    *,
    arguments: Arguments | None = None,
    key: str = "",
    by_id: int | None = None,
    is_announced: bool = True,
) -> Job:
    """Enqueue the first of these steps; its arguments name the steps that follow."""
    first, *rest = steps
    return jobs.enqueue(
        first,
        library=library,
        key=key,
        arguments={**(arguments or {}), "then": rest},
        by_id=by_id,
        is_announced=is_announced,
    )


def follow_up(job: Job, result: Arguments, *, skip: Sequence[str] = ()) -> Job | None:
    """Enqueue the next step after a job, in the transaction that commits its result.

    The id of the next job is added to `result`. `skip` names steps that turned out to have no
    work. The key makes it one job, however often the commit is tried. A process that runs a
    whole chain itself announces nothing to workers.
    """
    if job.library is None:
        return None
    rest = [kind for kind in _then(job, job.library) if kind not in skip]
    if not rest:
        return None
    following = ask(
        job.library,
        rest,
        arguments={name: value for name, value in job.arguments.items() if name != "then"},
        key=f"after:{job.uid.hex}",
        by_id=job.by_id,
        is_announced=job.arguments.get("is_announced", True),
    )
    result["next_job"] = following.pk
    return following


def _then(job: Job, library: Library) -> list[str]:
    """Return the steps after a job; a probe without planned steps leads to a new ranking."""
    if "then" in job.arguments or job.kind != JobKind.PROBE:
        return list(job.arguments.get("then", []))
    has_model = models.champion_of(library) is not None
    return [JobKind.FEATURES, *([JobKind.PREDICT, JobKind.RANK] if has_model else [])]


def waiting_for(library: Library, steps: Sequence[str]) -> list[Job]:
    """Return the queued jobs whose own step and following steps are all among these steps.

    An example is the probe that an import asked for: it has nothing left to do after a round.
    """
    early = (JobKind.PROBE, JobKind.FEATURES)
    covered = {*early, *steps}
    found = [
        job
        for job in library.jobs.filter(kind__in=early, state=Job.State.QUEUED)
        if not job.arguments.get("features") and covered.issuperset(_then(job, library))
    ]
    return sorted(found, key=lambda job: (early.index(job.kind), job.pk))


def end_redundant(job: Job) -> bool:
    """Drop the following steps of a queued job, because the caller runs them.

    Returns False if the job is not queued any more.
    """
    arguments = {**job.arguments, "then": []}
    queued = Job.objects.filter(pk=job.pk, state=Job.State.QUEUED)
    return bool(queued.update(arguments=arguments))


# --- retraining triggers --------------------------------------------------------------------


def trained_last_at(library: Library) -> datetime | None:
    """Return the time up to which answers have been trained on.

    That is the start of the newest successful training on all answers. A training with a
    chosen recipe, snapshot, selection or facets does not count, nor does a cross-validation.
    A training that failed or was cancelled has learnt nothing, so the answers that it read
    still count as new.
    """
    last = last_trained(library)
    return last.started_at if last else None


def last_trained(library: Library) -> Job | None:
    """Return the newest successful training on all answers."""
    done = _of_all_answers(library).filter(kind=JobKind.TRAIN, state=Job.State.DONE)
    return done.order_by("-id").first()


def _failed_last_at(library: Library) -> datetime | None:
    job = last_failed(library)
    return (job.finished_at or job.queued_at) if job else None


def last_failed(library: Library) -> Job | None:
    """Return the newest job that failed or was cancelled, in or before a training."""
    ended = _of_all_answers(library).filter(
        kind__in=[JobKind.PROBE, JobKind.FEATURES, JobKind.TRAIN],
        state__in=[Job.State.FAILED, Job.State.CANCELLED],
    )
    for job in ended.order_by("-id")[:_MOST_SEARCHED]:
        if _leads_to_training(job):
            return job
    return None


def _of_all_answers(library: Library) -> QuerySet[Job]:
    chosen = ("snapshot", "facets", "selection", "recipe")
    return library.jobs.filter(**{f"arguments__{name}__isnull": True for name in chosen})


def _leads_to_training(job: Job) -> bool:
    return job.kind == JobKind.TRAIN or JobKind.TRAIN in job.arguments.get("then", [])


def new_annotations(library: Library, at_most: int = 1) -> int:
    """Count the annotations recorded since the last training, up to `at_most`."""
    return _recorded_since(library, trained_last_at(library), at_most)


def _recorded_since(library: Library, since: datetime | None, at_most: int) -> int:
    rows = Annotation.objects.filter(library=library)
    if since is not None:
        rows = rows.filter(recorded_at__gt=since)
    return len(rows.order_by().values_list("pk")[:at_most])


def until_next(library: Library) -> int:
    """Count the annotations towards the next automatic training, up to the number it needs.

    After a training that failed or was cancelled they are counted from its end, so that a
    training that fails is not repeated after every answer. The nightly schedule repeats it.
    """
    times = [trained_last_at(library), _failed_last_at(library)]
    since = max((time for time in times if time is not None), default=None)
    return _recorded_since(library, since, max(library.retrain_after, 1))


def after_annotation(library: Library) -> None:
    """Ask for a training if enough answers are new. Called after the commit of each answer.

    This takes a few indexed queries, and a database error here never affects the answer.
    """
    try:
        _ask_if_enough(library)
    except DatabaseError:
        logger.exception("cannot determine whether %s needs a training", library.slug)


def after_training(library: Library, ended: Job) -> None:
    """Check the trigger when a training ends, because no answer could start one until now.

    A training by a recipe or a selection does not count as a training on all answers. After
    it, the trigger is checked only if annotations were recorded since it began, so that the
    next recipe need not wait for a training that nobody requested. Called in the transaction
    that ends the training; a database error here never affects the model.
    """
    try:
        with transaction.atomic():
            is_of_all = _of_all_answers(library).filter(pk=ended.pk).exists()
            if is_of_all or _recorded_since(library, ended.started_at, 1):
                _ask_if_enough(library)
    except DatabaseError:
        logger.exception("cannot determine whether %s needs another training", library.slug)


def _ask_if_enough(library: Library) -> None:
    if not library.retrain_after or open_training(library) is not None:
        return
    if until_next(library) >= library.retrain_after:
        request_training(library, f"{library.retrain_after} new or changed answers")


def open_training(library: Library) -> Job | None:
    """Return the open job that trains, or that leads to a training."""
    for job in library.jobs.filter(state__in=Job.OPEN).order_by("id"):
        if _leads_to_training(job):
            return job
    return None


def open_comparison(library: Library) -> Job | None:
    """Return the open job that compares criteria, or that leads to such a comparison."""
    for job in library.jobs.filter(state__in=Job.OPEN).order_by("id"):
        if JobKind.COMPARE in (job.kind, *job.arguments.get("then", [])):
            return job
    return None


def request_training(
    library: Library, reason: str, *, by_id: int | None = None, network: str = ""
) -> Job | None:
    """Ask for a training with all steps of a round, or return the one that is under way.

    Returns None if no track of the library has audio, because nothing can be learnt then.
    """
    under_way = open_training(library)
    if under_way is not None:
        return under_way
    features = recipes.features_name_for(library, network)
    if not loop_features.has_audio(library):
        return None
    last = Job.objects.filter(library=library, kind=JobKind.TRAIN).order_by("-id").first()
    arguments: Arguments = {"reason": reason}
    if network:
        arguments["network"] = network
    if features != library.features:
        arguments["features"] = features
    # Two answers that arrive at the same time ask for one training.
    key = f"turn:{library.slug}:{last.pk if last else 0}:{_minute()}"
    steps = steps_from(library, loop_features.feature_set_of(features))
    job = ask(library, steps, arguments=arguments, key=key, by_id=by_id)
    if job.state not in Job.OPEN:  # the job with this key was cancelled or failed already
        job = ask(library, steps, arguments=arguments, by_id=by_id)
    return job


def request_recipe(library: Library, name: str, *, by_id: int | None = None) -> Job | None:
    """Ask for a training by a recipe, or return the training that is under way.

    Returns None if no track has audio. Raises BadInput if there is no such recipe, or if its
    selection names something that the library does not have.
    """
    found = recipes.find_recipe(name)
    selection = recipes.recipe_selection(found)
    criteria.check_criteria(library, selection)
    under_way = open_training(library)
    if under_way is not None:
        return under_way
    if not loop_features.has_audio(library):
        return None
    arguments: Arguments = {
        "recipe": found.name,
        "selection": selection.canonical(),
        "features": found.training.features,
        "reason": f"recipe {found.name}, requested by hand",
    }
    steps = steps_from(library, loop_features.feature_set_of(found.training.features))
    return ask(library, steps, arguments=arguments, by_id=by_id)


def _minute() -> str:
    return f"{timezone.now():%Y%m%d%H%M}"


def request_nightly(library: Library) -> Job | None:
    """Ask for a training if any step has work left; the nightly schedule calls this."""
    if next_missing(library) is None:
        return None
    return request_training(library, "nightly")


def roll_back(version: ModelVersion, *, by_id: int | None = None, why: str = "") -> Job:
    """Promote another model by hand, and ask for its predictions and a new ranking.

    How it compares with the champion is computed from their records and stored with the event.
    """
    figures = evaluation_records.figures_against(version, models.champion_of(version.library))
    with transaction.atomic():
        models.promote(version, by_id=by_id, why=why, figures=figures)
        steps: list[str] = [JobKind.RANK]
        if predictions.is_stale(version.library):
            steps.insert(0, JobKind.PREDICT)
        reason = {"reason": f"model {version.number} was promoted by hand"}
        return ask(version.library, steps, arguments=reason, by_id=by_id)
