"""Former champions: which of them a new model meets, and that they keep their files."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from labeling.loop import features
from labeling.loop.registry import models
from labeling.loop.registry.former_champions import MOST_FORMER, former_champions
from labeling.loop.registry.models import Trained
from labeling.loop.registry.promotion import Decision
from labeling.loop.upkeep.prune import kept_models
from labeling.models import Snapshot
from ml.training.weights import WEIGHTS_FILE
from ml.types import TrainingConfig
from tests.factories import make_library

pytestmark = pytest.mark.django_db


@pytest.fixture
def library(settings, tmp_path):
    settings.MODEL_ROOT = tmp_path
    settings.KEEP_MODELS = 1
    return make_library()


@pytest.fixture
def register(library):
    snapshot = Snapshot.objects.create(
        library=library, number=1, selection={}, hash="h", file="f", sha256="s", tracks=1,
        annotations=1, label_uids=[], split={}, taken_at=timezone.now(),
    )  # fmt: skip

    def made(skill, *, is_promoted=True, metrics=None):
        run = models.start_run(
            snapshot, features.feature_set_of("audiotag"), TrainingConfig(seed=4),
            digest="c" * 64, facts={}, versions={},
        )  # fmt: skip
        folder = Path(django_settings.MODEL_ROOT) / models.folder_name(run)
        folder.mkdir(parents=True)
        (folder / WEIGHTS_FILE).write_bytes(b"")
        shown = {"n": 20, "headline": {"skill": skill}} if metrics is None else metrics
        found = Trained(models.folder_name(run), "0" * 64, ["a"], [0.5], {}, shown, {})
        return models.register_model(run, found, Decision(is_promoted, "by the test"))

    return made


def numbers(library):
    return [one.number for one in former_champions(library)]


def test_the_best_come_first_and_the_champion_and_candidates_are_left_out(library, register):
    for skill in (0.3, 0.5, 0.1, 0.4):
        register(skill)
    register(0.9, is_promoted=False)
    register(0.2)
    assert numbers(library) == [2, 4, 1]
    assert MOST_FORMER == 3


def test_models_of_earlier_versions_count_by_their_old_skill(library, register):
    register(None, metrics={"n": 20, "bce_skill": 0.6})
    register(None, metrics={"n": 0})
    register(0.5)
    register(0.2)
    assert numbers(library) == [1, 3]


def test_a_promotion_by_hand_ends_the_comparison_with_earlier_ones(library, register):
    first = register(0.5)
    register(0.4)
    register(0.3)
    assert numbers(library) == [1, 2]
    models.promote(first, why="it hears drones")
    assert numbers(library) == []
    register(0.2)
    assert numbers(library) == [1]


def test_the_best_keep_their_files(library, register):
    best = register(0.6)
    worst = register(0.1)
    for skill in (0.5, 0.4, 0.3, 0.2):
        register(skill)
    kept = kept_models(library)
    assert best.pk in kept
    assert worst.pk not in kept
