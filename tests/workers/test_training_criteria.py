"""The loop tells earlier criteria apart where today's curator judges what it learns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labeling.loop.registry import evaluation_records, models, recipes
from labeling.models import Evaluation, TrainingRun
from ml.training.recipes import AUDIOTAG
from ml.training.trained_model import TrainedModel
from ml.types import TrainingConfig
from tests.answers import say
from tests.factories import make_annotator, make_labels
from tests.planted_library import catalogue, plant
from tests.workers.rounds.world import run
from workers.stages import network_folds, preparing

pytestmark = pytest.mark.django_db


@pytest.fixture
def planted():
    """A catalogue says one label beside the truth of every track."""
    planted = plant(140, 16, answers=False)
    catalogue(planted, range(140), shift=1, at="2015-01-01")
    return planted


def let_ana_judge(planted, numbers):
    ana = make_annotator(planted.library, "Ana")
    catalogue(planted, numbers, annotator=ana, kind="judgement", at="2024-01-01")


def trained_config(planted):
    run("train", planted.library, "--inline")
    version = planted.library.models.latest("number")
    model = TrainedModel.load(models.model_folder_of(version), version.sha256)
    return model.config.criteria


def test_by_default_four_networks_learn_criteria_apart(planted, settings):
    settings.MEMBERS = 4
    found = recipes.training_config_of(planted.library, {})
    assert found == replace(AUDIOTAG.training, network="pooled-numpy")
    assert (found.members, found.criteria) == (4, "apart")
    settings.MEMBERS = 1
    assert recipes.training_config_of(planted.library, {}).members == 1
    assert recipes.training_config_of(planted.library, {"recipe": "audiotag"}).members == 4


def test_a_network_of_windows_trains_without_either(planted):
    found = recipes.training_config_of(planted.library, {"network": "seed-cnn", "epochs": 3})
    assert found == TrainingConfig(network="seed-cnn", epochs=3, label_counts="learnt")
    ours = recipes.training_config_of(
        planted.library, {"recipe": "audiotag", "network": "seed-cnn"}
    )
    assert ours == TrainingConfig(network="seed-cnn", label_counts="learnt")


def test_two_criteria_are_told_apart_where_todays_judge(planted):
    let_ana_judge(planted, range(100))  # all 16 audit tracks, and 84 to learn from
    prepared = preparing.prepare(planted.library, {})
    assert prepared.is_present is not None
    assert int(prepared.is_present.sum()) == 84
    assert len(prepared.is_present) == 124
    assert trained_config(planted) == "apart"


def test_not_where_the_audit_tracks_are_judged_by_others(planted):
    let_ana_judge(planted, range(10, 110))  # 6 of the 16
    assert preparing.prepare(planted.library, {}).is_present is None
    assert trained_config(planted) == "same"


def test_not_where_today_has_few_tracks(planted):
    let_ana_judge(planted, range(50))
    assert preparing.prepare(planted.library, {}).is_present is not None
    assert trained_config(planted) == "same"


def test_not_where_there_is_one_annotator_only(planted):
    assert trained_config(planted) == "same"


def test_the_report_says_what_was_done_not_what_was_asked(planted):
    run("train", planted.library, "--inline")
    row = TrainingRun.objects.latest("pk")
    assert row.config["training"]["criteria"] == "apart"
    record = evaluation_records.record_of(Evaluation.objects.get(run=row))
    assert "criteria" not in record.about["config"]


def test_networks_are_compared_one_of_each(planted, settings):
    settings.MEMBERS = 4
    prepared = preparing.prepare(planted.library, {})
    assert prepared.config.members == 4
    contender = network_folds._contender(prepared, prepared.frozen.track_ids)
    assert contender.config == TrainingConfig(network="pooled-numpy")


def test_folds_say_that_they_tell_nothing_apart(planted):
    let_ana_judge(planted, range(100))
    run("train", planted.library, "--folds", "2", "--inline")
    record = evaluation_records.record_of(Evaluation.objects.get())
    assert "criteria" not in record.about["config"]


def test_a_track_is_todays_by_what_was_judged_of_the_facets_asked_for(planted):
    """Ana judges the mood of every track: of the genres they are the catalogue's still."""
    moods = make_labels(planted.library, "mood", ("Calm", "Wild"))
    ana = make_annotator(planted.library, "Ana")
    for number, track in enumerate(planted.tracks):
        say(ana, track, [moods[number % 2]], offered=moods, at="2024-01-01")
    whole = preparing.prepare(planted.library, {})
    snapshot = whole.snapshot.number
    genres = preparing.prepare(planted.library, {"snapshot": snapshot, "facets": ["genre"]})
    assert not genres.frozen.is_present.any()
    found = preparing.prepare(planted.library, {"snapshot": snapshot, "facets": ["mood"]})
    assert found.frozen.is_present.all()
