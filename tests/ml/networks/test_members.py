"""Ensembles: the mean of what each network would say alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.errors import CancelledError, ParameterError
from ml.features.track_features import SelectedTracks
from ml.networks import load_network
from ml.networks.base import Watch, plan_of
from ml.networks.members import EnsembleNetwork, network_of
from ml.training.fit import train
from ml.training.trained_model import TrainedModel
from ml.types import TrainingConfig
from tests.ml.networks_at_work import summary_data
from tests.ml.planted import planted_tracks

CONFIG = TrainingConfig(network="pooled-numpy", epochs=4, members=3)
ALONE = load_network("pooled-numpy")


def plan(**changes):
    return plan_of(ALONE, replace(CONFIG, **changes))


def test_a_config_says_how_many_members_there_are():
    assert network_of(replace(CONFIG, members=1)) is ALONE
    assert isinstance(network_of(CONFIG), EnsembleNetwork)
    with pytest.raises(ParameterError, match="members is 0"):
        replace(CONFIG, members=0)


def test_one_member_keeps_the_digest_that_trainings_had_before_there_were_members():
    plain = TrainingConfig(network="pooled-numpy")
    assert "members" not in plain.canonical()
    assert "criteria" not in plain.canonical()
    assert replace(plain, members=2).digest() != plain.digest()
    assert TrainingConfig.from_dict(CONFIG.canonical()) == CONFIG


def test_together_they_say_the_mean_of_the_log_odds():
    data, items = summary_data(), summary_data().inputs.values
    together = EnsembleNetwork(ALONE, 3).fit(data, plan(), Watch()).predictor
    alone = [ALONE.fit(data, plan(seed=n * 1_000_003), Watch()).predictor for n in range(3)]
    each = np.stack([one.logits(items) for one in alone])
    np.testing.assert_allclose(together.logits(items), each.mean(axis=0), atol=1e-6)
    assert np.abs(each[0] - each[1]).max() > 0.05


def test_the_history_is_the_mean_of_theirs_over_the_epochs_all_saw():
    data = summary_data()
    fitted = EnsembleNetwork(ALONE, 3).fit(data, plan(), Watch(first_epoch=10, epochs=20))
    alone = [ALONE.fit(data, plan(seed=n * 1_000_003), Watch()) for n in range(3)]
    losses = np.array([[report.validation_loss for report in f.history] for f in alone])
    found = [report.validation_loss for report in fitted.history]
    np.testing.assert_allclose(found, losses.mean(axis=0))
    assert [report.epoch for report in fitted.history] == [11, 12, 13, 14]
    assert {report.epochs for report in fitted.history} == {20}
    assert fitted.best_epoch == losses.mean(axis=0).argmin() + 1


def test_who_looks_on_sees_every_epoch_of_every_member_go_forward():
    seen = []
    watch = Watch(on_epoch=seen.append, first_epoch=4, epochs=8, stage="fold 2 of 2")
    EnsembleNetwork(ALONE, 3).fit(summary_data(), plan(), watch)
    assert len(seen) == 12
    epochs = [report.epoch for report in seen]
    assert epochs == sorted(epochs)
    assert (epochs[0], epochs[-1]) == (5, 8)
    assert {report.stage for report in seen} == {"fold 2 of 2"}
    assert [report.start for report in seen] == [1] * 4 + [2] * 4 + [3] * 4


def test_they_come_back_from_files_and_repeat_by_seed(tmp_path):
    features, labels, groups = planted_tracks(120)
    model = train(features, labels, groups, CONFIG)
    saved = model.save(tmp_path / "model")
    loaded = TrainedModel.load(saved.folder, saved.sha256)
    np.testing.assert_array_equal(loaded.logits(features), model.logits(features))
    again = train(features, labels, groups, CONFIG)
    np.testing.assert_array_equal(again.logits(features), model.logits(features))


def test_weights_of_another_number_of_members_are_refused():
    data = summary_data()
    weights = EnsembleNetwork(ALONE, 3).fit(data, plan(), Watch()).predictor.weights()
    for n_members in (2, 4):
        with pytest.raises(ParameterError):
            EnsembleNetwork(ALONE, n_members).restore(plan(), (6,), 3, weights)


def test_a_stop_ends_the_member_at_work():
    asked = iter([False] * 6)
    with pytest.raises(CancelledError):
        EnsembleNetwork(ALONE, 3).fit(
            summary_data(), plan(), Watch(should_stop=lambda: next(asked, True))
        )


def test_the_two_twins_agree_with_members_as_they_do_alone():
    features, labels, groups = planted_tracks(80)
    found = [
        train(features, labels, np.zeros_like(groups), replace(CONFIG, network=name, members=2))
        for name in ("pooled", "pooled-numpy")
    ]
    some = SelectedTracks(features, np.arange(20))
    np.testing.assert_allclose(found[0].logits(some), found[1].logits(some), atol=1e-4)
