"""Retraining triggers and job chains.

A job chain is one job whose arguments name the jobs after it; each job requests the next in the
transaction that commits it, so that no step is lost and none is done twice.
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

#: The steps of a round in their order.
STEPS = (JobKind.PROBE, JobKind.FEATURES, JobKind.TRAIN, JobKind.PREDICT, JobKind.RANK)
Arguments = dict[str, Any]
#: The number of ended jobs among which the last failed training is looked for.
_LOOKED_AT = 20


def next_missing(library: Library, feature_set: FeatureSet | None = None) -> str | None:
    """Return the first step whose work is not done, or None if the queue is up to date."""
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
    """Say whether the queue was ranked by this model, or had nothing left to rank.

    A round without a scored candidate names no model: it counts if it was made after the model
    was promoted and had scored the tracks.
    """
    live = champion.library.rounds.filter(state="live").first()
    if live is None or live.model_version_id == champion.pk:
        return live is not None
    in_use = champion.promotions.exclude(kind=PromotionEvent.Kind.REFUSED).first()
    scored = PredictionSet.objects.filter(model_version=champion).first()
    since = [one for one in (in_use and in_use.at, scored and scored.created_at) if one]
    return live.model_version_id is None and live.created_at > max(
        since, default=live.created_at
    )


def steps_from(library: Library, feature_set: FeatureSet) -> list[str]:
    """Return the steps of a round: probe and features if they are missing, and the rest."""
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
    """Request the first of these steps, which will request the others."""
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
    """Request the job that follows, in the transaction that commits this one.

    `skip` names steps that turned out to be needless. The result notes it. The key makes it one
    job however often the commit is tried. A process that runs the whole chain itself sends no
    message.
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
    """Return the steps after a job; new files found on the way get all steps."""
    if "then" in job.arguments or job.kind != JobKind.PROBE:
        return list(job.arguments.get("then", []))
    has_model = models.champion_of(library) is not None
    return [JobKind.FEATURES, *([JobKind.PREDICT, JobKind.RANK] if has_model else [])]


