from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.errors import NothingToLearnError, ParameterError
from ml.features.store import FeatureStore, write_shard
from ml.features.track_features import (
    ArrayFeatures,
    SelectedTracks,
    ShardedFeatures,
    stored_features,
)
from ml.networks import load_network, names
from ml.networks.base import plan_of
from ml.networks.inputs import (
    Scaler,
    SummaryInputs,
    WindowInputs,
    evenly_spaced,
    fit_scaler,
    scaled_inputs,
)
from ml.types import FEATURE_CONFIGS, TrainingConfig

IDENTITY = Scaler(np.zeros(2, np.float32), np.ones(2, np.float32))


def numbered_windows(counts):
    """Window w of track t is filled with 10 t + w."""
    return [
        np.stack([np.full((3, 2), 10 * track + window, np.float16) for window in range(count)])
        if count
        else np.zeros((0, 3, 2), np.float16)
        for track, count in enumerate(counts)
    ]


def sharded(counts, split):
    """The same windows in two shards, tracks before `split` in the first."""
    windows = numbered_windows(counts)
    shards = [np.concatenate(windows[:split]), np.concatenate(windows[split:])]
    starts = np.cumsum([0, *counts])[:-1]
    shard = (np.arange(len(counts)) >= split).astype(np.intp)
    first = starts - shard * sum(counts[:split])
    return ShardedFeatures(shards, shard, first, np.array(counts))


def test_the_default_network_is_first_and_all_load():
    assert names()[0] == "pooled"
    assert [load_network(name).name for name in names()] == names()


def test_an_unknown_network_lists_the_known_ones():
    with pytest.raises(ParameterError, match="pooled-numpy"):
        load_network("deep")


def test_zeros_in_the_config_mean_the_networks_own_defaults():
    network = load_network("pooled-numpy")
    plan = plan_of(network, TrainingConfig(epochs=7))
    assert plan.epochs == 7
    assert plan.learning_rate == network.defaults.learning_rate
    assert plan.options["hidden"] == network.defaults.options["hidden"]


def test_batches_grow_with_the_data_unless_the_config_says_how_large():
    network = load_network("pooled-numpy")
    assert plan_of(network, TrainingConfig(), n_items=1_000).batch_size == 32
    assert plan_of(network, TrainingConfig(), n_items=48_411).batch_size == 485
    assert plan_of(network, TrainingConfig(batch_size=96), n_items=48_411).batch_size == 96


@pytest.mark.parametrize(
    "config",
    [
        TrainingConfig(options=(("depth", 3.0),)),
        TrainingConfig(learning_rate=-1.0),
        TrainingConfig(epochs=-3),
        TrainingConfig(options=(("patience", 0.0),)),
    ],
)
def test_unknown_options_and_impossible_values_are_refused(config):
    with pytest.raises(ParameterError):
        plan_of(load_network("pooled-numpy"), config)


def test_standardising_gives_mean_zero_and_deviation_one_per_coefficient():
    values = np.random.default_rng(0).normal([5, -3], [10, 0.1], size=(500, 2))
    scaled = Scaler.fit("standardise", values).apply(values)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-5)


def test_min_max_is_global_as_the_study_had_it():
    scaler = Scaler.fit("min-max", np.array([[-50.0, 0.0], [0.0, 50.0]]))
    np.testing.assert_allclose(scaler.apply(np.array([[-50.0, 0.0]])), [[0.0, 0.5]])


def test_a_constant_coefficient_is_centred_not_blown_up():
    scaled = Scaler.fit("standardise", np.full((9, 1), 7.0)).apply(np.array([[7.5]]))
    assert scaled.tolist() == [[0.5]]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(bad):
    with pytest.raises(ParameterError, match="not finite"):
        Scaler.fit("standardise", np.array([[1.0], [bad]]))


def test_an_unknown_scaling_is_refused():
    with pytest.raises(ParameterError, match="min-max"):
        Scaler.fit("whiten", np.ones((3, 1)))


def test_statistics_come_from_the_tracks_learnt_from_alone():
    features = ArrayFeatures(np.array([[1.0], [3.0], [1e6]], dtype=np.float32))
    plan = plan_of(load_network("pooled-numpy"), TrainingConfig())
    scaler = fit_scaler(features, np.array([0, 1]), "summary", plan)
    assert scaler.centre.tolist() == [2.0]


def test_no_window_at_all_is_nothing_to_learn():
    features = ArrayFeatures(None, numbered_windows([0, 0]))
    plan = plan_of(load_network("seed-cnn"), TrainingConfig(network="seed-cnn"))
    with pytest.raises(NothingToLearnError, match="window"):
        fit_scaler(features, np.array([0, 1]), "windows", plan)


def test_features_of_another_width_are_refused():
    plan = plan_of(load_network("pooled-numpy"), TrainingConfig())
    with pytest.raises(ParameterError, match="3 wide"):
        scaled_inputs(ArrayFeatures(np.zeros((4, 3))), "summary", IDENTITY, plan)


def test_evenly_spaced_takes_the_middles_of_equal_parts():
    items = evenly_spaced(np.array([7, 8, 9]), np.array([10, 1, 0]), 2)
    assert items.tolist() == [[7, 2], [7, 7], [8, 0]]


