"""A network of windows without TensorFlow: the mean of a window's frames, then `pooled`."""

from __future__ import annotations

from ml.networks.base import Defaults
from ml.networks.loop import run_epochs
from ml.networks.pooled_numpy import NumpyPooled, initial_weights


class _Trainable(NumpyPooled):
    def logits(self, items):
        return super().logits(items.mean(axis=1))

    def step(self, items, targets, weights):
        return super().step(items.mean(axis=1), targets, weights)


class TinyWindows:
    """Keeps what the last fit was given, so that tests can look at it."""

    name = "tiny-windows"
    needs = "windows"
    defaults = Defaults(
        epochs=30, batch_size=16, learning_rate=1e-2, patience=30, options={"hidden": 8}
    )
    is_cheap = False

    def __init__(self):
        self.data = None

    def fit(self, data, plan, watch):
        self.data = data
        size = data.inputs.item_shape[1]
        first = initial_weights(size, plan.whole("hidden"), data.output_bias, plan.seed)
        return run_epochs(_Trainable(first, plan.learning_rate, 0.0), data, plan, watch)

    def restore(self, plan, item_shape, n_labels, weights):
        return _Trainable(weights, plan.learning_rate, 0.0)


NETWORK = TinyWindows()
