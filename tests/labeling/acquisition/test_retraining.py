"""Automatic retraining: when it starts, and which job follows."""

from __future__ import annotations

import pytest
from django.db import DatabaseError
from django.utils import timezone

from labeling import jobs
from labeling.loop import desk, retraining
from labeling.models import Annotation, AudioFile, Job, Snapshot
from labeling.models.jobs import JobKind
from tests.answers import retract, say
from tests.factories import make_annotator, make_labels, make_library, make_track
from tests.planted_library import catalogue, plant

pytestmark = pytest.mark.django_db


@pytest.fixture
def planted():
    return plant(n_tracks=30, n_audit=6, answers=False)


def judge(planted, numbers, name="ann"):
    library = planted.library
    ann = library.annotators.filter(name=name).first() or make_annotator(library, name)
    catalogue(planted, numbers, annotator=ann, kind="judgement", at="2025-01-01")
    retraining.after_annotation(library)


def kinds():
    return list(Job.objects.order_by("id").values_list("kind", flat=True))


def test_training_starts_with_the_twentieth_answer_and_once(planted):
    judge(planted, range(19))
    assert kinds() == []
    judge(planted, range(19, 20))
    assert kinds() == ["train"]
    job = Job.objects.get()
    assert job.arguments["then"] == ["predict", "rank"]
    assert job.arguments["reason"] == "20 new or changed answers"
    judge(planted, range(20, 30))
    assert kinds() == ["train"]


def ended(state, **fields):
    """End the training that is open."""
    now = timezone.now()
    job = Job.objects.get(kind=JobKind.TRAIN, state="queued")
    Job.objects.filter(pk=job.pk).update(
        state=state, **{"started_at": now, "finished_at": now, **fields}
    )
    return job


def test_answers_are_counted_from_the_last_training_that_ended_well(planted):
    judge(planted, range(20))
    ended("done")
    judge(planted, range(20, 30))
    assert kinds() == ["train"]
    judge(planted, range(10), name="bob")
    assert kinds() == ["train", "train"]


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_after_a_failure_it_waits_for_as_many_answers_again_or_the_night(planted, state):
    judge(planted, range(20))
    ended(state)
    judge(planted, range(20, 30))
    assert kinds() == ["train"]
    assert retraining.new_annotations(planted.library, 100) == 30
    assert retraining.next_missing(planted.library) == JobKind.TRAIN
    judge(planted, range(10), name="bob")
    assert kinds() == ["train", "train"]


def test_turn_that_failed_before_its_training_is_not_asked_for_with_every_answer(planted):
    root = planted.tracks[0].audio.root
    audio = AudioFile.objects.create(root=root, relative_path="new.mp3")
    make_track(planted.library, "new.mp3", audio=audio, state="pending")
    judge(planted, range(20))
    assert kinds() == ["probe"]
    Job.objects.update(state="failed", finished_at=timezone.now())
    judge(planted, range(20, 30))
    assert kinds() == ["probe"]


@pytest.mark.parametrize("chosen", [{"snapshot": 1}, {"facets": ["genre"]}])
def test_training_of_chosen_answers_swallows_none(planted, chosen):
    judge(planted, range(19))
    retraining.ask(planted.library, ["train"], arguments=chosen)
    ended("done")
    judge(planted, range(19, 20))
    assert kinds() == ["train", "train"]


def test_snapshot_by_hand_swallows_none(planted):
    judge(planted, range(19))
    Snapshot.objects.create(
        library=planted.library, number=1, selection={}, hash="h", file="f", sha256="s",
        tracks=1, annotations=1, label_uids=[], split={}, taken_at=timezone.now(),
    )  # fmt: skip
    judge(planted, range(19, 20))
    assert kinds() == ["train"]


def test_undoing_counts_as_a_change(planted):
    library = planted.library
    judge(planted, range(19))
    retract(Annotation.objects.first())
    retraining.after_annotation(library)
    assert kinds() == ["train"]


def test_undoing_twice_asks_once(planted, django_capture_on_commit_callbacks):
    judge(planted, range(19))
    answer = Annotation.objects.latest("id")
    with django_capture_on_commit_callbacks(execute=True):
        desk.undo(answer)
    assert kinds() == ["train"]
    Job.objects.all().delete()
    with django_capture_on_commit_callbacks(execute=True):
        desk.undo(answer)
    assert kinds() == []


def test_library_may_switch_it_off_or_ask_sooner(planted):
    library = planted.library
    library.retrain_after = 0
    library.save()
    judge(planted, range(25))
    assert kinds() == []
    library.retrain_after = 3
    library.save()
    retraining.after_annotation(library)
    assert kinds() == ["train"]


def test_library_without_audio_is_not_trained():
    library = make_library(retrain_after=1)
    labels, ann = make_labels(library), make_annotator(library)
    say(ann, make_track(library), labels[:1], offered=labels)
    retraining.after_annotation(library)
    assert kinds() == []


def test_new_files_are_heard_and_computed_first(planted):
    library = planted.library
    root = planted.tracks[0].audio.root
    audio = AudioFile.objects.create(root=root, relative_path="new.mp3")
    track = make_track(library, "new.mp3", audio=audio, state="pending")
    assert retraining.next_missing(library) == JobKind.PROBE
    job = retraining.request_training(library, "by hand")
    assert job.kind == JobKind.PROBE
    assert job.arguments["then"] == ["features", "train", "predict", "rank"]
    assert retraining.request_training(library, "again") == job
    track.state = "ready"
    track.save()
    assert retraining.next_missing(library) == JobKind.FEATURES


def test_trouble_with_the_database_never_disturbs_the_answer(planted, monkeypatch):
    def fall(*args, **kwargs):
        raise DatabaseError("locked")

    monkeypatch.setattr(retraining, "open_training", fall)
    retraining.after_annotation(planted.library)


def test_what_follows_is_asked_for_once_and_skips_the_needless(planted):
    job = retraining.ask(
        planted.library, ["train", "predict", "rank"], arguments={"network": "x"}
    )
    result = {}
    following = retraining.follow_up(job, result, skip=["predict"])
    assert following.kind == "rank"
    assert following.arguments == {"network": "x", "then": []}
    assert result == {"next_job": following.pk}
    assert retraining.follow_up(job, {}, skip=["predict"]) == following
    assert retraining.follow_up(following, result) is None


def test_probe_that_nobody_planned_goes_on_to_features(planted):
    job = jobs.enqueue(JobKind.PROBE, library=planted.library, is_announced=False)
    following = retraining.follow_up(job, {})
    assert (following.kind, following.arguments["then"]) == ("features", [])


def test_at_night_only_what_is_new_is_trained(planted):
    judge(planted, range(3))
    assert retraining.request_nightly(planted.library).kind == "train"
    assert retraining.next_missing(planted.library) == JobKind.TRAIN


def test_asking_again_after_a_cancelled_turn_makes_another(planted):
    root = planted.tracks[0].audio.root
    audio = AudioFile.objects.create(root=root, relative_path="new.mp3")
    make_track(planted.library, "new.mp3", audio=audio, state="pending")
    first = retraining.request_training(planted.library, "by hand")
    jobs.cancel(first)
    second = retraining.request_training(planted.library, "by hand")
    assert second.pk != first.pk
    assert (second.kind, second.state) == ("probe", "queued")
