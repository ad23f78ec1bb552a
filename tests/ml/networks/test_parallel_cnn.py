from __future__ import annotations

import pytest

from ml.networks import load_network
from ml.networks.base import plan_of
from ml.types import FEATURE_CONFIGS, TrainingConfig
from tests.ml.networks_at_work import check_network, planted_images

pytestmark = pytest.mark.tensorflow


def test_its_branches_pool_time_and_bands_apart():
    network = load_network("parallel-cnn")
    shape = FEATURE_CONFIGS[network.features].frame_shape
    model = network.build(plan_of(network, TrainingConfig()), shape, 30)
    assert model.get_layer("spectra_convolution").output.shape[1:] == (40, 80, 16)
    assert model.get_layer("spectra_pool").output.shape[1:] == (4, 80, 16)
    assert model.get_layer("rhythm_pool").output.shape[1:] == (40, 4, 16)
    assert model.get_layer("both").output.shape[1:] == (4 * 80 * 16 + 40 * 4 * 16,)
    convolutions = (11 * 10 + 1) * 16 + (10 * 21 + 1) * 16
    dense = (4 * 80 * 16 + 40 * 4 * 16 + 1) * 200 + 201 * 30
    assert model.count_params() == convolutions + dense


def test_it_keeps_the_contract_of_networks(tmp_path):
    config = TrainingConfig(epochs=8)
    check_network(
        "parallel-cnn",
        tmp_path,
        needs="windows",
        config=config,
        planted=planted_images(140),
        atol=1e-4,
    )
