"""Weights of every epoch come back as they were, without staying in memory."""

from __future__ import annotations

import numpy as np
import pytest

from ml.networks.kept_weights import KeptWeights


def weights(epoch):
    rng = np.random.default_rng(epoch)
    kernel = rng.normal(size=(4, 3)).astype(np.float32)
    return {"kernel": kernel, "bias": np.array([epoch], dtype=np.float32)}


def test_each_epoch_comes_back_in_any_order():
    kept = KeptWeights()
    for epoch in range(5):
        kept.append(weights(epoch))
    assert len(kept) == 5
    for epoch in (3, 0, 4, 3):
        found = kept[epoch]
        assert list(found) == ["kernel", "bias"]
        np.testing.assert_array_equal(found["kernel"], weights(epoch)["kernel"])
        assert found["kernel"].dtype == np.float32
    kept.append(weights(5))
    assert [float(found["bias"][0]) for found in kept] == [0, 1, 2, 3, 4, 5]


def test_nothing_kept_is_nothing():
    kept = KeptWeights()
    assert len(kept) == 0
    assert list(kept) == []
    with pytest.raises(IndexError):
        kept[0]