def test_evenly_spaced_without_a_limit_takes_all_in_order():
    items = evenly_spaced(np.array([4]), np.array([3]), 0)
    assert items.tolist() == [[4, 0], [4, 1], [4, 2]]


def test_each_epoch_draws_other_windows_none_twice():
    features = ArrayFeatures(None, numbered_windows([9, 2, 0, 5]))
    inputs = WindowInputs(features, IDENTITY, features.window_counts(), 4, 8)
    rng = np.random.default_rng(0)
    first, second = (inputs.draw(np.array([0, 1, 3]), rng) for _ in range(2))
    assert len(np.unique(first, axis=0)) == len(first) == 4 + 2 + 4
    assert sorted(np.bincount(first[:, 0]).tolist()) == [0, 2, 4, 4]
    assert (first[:, 1] < features.window_counts()[first[:, 0]]).all()
    assert first.tolist() != second.tolist()


def test_drawing_without_a_limit_takes_every_window():
    features = ArrayFeatures(None, numbered_windows([3, 1]))
    inputs = WindowInputs(features, IDENTITY, features.window_counts(), 0, 0)
    drawn = inputs.draw(np.array([0, 1]), np.random.default_rng(0))
    assert sorted(drawn.tolist()) == [[0, 0], [0, 1], [0, 2], [1, 0]]


def test_summaries_are_one_item_a_track():
    inputs = SummaryInputs(np.arange(6, dtype=np.float32).reshape(3, 2))
    items = inputs.fixed(np.array([2, 0]))
    assert inputs.gather(items).tolist() == [[4, 5], [0, 1]]
    assert inputs.item_shape == (2,)


def test_shards_and_arrays_give_the_same_windows():
    counts = [2, 3, 1, 4]
    tracks, windows = np.array([3, 0, 1, 3]), np.array([2, 1, 0, 3])
    gathered = sharded(counts, 2).windows(tracks, windows)
    assert gathered[:, 0, 0].tolist() == [32, 1, 10, 33]
    assert gathered.dtype == np.float32
    in_memory = ArrayFeatures(None, numbered_windows(counts))
    np.testing.assert_array_equal(gathered, in_memory.windows(tracks, windows))


def test_a_memory_mapped_shard_reads_like_an_array(tmp_path):
    windows = np.concatenate(numbered_windows([2, 3]))
    np.save(tmp_path / "shard.npy", windows)
    mapped = np.load(tmp_path / "shard.npy", mmap_mode="r")
    features = ShardedFeatures([mapped], np.array([0, 0]), np.array([0, 2]), np.array([2, 3]))
    assert features.windows(np.array([1]), np.array([2]))[0, 0, 0] == 12
    assert features.window_shape == (3, 2)


@pytest.mark.parametrize("window", [-1, 2])
def test_a_window_of_the_next_track_is_never_given(window):
    with pytest.raises(ParameterError, match="does not have"):
        sharded([2, 3], 1).windows(np.array([0]), np.array([window]))


def test_a_track_reaching_outside_its_shard_is_refused():
    features = ShardedFeatures(
        [np.zeros((4, 3, 2))], np.array([0]), np.array([2]), np.array([3])
    )
    with pytest.raises(ParameterError, match="outside"):
        features.windows(np.array([0]), np.array([2]))


def test_the_store_gives_the_windows_and_summaries_that_went_in(tmp_path):
    config = replace(FEATURE_CONFIGS["audiotag"], window_s=0.045, n_mfcc=2)
    assert config.frame_shape == (3, 2)
    windows = numbered_windows([2, 3, 1, 4])
    items = [(key, windows[key], np.float32([key, -key])) for key in range(4)]
    rows = [
        *write_shard(tmp_path, config, "first", items[:2]),
        *write_shard(tmp_path, config, "second", items[2:]),
    ]
    order = [3, 0, 2, 1]
    features = stored_features(FeatureStore(tmp_path, config), [rows[key] for key in order])
    assert features.n_tracks == 4
    assert features.window_shape == (3, 2)
    assert features.window_counts().tolist() == [4, 2, 1, 3]
    assert features.summaries().tolist() == [[3, -3], [0, 0], [2, -2], [1, -1]]
    gathered = features.windows(np.array([0, 3, 1]), np.array([2, 1, 1]))
    assert gathered[:, 0, 0].tolist() == [32, 11, 1]


def test_selected_tracks_are_renumbered():
    features = ArrayFeatures(np.array([[0.0], [1.0], [2.0]]), numbered_windows([1, 2, 3]))
    chosen = SelectedTracks(features, np.array([2, 0]))
    assert chosen.n_tracks == 2
    assert chosen.summaries().ravel().tolist() == [2, 0]
    assert chosen.window_counts().tolist() == [3, 1]
    assert chosen.windows(np.array([0]), np.array([1]))[0, 0, 0] == 21


def test_features_that_disagree_are_refused():
    with pytest.raises(ParameterError, match=r"\[2, 3\]"):
        ArrayFeatures(np.zeros((3, 2)), numbered_windows([1, 1]))
    with pytest.raises(ParameterError, match="one shape"):
        ArrayFeatures(None, [np.zeros((1, 3, 2)), np.zeros((1, 4, 2))])
    with pytest.raises(ParameterError, match="summaries, windows or both"):
        ArrayFeatures()
