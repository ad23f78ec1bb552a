from __future__ import annotations

import numpy as np
import pytest

from ml.networks import load_network
from ml.networks.base import plan_of
from ml.types import FEATURE_CONFIGS, TrainingConfig
from tests.ml.networks_at_work import check_network
from tests.ml.planted import planted_windows

pytestmark = pytest.mark.tensorflow


def built(shape, n_labels=30, **options):
    network = load_network("depthwise")
    config = TrainingConfig(options=tuple(options.items()))
    return network.build(plan_of(network, config), shape, n_labels)


def test_its_shapes_and_parameters_are_as_told():
    frames, values = FEATURE_CONFIGS[load_network("depthwise").features].frame_shape
    model = built((frames, values))
    assert model.get_layer("block1_sum").output.shape[1:] == (frames, 48)
    assert model.get_layer("block2_sum").output.shape[1:] == (frames // 2, 48)
    statistics = 2 * (values + 3 * 48)
    assert model.get_layer("statistics").output.shape[1:] == (statistics,)
    stem = values * 48 + 4 * 48
    block = 7 * 48 + 48 * 48 + 4 * 48
    top = 4 * statistics + (statistics + 1) * 64 + 65 * 30
    assert model.count_params() == stem + 2 * block + top


def test_the_order_of_frames_matters_only_to_the_convolutions():
    model = built((20, 5), blocks=0)
    items = np.random.default_rng(0).normal(size=(4, 20, 5)).astype(np.float32)
    shuffled = items[:, np.random.default_rng(1).permutation(20)]
    np.testing.assert_allclose(model(items), model(shuffled), atol=1e-4)
    deep = built((20, 5), blocks=1)
    assert np.abs(deep(items) - deep(shuffled)).max() > 1e-3


def test_it_takes_windows_of_one_frame():
    assert built((1, 3), blocks=3).output.shape[1:] == (30,)


def test_it_keeps_the_contract_of_networks(tmp_path):
    config = TrainingConfig(epochs=6)
    features, labels, _ = planted_windows(140)
    planted = features, labels, np.arange(140) // 60  # two inner folds, not five
    check_network(
        "depthwise", tmp_path, needs="windows", config=config, planted=planted, atol=1e-4
    )
