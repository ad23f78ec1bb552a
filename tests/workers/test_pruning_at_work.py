"""Pruning while real work of the loop goes on: nothing that it reads is taken away."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.loop.datasets import snapshots
from labeling.loop.registry import models
from labeling.loop.registry.models import Decision
from labeling.loop.upkeep import prune
from labeling.models import PredictionSet, Snapshot
from tests.factories import make_annotator
from tests.planted_library import catalogue, plant
from tests.workers.rounds.world import round_of, run
from workers.jobs import upkeep
from workers.stages import training

pytestmark = pytest.mark.django_db


@pytest.fixture
def turned(settings, monkeypatch):
    """Return a library with a champion and a rejected model of an old snapshot of its own."""
    settings.KEEP_MODELS = 0
    planted = plant()
    round_of(planted.library)
    person = make_annotator(planted.library)
    catalogue(planted, range(20, 40), annotator=person, kind="judgement")
    with monkeypatch.context() as patch:
        patch.setattr(training, "decide", lambda *_: Decision(False, "by the test"))
        run("train", planted.library, "--inline")
    assert models.champion_of(planted.library).number == 1
    Snapshot.objects.update(taken_at=timezone.now() - timedelta(days=9))
    return planted.library


def pruned_in(monkeypatch, name):
    """Prune whenever this step of the work begins; return what was removed each time."""
    step, found = getattr(training, name), []

    def after_pruning(*arguments, **named):
        found.append(prune.prune().as_json())
        return step(*arguments, **named)

    monkeypatch.setattr(training, name, after_pruning)
    return found


def test_training_on_an_old_snapshot_keeps_it(turned, monkeypatch):
    found = [pruned_in(monkeypatch, name) for name in ("fit", "decide")]
    answer = run("train", turned, "--snapshot", "2", "--seed", "3", "--inline")
    assert answer["model_version"] == 3
    assert [[one["models"] for one in times] for times in found] == [[1], [0]]
    assert not models.has_files(turned.models.get(number=2))
    snapshots.load(Snapshot.objects.get(number=2))


def test_prediction_by_an_old_model_keeps_it(turned, monkeypatch):
    found = pruned_in(monkeypatch, "track_features_for")
    assert run("predict", turned, "--model", "2", "--inline")["model_version"] == 2
    assert found[0]["models"] == 0
    assert PredictionSet.objects.get(model_version__number=2).tracks == 60
    assert models.has_files(turned.models.get(number=2))


def test_a_turn_after_pruning_makes_what_is_gone_anew(turned):
    upkeep.prune_task()
    assert not models.has_files(turned.models.get(number=2))
    assert not Snapshot.objects.get(number=2).file
    answer = round_of(turned)
    assert (answer["snapshot"], answer["model_version"]) == (2, 3)
    snapshots.load(Snapshot.objects.get(number=2))