def waiting_for(library: Library, steps: Sequence[str]) -> list[Job]:
    """Return the queued jobs whose own work, and all that follows it, is among these steps.

    An example is the probe of an import, which has nothing left to do after a round.
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
    """Remove what follows a queued job, because the caller will do that itself."""
    arguments = {**job.arguments, "then": []}
    queued = Job.objects.filter(pk=job.pk, state=Job.State.QUEUED)
    return bool(queued.update(arguments=arguments))


# --- the retraining trigger -----------------------------------------------------------------


def looked_last_at(library: Library) -> datetime | None:
    """Return when answers were last trained on, or found to hold nothing new.

    This is the start of the newest successful training on all answers: not a training by a
    recipe, snapshot, selection or facets that somebody chose, and not a cross-validation. A
    training that failed or was cancelled has learnt nothing, so its answers still count as new.
    """
    last = last_learnt(library)
    return last.started_at if last else None


def last_learnt(library: Library) -> Job | None:
    """Return the newest successful training on all answers."""
    done = _of_all_answers(library).filter(kind=JobKind.TRAIN, state=Job.State.DONE)
    return done.order_by("-id").first()


def _tried_last_at(library: Library) -> datetime | None:
    job = last_tried(library)
    return (job.finished_at or job.queued_at) if job else None


def last_tried(library: Library) -> Job | None:
    """Return the last failed or cancelled job of a chain that ended without a training."""
    ended = _of_all_answers(library).filter(
        kind__in=[JobKind.PROBE, JobKind.FEATURES, JobKind.TRAIN],
        state__in=[Job.State.FAILED, Job.State.CANCELLED],
    )
    for job in ended.order_by("-id")[:_LOOKED_AT]:
        if _leads_to_training(job):
            return job
    return None


def _of_all_answers(library: Library) -> QuerySet[Job]:
    chosen = ("snapshot", "facets", "selection", "recipe")
    return library.jobs.filter(**{f"arguments__{name}__isnull": True for name in chosen})


def _leads_to_training(job: Job) -> bool:
    return job.kind == JobKind.TRAIN or JobKind.TRAIN in job.arguments.get("then", [])


def new_annotations(library: Library, at_most: int = 1) -> int:
    """Count annotations recorded since the last training, up to `at_most`."""
    return _recorded_since(library, looked_last_at(library), at_most)


def _recorded_since(library: Library, since: datetime | None, at_most: int) -> int:
    rows = Annotation.objects.filter(library=library)
    if since is not None:
        rows = rows.filter(recorded_at__gt=since)
    return len(rows.order_by().values_list("pk")[:at_most])


def until_next(library: Library) -> int:
    """Count the annotations towards the next automatic training, up to what it needs.

    After a training that failed or was cancelled they are counted from its end, so that a
    failing training does not run again with every answer; the nightly one tries again anyway.
    """
    times = [looked_last_at(library), _tried_last_at(library)]
    since = max((time for time in times if time is not None), default=None)
    return _recorded_since(library, since, max(library.retrain_after, 1))


def after_annotation(library: Library) -> None:
    """Request a training if enough answers are new. Called after each answer's commit.

    Cheap (a few indexed look-ups), and its failure never disturbs the answer.
    """
    try:
        _ask_if_enough(library)
    except DatabaseError:
        logger.exception("could not find out whether to train %s", library.slug)


def after_training(library: Library, ended: Job) -> None:
    """Check again when a training ends: while it was open, no answer could request the next.

    A training by a recipe or a selection does not count as a training on all answers, so only
    answers since its start lead to a request. Called in the transaction that ends it; its
    failure never disturbs the model.
    """
    try:
        with transaction.atomic():
            is_of_all = _of_all_answers(library).filter(pk=ended.pk).exists()
            if is_of_all or _recorded_since(library, ended.started_at, 1):
                _ask_if_enough(library)
    except DatabaseError:
        logger.exception("could not find out whether to train %s again", library.slug)


def _ask_if_enough(library: Library) -> None:
    if not library.retrain_after or open_training(library) is not None:
        return
    if until_next(library) >= library.retrain_after:
        request_training(library, f"{library.retrain_after} new or changed answers")


def open_training(library: Library) -> Job | None:
    """Return the job that trains, or that a training will follow."""
    for job in library.jobs.filter(state__in=Job.OPEN).order_by("id"):
        if _leads_to_training(job):
            return job
    return None


def open_comparison(library: Library) -> Job | None:
    """Return the job that compares criteria, or that such a comparison will follow."""
    for job in library.jobs.filter(state__in=Job.OPEN).order_by("id"):
        if JobKind.COMPARE in (job.kind, *job.arguments.get("then", [])):
            return job
    return None


def request_training(
    library: Library, reason: str, *, by_id: int | None = None, network: str = ""
) -> Job | None:
    """Request a whole round of the loop, unless one is running.

    None if there is nothing to learn from: no track of the library has audio.
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
    # Two answers that arrive together request one training.
    key = f"turn:{library.slug}:{last.pk if last else 0}:{_minute()}"
    steps = steps_from(library, loop_features.feature_set_of(features))
    job = ask(library, steps, arguments=arguments, key=key, by_id=by_id)
    if job.state not in Job.OPEN:  # one of this minute was cancelled or has failed
        job = ask(library, steps, arguments=arguments, by_id=by_id)
    return job


def request_recipe(library: Library, name: str, *, by_id: int | None = None) -> Job | None:
    """Request a training by a recipe, unless a training is running.

    None if no track has audio. Raises BadInput if the recipe, or a name in its selection, is
    unknown.
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
        "reason": f"recipe {found.name}, asked for on the Models page",
    }
    steps = steps_from(library, loop_features.feature_set_of(found.training.features))
    return ask(library, steps, arguments=arguments, by_id=by_id)


def _minute() -> str:
    return f"{timezone.now():%Y%m%d%H%M}"


def request_nightly(library: Library) -> Job | None:
    """Request a training if anything is new since the last one; for the schedule."""
    if next_missing(library) is None:
        return None
    return request_training(library, "nightly")


def roll_back(version: ModelVersion, *, by_id: int | None = None, why: str = "") -> Job:
    """Promote another model by hand; its predictions and the queue follow.

    The comparison with the champion is read from their records before, and stored with it.
    """
    figures = evaluation_records.figures_against(version, models.champion_of(version.library))
    with transaction.atomic():
        models.promote(version, by_id=by_id, why=why, figures=figures)
        steps: list[str] = [JobKind.RANK]
        if predictions.is_stale(version.library):
            steps.insert(0, JobKind.PREDICT)
        reason = {"reason": f"model {version.number} was promoted by hand"}
        return ask(version.library, steps, arguments=reason, by_id=by_id)
