"""Rounds: the queue, suggestions, new features and new answers."""

from __future__ import annotations

import numpy as np
import pytest

from labeling import jobs
from labeling.loop import desk, retraining
from labeling.loop.registry import models
from labeling.models import (
    Job,
    PredictionSet,
    Round,
)
from labeling.models.jobs import JobKind
from tests.factories import make_annotator
from tests.planted_library import add_features, catalogue
from tests.workers.rounds.world import probe_of, round_of, run
from workers.jobs.run import run_inline

pytestmark = pytest.mark.django_db


def test_queue_shows_what_would_be_served(planted):
    round_of(planted.library)
    items = run("queue", planted.library, "--count", "10")["items"]
    assert len(items) == 10
    assert {item["stratum"] for item in items} >= {"acquire", "audit"}
    first = next(item for item in items if item["stratum"] == "acquire")
    assert set(first) == {"track", "key", "stratum", "score", "reason"}
    assert first["reason"]
    ann = make_annotator(planted.library, "ann")
    shown = [
        item["track"] for item in run("queue", planted.library, "--annotator", "ann")["items"]
    ]
    served = desk.next_tracks(ann, ahead=3)
    assert [one.track_id for one in served] == shown[:4]


def test_suggestions_come_with_the_model(planted):
    from labeling.loop.predictions import suggestions_for

    round_of(planted.library)
    by_track = suggestions_for(planted.library, [planted.tracks[17].pk, 10_000_000])
    assert list(by_track) == [planted.tracks[17].pk]
    best = by_track[planted.tracks[17].pk][0]
    label = planted.labels[int(np.argmax(planted.truth[17]))]
    assert (best["facet"], best["label"], best["above_threshold"]) == (
        "genre",
        label.name,
        True,
    )
    assert best["label_uid"] == str(label.uid)
    assert 0.5 < best["probability"] <= 1


def test_changed_features_are_replaced_not_doubled(planted):
    add_features(planted.tracks[:5], planted.truth[:5], np.random.default_rng(9))
    round_of(planted.library)
    assert PredictionSet.objects.get().tracks == 60


def test_features_computed_anew_are_learnt_and_scored_again(planted):
    round_of(planted.library)
    before = PredictionSet.objects.get().features_hash
    add_features(planted.tracks[:5], planted.truth[:5], np.random.default_rng(9))
    assert retraining.next_missing(planted.library) == JobKind.PREDICT
    answer = round_of(planted.library)
    assert (answer["snapshot"], answer["model_version"]) == (1, 2)
    champion = models.champion_of(planted.library)
    scored = PredictionSet.objects.get(model_version=champion)
    assert scored.features_hash != before
    assert retraining.next_missing(planted.library) is None


def test_answers_that_came_during_a_training_ask_for_the_next(planted, monkeypatch):
    from workers.stages import training

    library = planted.library
    library.retrain_after = 20
    library.save()
    ann = make_annotator(library, "ann")
    decide = training.decide

    def meanwhile(*arguments):
        catalogue(planted, range(20, 40), annotator=ann, kind="judgement", at="2025-01-01")
        retraining.after_annotation(library)
        return decide(*arguments)

    monkeypatch.setattr(training, "decide", meanwhile)
    job = run_inline(retraining.ask(library, ["train"], is_announced=False))
    assert job.state == Job.State.DONE
    following = Job.objects.get(kind=JobKind.TRAIN, state=Job.State.QUEUED)
    assert following.arguments["reason"] == "20 new or changed answers"


def test_queue_in_which_a_person_judged_everything_is_up_to_date(planted):
    ann = make_annotator(planted.library, "ann")
    catalogue(planted, range(60), annotator=ann, kind="judgement", at="2025-01-01")
    round_of(planted.library)
    assert Round.objects.get(state="live").model_version is None
    assert retraining.next_missing(planted.library) is None
    assert retraining.request_nightly(planted.library) is None


def test_round_in_this_process_leaves_no_job_of_the_import_behind(planted):
    probe = probe_of(planted.library)
    features = jobs.enqueue(JobKind.FEATURES, library=planted.library, is_announced=False)
    round_of(planted.library)
    for job in (probe, features):
        job.refresh_from_db()
        assert job.state == Job.State.DONE
    assert not Job.objects.filter(state__in=Job.OPEN).exists()
    kinds = Job.objects.order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["probe", "features", "train", "predict", "rank"]


def test_job_with_more_to_follow_than_is_done_here_is_left_to_a_worker(planted):
    round_of(planted.library)
    probe = probe_of(planted.library)
    run("extract_features", planted.library, "--inline")
    probe.refresh_from_db()
    assert probe.state == Job.State.QUEUED
