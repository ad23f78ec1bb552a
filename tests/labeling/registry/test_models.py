"""Promotion of a model, and the record of it."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from labeling.errors import BadInput
from labeling.loop import features
from labeling.loop.registry import models
from labeling.loop.registry.models import Trained
from labeling.loop.registry.promotion import Decision
from labeling.models import ModelVersion, PromotionEvent, Snapshot, TrainingRun
from ml.training.weights import WEIGHTS_FILE
from ml.types import TrainingConfig
from tests.factories import make_library

pytestmark = pytest.mark.django_db
YES, NO = Decision(True, "good"), Decision(False, "bad")


def trained(**over):
    values = {
        "folder": "x/y",
        "sha256": "0" * 64,
        "label_uids": ["a", "b"],
        "thresholds": [0.5, 0.4],
        "calibration": {},
        "metrics": {"macro_ap": 0.5, "n": 20, "interval": {"macro_ap": [0.4, 0.6]}},
        "baseline": {"macro_ap": 0.2},
    }
    return Trained(**{**values, **over})


@pytest.fixture
def library():
    return make_library()


@pytest.fixture
def snapshot(library):
    return Snapshot.objects.create(
        library=library, number=1, selection={}, hash="h", file="f", sha256="s", tracks=1,
        annotations=1, label_uids=[], split={}, taken_at=timezone.now(),
    )  # fmt: skip


@pytest.fixture
def new_run(snapshot):
    def make(job=None):
        return models.start_run(
            snapshot,
            features.feature_set_of("audiotag"),
            TrainingConfig(seed=4),
            digest="d",
            facts={"tracks": 3},
            versions={"numpy": "2"},
            job=job,
        )

    return make


def test_versions_count_up_and_one_is_the_champion(library, new_run):
    first = models.register_model(new_run(), trained(), YES)
    second = models.register_model(new_run(), trained(), YES)
    third = models.register_model(new_run(), trained(), NO)
    states = dict(ModelVersion.objects.values_list("number", "state"))
    assert states == {1: "retired", 2: "champion", 3: "candidate"}
    assert models.champion_of(library) == second
    events = list(PromotionEvent.objects.order_by("id").values_list("kind", "previous_id"))
    assert events == [("promoted", None), ("promoted", first.pk), ("refused", second.pk)]
    assert third.run.state == "running"
    assert TrainingRun.objects.get(pk=third.run_id).state == "done"
    assert TrainingRun.objects.get(pk=third.run_id).reason == "bad"


@pytest.fixture(autouse=True)
def files():
    home = Path(settings.MODEL_ROOT) / "x" / "y"
    home.mkdir(parents=True, exist_ok=True)
    (home / WEIGHTS_FILE).write_bytes(b"x")
    yield
    shutil.rmtree(home, ignore_errors=True)


def test_putting_another_in_use_by_hand(library, new_run):
    first = models.register_model(new_run(), trained(), YES)
    second = models.register_model(new_run(), trained(), YES)
    first.refresh_from_db()
    models.promote(first)
    assert models.champion_of(library) == first
    event = PromotionEvent.objects.first()
    assert (event.kind, event.previous) == ("rolled_back", second)
    assert event.reason == "promoted by hand instead of model 2"
    with pytest.raises(BadInput, match="is the champion already"):
        models.promote(first)


def test_no_model_takes_the_place_of_one_it_was_not_compared_with(library, new_run):
    first = models.register_model(new_run(), trained(), YES)
    second = models.register_model(new_run(), trained(), YES)
    models.promote(first)
    against_second = replace(YES, against_id=second.pk)
    third = models.register_model(new_run(), trained(), against_second)
    assert models.champion_of(library) == first
    assert (third.state, PromotionEvent.objects.first().reason) == (
        "candidate",
        "model 1 was promoted while it was compared with another model",
    )
    models.register_model(new_run(), trained(), replace(YES, against_id=first.pk))
    assert models.champion_of(library).number == 4


def test_first_model_gives_way_to_one_that_came_meanwhile(library, new_run):
    models.register_model(new_run(), trained(), YES)
    models.register_model(new_run(), trained(), replace(YES, against_id=None))
    assert models.champion_of(library).number == 1


def test_model_whose_files_are_lost_is_not_put_in_use(library, new_run):
    first = models.register_model(new_run(), trained(), YES)
    second = models.register_model(new_run(), trained(), YES)
    shutil.rmtree(Path(settings.MODEL_ROOT) / first.folder)
    with pytest.raises(BadInput, match="files of model 1 are missing"):
        models.promote(first)
    assert models.champion_of(library) == second


def test_labels_in_common(library, new_run):
    champion = models.register_model(new_run(), trained(label_uids=["a", "b", "c"]), YES)
    mine, its = models.in_common(champion, ["c", "x", "a"])
    assert (mine.tolist(), its.tolist()) == ([0, 2], [2, 0])
    assert [part.tolist() for part in models.in_common(champion, ["x"])] == [[], []]


def test_next_attempt_closes_the_run_of_a_dead_one(library, new_run):
    from labeling import jobs

    job = jobs.enqueue("train", library=library, is_announced=False)
    dead = new_run(job)
    new_run(job)
    dead.refresh_from_db()
    assert (dead.state, dead.finished_at is None) == ("failed", False)


def test_history_is_written_while_it_runs_but_not_too_often(new_run):
    run = new_run()
    log = models.EpochLog(run, every_s=3600)
    for epoch in range(3):
        log.add({"epoch": epoch})
    run.refresh_from_db()
    assert run.epochs == [{"epoch": 0}]
    assert len(log.epochs) == 3


def test_closed_run_is_not_closed_again(new_run):
    run = new_run()
    models.end_without_model(run, "failed", "first")
    models.end_without_model(run, "cancelled", "second")
    run.refresh_from_db()
    assert (run.state, run.reason) == ("failed", "first")


def test_folders_that_nobody_names_are_swept_when_they_are_old(library, new_run):
    home = Path(settings.MODEL_ROOT) / library.slug
    running, lost, young = new_run(), home / "lost", home / "young"
    for folder in (home / running.uid.hex, lost, young):
        folder.mkdir(parents=True)
        (folder / "weights.npz").write_bytes(b"x")
    for folder in (home / running.uid.hex, lost):
        os.utime(folder, (1, 1))
    assert models.sweep_models(library) == [f"{library.slug}/lost"]
    assert sorted(one.name for one in home.iterdir()) == sorted([running.uid.hex, "young"])


def test_unknown_model_is_refused(library):
    with pytest.raises(BadInput, match="train a model first"):
        models.model_version_of(library)
    with pytest.raises(BadInput, match="no model 3"):
        models.model_version_of(library, 3)
