"""Pooled network in numpy: per-track statistics -> one hidden layer -> labels.

The twin of `ml.networks.pooled`: it has the same layers, first weights, batches in the same
order and Adam, so the two agree to 1e-4. It is trained without TensorFlow, for fast tests and
small machines.

Layers: Dense(hidden, relu) -> Dense(n_labels), with L2 on both kernels; the penalty shrinks as
the number of tracks grows (`penalised`).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from ml.errors import ParameterError
from ml.networks.base import Defaults, FitData, Fitted, Needs, Plan, Predictor, Watch, Weights
from ml.networks.loop import Step, run_epochs
from ml.types import FloatArray

#: Shared with the Keras twin, which must start and end as this one does.
POOLED_DEFAULTS = Defaults(
    epochs=80,
    batch_size=32,
    learning_rate=2e-3,
    patience=15,
    most_steps=100,
    options={"hidden": 128, "l2": 1e-2},
)
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7


#: Up to this many tracks the option `l2` counts in full; above, it shrinks as 1 / tracks.
_L2_TRACKS = 100


def penalised(plan: Plan, n_tracks: int) -> Plan:
    """Scale the penalty of a plan to the number of tracks.

    The loss is a mean over tracks, so a fixed prior on the weights has a share of 1 / tracks in
    it. The penalty that suits 100 tracks would be far too strong for 50,000.

    Parameters
    ----------
    plan : with the option `l2`. n_tracks : tracks to learn from.

    Returns
    -------
    Plan : with the scaled `l2`.
    """
    l2 = plan.number("l2") * min(1.0, _L2_TRACKS / max(1, n_tracks))
    return replace(plan, options={**plan.options, "l2": l2})


def initial_weights(n_inputs: int, hidden: int, output_bias: FloatArray, seed: int) -> Weights:
    """Draw the first weights: Glorot uniform kernels [1]_, output bias at the log odds.

    Parameters
    ----------
    n_inputs : values of an item. hidden : units of the hidden layer.
    output_bias : float32 (n_labels,). seed : of the draw.

    Returns
    -------
    Weights : kernels and biases by name.

    References
    ----------
    .. [1] Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
       networks", AISTATS 2010.
    """
    rng = np.random.default_rng([seed, 0])

    def glorot(rows: int, columns: int) -> FloatArray:
        limit = np.sqrt(6.0 / (rows + columns))
        return rng.uniform(-limit, limit, (rows, columns)).astype(np.float32)

    return {
        "hidden.kernel": glorot(n_inputs, hidden),
        "hidden.bias": np.zeros(hidden, dtype=np.float32),
        "output.kernel": glorot(hidden, len(output_bias)),
        "output.bias": output_bias.astype(np.float32).copy(),
    }


class NumpyPooled:
    """Network with its weights and the moments of Adam [1]_, as Keras computes them.

    Parameters
    ----------
    weights : kernels and biases by name. learning_rate : of Adam. l2 : penalty on kernels.

    References
    ----------
    .. [1] Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """

    def __init__(self, weights: Weights, learning_rate: float, l2: float) -> None:
        self._weights = {name: value.copy() for name, value in weights.items()}
        self._first = {name: np.zeros_like(value) for name, value in weights.items()}
        self._second = {name: np.zeros_like(value) for name, value in weights.items()}
        self._learning_rate = learning_rate
        self._l2 = np.float32(l2)
        self._steps = 0

    def logits(self, items: FloatArray) -> FloatArray:
        """Score scaled items.

        Parameters
        ----------
        items : float32 (m, *item_shape), scaled.

        Returns
        -------
        FloatArray : float32 (m, n_labels), log odds before calibration.
        """
        weights = self._weights
        with np.errstate(over="ignore", invalid="ignore"):
            hidden = np.maximum(items @ weights["hidden.kernel"] + weights["hidden.bias"], 0)
            return hidden @ weights["output.kernel"] + weights["output.bias"]

    def weights(self) -> Weights:
        """Return copies of the weights, by name.

        Returns
        -------
        Weights : arrays by name.
        """
        return {name: value.copy() for name, value in self._weights.items()}

    def set_weights(self, weights: Weights) -> None:
        """Set the weights.

        Parameters
        ----------
        weights : as `weights()` returned them.
        """
        self._weights = {name: weights[name].copy() for name in self._weights}

    def step(self, items: FloatArray, targets: FloatArray, weights: FloatArray) -> Step:
        """Take one step of Adam; the loss includes the penalty.

        Parameters
        ----------
        items, targets, weights : as in `ml.networks.loop.Trainable.step`.

        Returns
        -------
        Step : loss and correct elements before the step.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            step, gradients = self._gradients(items, targets, weights)
            self._adam(gradients)
        return step

    def _gradients(
        self, items: FloatArray, targets: FloatArray, weights: FloatArray
    ) -> tuple[Step, Weights]:
        kernels = self._weights["hidden.kernel"], self._weights["output.kernel"]
        hidden = np.maximum(items @ kernels[0] + self._weights["hidden.bias"], 0)
        logits = hidden @ kernels[1] + self._weights["output.bias"]
        cross_entropy = np.logaddexp(0, logits) - targets * logits
        penalty = self._l2 * (np.sum(kernels[0] ** 2) + np.sum(kernels[1] ** 2))
        slope = weights * (_sigmoid(logits) - targets)
        back = (slope @ kernels[1].T) * (hidden > 0)
        is_right = ((logits > 0) == (targets > 0.5)) & (weights > 0)
        loss = float(np.sum(weights * cross_entropy) + penalty)
        return Step(loss, int(is_right.sum())), {
            "hidden.kernel": items.T @ back + 2 * self._l2 * kernels[0],
            "hidden.bias": back.sum(axis=0),
            "output.kernel": hidden.T @ slope + 2 * self._l2 * kernels[1],
            "output.bias": slope.sum(axis=0),
        }

    def _adam(self, gradients: Weights) -> None:
        self._steps += 1
        correction = np.sqrt(1 - BETA_2**self._steps) / (1 - BETA_1**self._steps)
        rate = np.float32(self._learning_rate * correction)
        for name, gradient in gradients.items():
            self._first[name] += (gradient - self._first[name]) * np.float32(1 - BETA_1)
            self._second[name] += (gradient**2 - self._second[name]) * np.float32(1 - BETA_2)
            spread = np.sqrt(self._second[name]) + np.float32(EPSILON)
            self._weights[name] -= rate * self._first[name] / spread


