"""A whole round on the numpy network, in this process."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from labeling import jobs
from labeling.loop import desk, retraining
from labeling.loop.registry import models
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
from tests.factories import make_annotator, make_labels, make_library, make_track
from tests.planted_library import add_features, catalogue, plant
from workers.jobs.run import run_inline

pytestmark = pytest.mark.django_db


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


@pytest.fixture
def planted():
    return plant()


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
    assert event.reason.startswith("plainly worse: macro AP -")
    assert event.figures["hi"] < 0
    assert PredictionSet.objects.get() == before


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


def test_epochs_are_kept_and_the_model_can_be_loaded_again(planted):
    round_of(planted.library)
    done = TrainingRun.objects.get()
    assert done.state == "done"
    assert len(done.epochs) > 1
    assert {"epoch", "loss", "stage"} <= set(done.epochs[0])
    version = ModelVersion.objects.get()
    assert models.model_folder_of(version).is_dir()
    assert len(version.thresholds) == len(version.label_uids) == 3
    assert version.metrics["labels"][0]["label_uid"] == version.label_uids[0]


def test_folds_measure_and_register_nothing(planted):
    answer = run("train", planted.library, "--folds", "3", "--inline")
    assert (answer["run"], answer["model_version"]) == (None, None)
    assert answer["metrics"]["n"] == 60
    assert answer["metrics"]["macro_ap"] > 0.9 > answer["baseline"]["macro_ap"]
    assert ModelVersion.objects.count() == 0
    assert Job.objects.get().kind == JobKind.EVALUATE
    assert retraining.looked_last_at(planted.library) is None


def test_folds_need_not_wait_for_a_training(planted):
    waiting = retraining.request_training(planted.library, "by hand")
    answer = run("train", planted.library, "--folds", "3", "--inline")
    assert answer["metrics"]["n"] == 60
    waiting.refresh_from_db()
    assert waiting.state == Job.State.QUEUED


@pytest.mark.parametrize(
    ("command", "arguments", "named"),
    [
        ("run_round", ["--network", "pooled-numpy"], "network"),
        ("train", ["--epochs", "3", "--seed", "2"], "epochs, seed"),
        ("train", ["--facet", "genre", "--no-wait"], "facets"),
    ],
)
def test_options_that_an_open_training_would_ignore_are_refused(
    planted, command, arguments, named
):
    waiting = retraining.request_training(planted.library, "by hand")
    how = [] if "--no-wait" in arguments else ["--inline"]
    with pytest.raises(CommandError, match=rf"job {waiting.pk} .* without {named}") as refused:
        run(command, planted.library, *how, *arguments)
    assert refused.value.returncode == 2
    assert Job.objects.get().state == Job.State.QUEUED


def test_without_options_the_open_training_is_seen_through(planted):
    waiting = retraining.request_training(planted.library, "by hand")
    assert run("train", planted.library, "--inline")["model_version"] == 1
    waiting.refresh_from_db()
    assert waiting.state == Job.State.DONE


def test_training_one_facet(planted):
    moods = make_labels(planted.library, "mood", ("Calm", "Wild"))
    for number, track in enumerate(planted.tracks):
        say(planted.legacy, track, [moods[number % 2]], offered=moods, kind="imported")
    answer = run("train", planted.library, "--facet", "genre", "--inline", "--seed", "3")
    version = ModelVersion.objects.get(number=answer["model_version"])
    assert set(version.label_uids) == {label.uid.hex for label in planted.labels}
    assert TrainingRun.objects.get().seed == 3


def test_two_positives_are_enough_for_a_round():
    planted = plant(n_tracks=9, n_audit=3)
    answer = round_of(planted.library)
    assert answer["model_version"] == 1
    assert Snapshot.objects.get().selection["min_support"] == 2


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("run_round", ["--network", "deep-thought"]),
        ("train", ["--network", "deep-thought"]),
        ("train", ["--recipe", "soup"]),
        ("train", ["--snapshot", "9"]),
        ("train", ["--facet", "taste"]),
        ("train", ["--folds", "1"]),
        ("train", ["--epochs", "0"]),
        ("predict", []),
        ("predict", ["--model", "7"]),
        ("extract_features", ["--features", "none"]),
    ],
)
def test_bad_input_ends_with_2_and_writes_nothing(planted, command, arguments):
    with pytest.raises(CommandError) as refused:
        run(command, planted.library, "--inline", *arguments)
    assert refused.value.returncode == 2
    assert (Job.objects.count(), Snapshot.objects.count(), TrainingRun.objects.count()) == (
        0,
        0,
        0,
    )


def test_round_without_two_labels_ends_with_2_and_writes_nothing():
    planted = plant(answers=False)
    with pytest.raises(CommandError, match="a facet with two labels") as refused:
        round_of(planted.library)
    assert refused.value.returncode == 2
    assert Job.objects.count() == 0


def test_library_without_audio_ends_with_2():
    library = make_library()
    make_track(library)
    with pytest.raises(CommandError, match="has audio") as refused:
        round_of(library)
    assert refused.value.returncode == 2


def test_failing_training_says_why_and_leaves_no_model(planted, monkeypatch):
    def fall(*args, **kwargs):
        raise RuntimeError("the machine is on fire")

    monkeypatch.setattr("workers.stages.training.train", fall)
    with pytest.raises(CommandError, match="on fire"):
        round_of(planted.library)
    row = TrainingRun.objects.get()
    assert (row.state, row.reason) == ("failed", "the machine is on fire")
    assert Job.objects.get().state == Job.State.FAILED
    assert ModelVersion.objects.count() == 0


def test_cancelled_training_leaves_a_cancelled_run_and_no_file(planted, monkeypatch):
    from workers.jobs.run import Attempt

    asked = iter([False] * 3)
    monkeypatch.setattr(Attempt, "should_stop", lambda self: next(asked, True))
    with pytest.raises(CommandError):
        round_of(planted.library)
    assert TrainingRun.objects.get().state == "cancelled"
    assert ModelVersion.objects.count() == 0
    assert not (settings.MODEL_ROOT / planted.library.slug).exists()


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


def probe_of(library):
    """Ask for a probe as an import does."""
    return jobs.enqueue(JobKind.PROBE, library=library, is_announced=False)
