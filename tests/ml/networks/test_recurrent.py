from __future__ import annotations

import pytest

from ml.networks import load_network
from ml.networks.base import plan_of
from ml.types import TrainingConfig
from tests.ml.networks_at_work import check_network

pytestmark = pytest.mark.tensorflow


def test_it_has_the_layers_and_the_parameters_of_its_source():
    network = load_network("recurrent")
    model = network.build(plan_of(network, TrainingConfig()), (99, 13), 30)
    assert model.count_params() == 239_078
    shapes = [layer.output.shape[1:] for layer in model.layers]
    assert shapes == [
        (99, 13),
        (99, 128),
        (99, 128),
        (99, 128),
        (99, 64),
        (99, 32),
        (99, 16),
        (99, 8),
        (792,),
        (30,),
    ]
    assert model.get_layer("dropout").rate == 0.5


def test_it_keeps_the_contract_of_networks(tmp_path):
    config = TrainingConfig(epochs=15, learning_rate=5e-3)
    check_network("recurrent", tmp_path, needs="windows", config=config, atol=1e-4)