def _sigmoid(logits: FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(-logits)) without overflow, in the dtype of the input.

    `ml.metrics.calibration.sigmoid` returns float64: the gradients here stay in float32.
    """
    return np.exp(-np.logaddexp(0, -logits))


def _one_blas_thread() -> AbstractContextManager[Any]:
    """Limit BLAS to one thread if threadpoolctl (a dependency of scikit-learn) is installed.

    The matrices are tiny. On a busy machine several threads wait for each other, and a training
    of one second takes twenty.
    """
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError:
        return nullcontext()
    limits: AbstractContextManager[Any] = threadpool_limits(limits=1, user_api="blas")
    return limits


class PooledNumpyNetwork:
    """Registered as `pooled-numpy`."""

    name = "pooled-numpy"
    needs: Needs = "summary"
    features = ""
    defaults = POOLED_DEFAULTS
    is_cheap = True

    def fit(self, data: FitData, plan: Plan, watch: Watch) -> Fitted:
        """Fit on per-track summaries; as `ml.networks.base.Network.fit`."""
        first = initial_weights(
            data.inputs.item_shape[0], plan.whole("hidden"), data.output_bias, plan.seed
        )
        l2 = penalised(plan, len(data.training)).number("l2")
        twin = NumpyPooled(first, plan.learning_rate, l2)
        with _one_blas_thread():
            return run_epochs(twin, data, plan, watch)

    def restore(
        self, plan: Plan, item_shape: tuple[int, ...], n_labels: int, weights: Weights
    ) -> Predictor:
        """Rebuild from weights; as `ml.networks.base.Network.restore`."""
        wanted = initial_weights(
            item_shape[0], plan.whole("hidden"), np.zeros(n_labels, np.float32), 0
        )
        for name, value in wanted.items():
            if name not in weights or weights[name].shape != value.shape:
                raise ParameterError(
                    f"the weights do not fit {self.name!r}: {name} is missing or has another "
                    "shape; restore them with the options they were trained with"
                )
        return NumpyPooled(
            {name: weights[name] for name in wanted}, plan.learning_rate, plan.number("l2")
        )


NETWORK = PooledNumpyNetwork()
