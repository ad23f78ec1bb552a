"""Trainings of these tests are short: the planted labels are learnt in a few epochs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ml.networks.pooled_numpy import POOLED_DEFAULTS, PooledNumpyNetwork


@pytest.fixture(autouse=True, scope="module")
def few_epochs():
    """Train the numpy network for 24 epochs instead of 80."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PooledNumpyNetwork, "defaults", replace(POOLED_DEFAULTS, epochs=24))
        yield
