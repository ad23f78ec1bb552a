"""Rounds: folds, facets, bad input, failures and cancelling."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.core.management import CommandError

from labeling.loop import retraining
from labeling.loop.registry import models
from labeling.models import (
    Job,
    ModelVersion,
    Snapshot,
    TrainingRun,
)
from labeling.models.jobs import JobKind
from tests.answers import say
from tests.factories import make_labels, make_library, make_track
from tests.planted_library import plant
from tests.workers.rounds.world import round_of, run

pytestmark = pytest.mark.django_db


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
    assert retraining.trained_last_at(planted.library) is None


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
