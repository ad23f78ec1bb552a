"""Rounds: train, evaluate, promote, predict and rank."""

from __future__ import annotations

import pytest

from labeling.loop import retraining
from labeling.loop.registry import models, promotion
from labeling.loop.registry.promotion import Decision
from labeling.models import (
    Job,
    ModelVersion,
    PredictionSet,
    PromotionEvent,
    Round,
    Snapshot,
    TrainingRun,
)
from labeling.models.jobs import JobKind
from tests.answers import say
from tests.factories import make_annotator, make_track
from tests.planted_library import catalogue, plant
from tests.workers.rounds.world import round_of, run
from workers.jobs.run import run_inline

pytestmark = pytest.mark.django_db


def test_round_trains_measures_predicts_and_ranks(planted):
    answer = round_of(planted.library)
    assert (answer["snapshot"], answer["model_version"], answer["promoted"]) == (1, 1, True)
    metrics, baseline = answer["metrics"], answer["baseline"]
    assert (metrics["n"], metrics["labels_scored"]) == (16, 3)
    assert metrics["macro_ap"] > 0.95
    assert baseline["macro_ap"] == pytest.approx(planted.truth[:16].mean(axis=0).mean())
    assert baseline["bce_skill"] == pytest.approx(0)
    assert metrics["judged_by"].startswith("all selected: catalogue")
    assert metrics["interval"]["macro_ap"][0] <= metrics["macro_ap"]
    assert "labels" not in metrics
    low = answer["queue"]
    assert low["acquire"] > 0
    assert low["audit"] + low["overlap"] == 16
    assert PredictionSet.objects.get().tracks == 60


def test_audit_tracks_are_neither_learnt_from_nor_acquired(planted):
    round_of(planted.library)
    items = Round.objects.get(state="live").items.filter(stratum="acquire")
    assert not items.filter(track__is_audit=True).exists()
    facts = TrainingRun.objects.get().config
    assert (facts["tracks"], facts["audit_tracks"]) == (44, 16)


def test_second_round_with_nothing_new_makes_no_model(planted):
    first = round_of(planted.library)
    again = round_of(planted.library)
    assert again["model_version"] == first["model_version"]
    assert again["metrics"] == first["metrics"]
    counts = (ModelVersion.objects.count(), TrainingRun.objects.count())
    assert (*counts, Snapshot.objects.count()) == (1, 1, 1)
    trained = Job.objects.filter(kind=JobKind.TRAIN).first()
    assert trained.result["is_unchanged"]
    assert not Job.objects.filter(kind=JobKind.PREDICT, pk__gt=trained.pk).exists()


def test_new_answers_make_another_model_and_another_round(planted):
    round_of(planted.library)
    ann = make_annotator(planted.library, "ann")
    catalogue(planted, range(20, 40), annotator=ann, kind="judgement", at="2025-01-01")
    answer = round_of(planted.library)
    assert (answer["snapshot"], answer["model_version"]) == (2, 2)
    live = Round.objects.get(state="live")
    assert live.number == 2
    judged = {track.pk for track in planted.tracks[20:40]}
    asked = set(live.items.filter(stratum="acquire").values_list("track_id", flat=True))
    assert asked
    assert not asked & judged


def test_steps_follow_each_other_and_none_is_asked_for_twice(planted):
    round_of(planted.library)
    rows = list(Job.objects.order_by("id").values_list("kind", "state"))
    assert rows == [("train", "done"), ("predict", "done"), ("rank", "done")]
    predicted = Job.objects.get(kind="predict")
    assert predicted.result["next_job"] == Job.objects.get(kind="rank").pk
    same = retraining.follow_up(predicted, {})
    assert same == Job.objects.get(kind="rank")


def test_plainly_worse_model_is_refused_and_nothing_else_changes(planted):
    round_of(planted.library)
    before = PredictionSet.objects.get()
    ann = make_annotator(planted.library, "vandal")
    catalogue(planted, range(16, 50), annotator=ann, shift=1, kind="judgement", at="2025-01-01")
    answer = round_of(planted.library)
    assert (answer["model_version"], answer["promoted"]) == (2, False)
    assert models.champion_of(planted.library).number == 1
    event = PromotionEvent.objects.first()
    assert event.kind == "refused"
    assert event.reason.startswith("clearly worse: skill -")
    assert event.figures["headline"]["skill"]["hi"] < 0
    assert PredictionSet.objects.get() == before


def test_a_former_champion_stops_a_slide_that_the_champion_does_not(planted, monkeypatch):
    round_of(planted.library)
    ann = make_annotator(planted.library, "vandal")
    catalogue(planted, range(16, 50), annotator=ann, shift=1, kind="judgement", at="2025-01-01")
    with monkeypatch.context() as patch:
        patch.setattr(promotion, "decide_against", lambda _: Decision(True, "by the test"))
        assert round_of(planted.library)["promoted"]
    catalogue(planted, range(50, 54), annotator=ann, shift=1, kind="judgement", at="2025-01-01")
    answer = round_of(planted.library)
    assert (answer["model_version"], answer["promoted"]) == (3, False)
    event = PromotionEvent.objects.first()
    assert event.reason.startswith("clearly worse than a former champion: skill -")
    assert event.figures["against"] == 1
    assert models.champion_of(planted.library).number == 2


def test_rolling_back_switches_and_asks_for_what_follows(planted):
    test_new_answers_make_another_model_and_another_round(planted)
    first = ModelVersion.objects.get(number=1)
    job = retraining.roll_back(first)
    assert models.champion_of(planted.library) == first
    assert PromotionEvent.objects.first().kind == "rolled_back"
    assert job.kind == JobKind.RANK
    assert run_inline(job).state == Job.State.DONE
    assert Round.objects.get(state="live").model_version == first


def test_new_tracks_are_predicted_by_the_old_model(planted):
    round_of(planted.library)
    track = make_track(planted.library, "new.mp3", audio=planted.tracks[0].audio, state="ready")
    assert retraining.next_missing(planted.library) == JobKind.PREDICT
    answer = run("predict", planted.library, "--inline")
    assert (answer["model_version"], answer["tracks"]) == (1, 61)
    assert retraining.next_missing(planted.library) is None
    assert track.pk


def test_without_an_audit_answer_figures_are_null_and_the_model_waits():
    planted = plant(answers=False)
    catalogue(planted, range(16, 60))
    answer = round_of(planted.library)
    assert not answer["promoted"]
    metrics = answer["metrics"]
    assert metrics["n"] == 0
    for name in ("macro_ap", "lwlrap", "bce", "bce_skill", "macro_f1", "binary_accuracy"):
        assert metrics[name] is None
    assert "no audit track" in metrics["message"]
    assert metrics["judged_by"].startswith("nobody")


def test_tracks_without_features_are_left_out_and_counted(planted):
    tracks = [make_track(planted.library, is_audit=False) for _ in range(3)]
    for track in tracks:
        say(planted.legacy, track, planted.labels[:1], offered=planted.labels, kind="imported")
    round_of(planted.library)
    facts = TrainingRun.objects.get().config
    assert (facts["tracks"], facts["tracks_without_features"]) == (44, 3)
