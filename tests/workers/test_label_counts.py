"""The loop fits the cardinality potential of each facet."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from labeling.loop.datasets import aggregate
from labeling.loop.registry import models, recipes
from ml.training.trained_model import TrainedModel
from ml.training.weights import read_model
from tests.factories import make_labels
from tests.planted_library import plant
from tests.workers.rounds.world import run
from workers.stages import network_folds, preparing

pytestmark = pytest.mark.django_db


@pytest.fixture
def planted():
    return plant(120, 16)


def newest(library):
    version = library.models.latest("number")
    return TrainedModel.load(models.model_folder_of(version), version.sha256), version


def test_the_loops_models_know_how_many_labels_tracks_have(planted):
    """In the planted library every fifth track has two labels, all others one."""
    run("train", planted.library, "--inline")
    model, version = newest(planted.library)
    (facet,) = model.counts.facets
    assert facet.columns.tolist() == [0, 1, 2]
    assert len(facet.weights) == 4  # none, one, two, three
    assert facet.weights.max() == 1
    features = preparing.prepare(planted.library, {}).features
    expected = model.probabilities(features).sum(axis=1).mean()
    assert expected == pytest.approx(planted.truth.sum(axis=1).mean(), abs=0.06)
    stored = json.loads((models.model_folder_of(version) / "model.json").read_text())
    assert stored["counts"] == model.counts.to_dict()


def test_a_model_from_before_is_read_as_it_was(planted):
    run("train", planted.library, "--inline")
    model, version = newest(planted.library)
    arrays, facts = read_model(models.model_folder_of(version), version.sha256)
    del facts["counts"]
    before = TrainedModel._from_files(arrays, facts)
    raw = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    assert before.counts.facets == ()
    assert before.calibrated(raw) == pytest.approx(model.platt.apply(raw))


def test_labels_are_counted_by_facet(planted):
    moods = make_labels(planted.library, "mood", names=("Calm", "Dark"))
    prepared = preparing.prepare(planted.library, {})
    assert prepared.facets == ["genre"] * len(prepared.uids)
    others = [aggregate.others_uid(label.facet) for label in (planted.labels[0], moods[0])]
    some = replace(prepared, uids=[*prepared.uids, moods[0].uid.hex, *others, "0" * 32])
    # Each facet has an Others of its own; what is known no more is of no facet with others.
    assert some.facets == ["genre"] * 3 + ["mood", "genre", "mood", "0" * 32]


def test_a_training_is_told_the_facets(planted, monkeypatch):
    """The planted library has one facet; with two, each is counted separately."""
    facets = property(lambda prepared: ["a", "a", "b"])
    monkeypatch.setattr(preparing.Prepared, "facets", facets)
    run("train", planted.library, "--inline")
    counted = [facet.columns.tolist() for facet in newest(planted.library)[0].counts.facets]
    assert [0, 1, 2] not in counted
    assert all(columns == [0, 1] for columns in counted)


def test_folds_count_and_single_networks_do_not(planted, monkeypatch):
    told = []

    def cross_validate(features, labels, groups, config, *more, facets=(), **rest):
        told.append((config.label_counts, list(facets)))
        raise RuntimeError("far enough")

    monkeypatch.setattr("workers.stages.evaluating.cross_validate", cross_validate)
    with pytest.raises(Exception, match="far enough"):
        run("train", planted.library, "--inline", "--folds", "3")
    assert told == [("learnt", ["genre"] * 3)]
    prepared = preparing.prepare(planted.library, {})
    assert recipes.training_config_of(planted.library, {}).label_counts == "learnt"
    single = network_folds._contender(prepared, prepared.frozen.track_ids)
    assert single.config.label_counts == "free"
