"""Base of the Keras networks: one training step, scoring, reading and setting weights.

TensorFlow is imported inside functions only. Importing this module is cheap, and a process that
never trains does not spend the 4 to 8 seconds and 650 MB of that import.
"""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.errors import ParameterError
from ml.networks.base import Defaults, FitData, Fitted, Needs, Plan, Predictor, Watch, Weights
from ml.networks.loop import Step, run_epochs
from ml.types import FloatArray

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def tensorflow() -> Any:
    """Import TensorFlow with few log lines and one thread a core.

    Thread counts can only be set before the first operation of TensorFlow. If other code has
    run one already, its counts stay.

    Returns
    -------
    module : tensorflow.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import tensorflow as tf

    # Otherwise every new model logs a warning that its step is traced, as is intended here.
    tf.get_logger().setLevel("ERROR")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(cores)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return tf
    return tf


class KerasNetwork:
    """Base of the Keras networks. A subclass sets the attributes and writes `build`.

    `build` returns a model from items to *logits*. The loss and the calibration apply the
    sigmoid: the result is the same and does not overflow. The attributes are those of
    `ml.networks.base.Network`.
    """

    name: str
    needs: Needs
    features = ""
    defaults: Defaults
    is_cheap = False

    def build(self, plan: Plan, item_shape: tuple[int, ...], n_labels: int) -> keras.Model:
        """Build a new model with random weights.

        Parameters
        ----------
        plan : with the options of the network.
        item_shape : shape of one item. n_labels : number of outputs.

        Returns
        -------
        keras.Model : from items to logits (n_labels,); its last layer is called `output`.

        Raises
        ------
        TypeError : the subclass does not define it.
        """
        raise TypeError(f"{type(self).__name__} has no build(); a subclass must define it")

    def start(self, model: keras.Model, data: FitData, plan: Plan) -> None:
        """Set the first weights: the output bias, and nothing else, to `data.output_bias`.

        Parameters
        ----------
        model : as built, changed in place. data : what is learnt from. plan : how.
        """
        layer = model.get_layer("output")
        layer.bias.assign(data.output_bias)

    def fit(self, data: FitData, plan: Plan, watch: Watch) -> Fitted:
        """Fit by Adam on the weighted BCE; as `ml.networks.base.Network.fit`."""
        tensorflow()
        import keras

        if not self.is_cheap:
            # Models are in reference cycles; the previous one may hold tens of megabytes.
            gc.collect()
        keras.utils.set_random_seed(plan.seed % 2**32)
        model = self.build(plan, data.inputs.item_shape, data.n_labels)
        self.start(model, data, plan)
        return run_epochs(KerasTrainer(model, plan.learning_rate), data, plan, watch)

    def restore(
        self, plan: Plan, item_shape: tuple[int, ...], n_labels: int, weights: Weights
    ) -> Predictor:
        """Rebuild from weights; as `ml.networks.base.Network.restore`."""
        tensorflow()
        predictor = KerasPredictor(self.build(plan, item_shape, n_labels))
        predictor.set_weights(weights)
        return predictor


class KerasPredictor:
    """A Keras model that scores items."""

    def __init__(self, model: keras.Model) -> None:
        import tensorflow as tf

        self.model = model
        shape = (None, *model.input_shape[1:])
        # XLA (jit_compile) is 3 times slower here on a CPU.
        self._forward = tf.function(
            lambda items: model(items, training=False),
            input_signature=[tf.TensorSpec(shape, tf.float32)],
            jit_compile=False,
        )

    def logits(self, items: FloatArray) -> FloatArray:
        """Score scaled items.

        Parameters
        ----------
        items : float32 (m, *item_shape), scaled.

        Returns
        -------
        FloatArray : float32 (m, n_labels), log odds before calibration.
        """
        return np.asarray(self._forward(items), dtype=np.float32)

    def weights(self) -> Weights:
        """Return copies of all variables, batch-norm statistics included.

        Returns
        -------
        Weights : float32 arrays by name, in the order of the layers.
        """
        return {name: variable.numpy().copy() for name, variable in self._variables()}

    def set_weights(self, weights: Weights) -> None:
        """Set all variables.

        Parameters
        ----------
        weights : as `weights()` returned them.

        Raises
        ------
        ParameterError : a name is missing or a shape differs.
        """
        variables = self._variables()
        for name, variable in variables:
            if name not in weights or weights[name].shape != tuple(variable.shape):
                raise ParameterError(
                    f"the weights do not fit this network: {name} is missing or has another "
                    "shape; restore them with the options they were trained with"
                )
        for name, variable in variables:
            variable.assign(weights[name])

    def _variables(self) -> list[tuple[str, Any]]:
        kept = [v for layer in self.model.layers for v in layer.weights if not _is_state(v)]
        return [(variable.path.replace("/", "."), variable) for variable in kept]


def _is_state(variable: Any) -> bool:
    """Say whether a variable is the state of a random generator (of Dropout)."""
    return "seed_generator" in variable.path


class KerasTrainer(KerasPredictor):
    """A Keras model that is trained, one compiled step a batch."""

    def __init__(self, model: keras.Model, learning_rate: float) -> None:
        super().__init__(model)
        import keras
        import tensorflow as tf

        self._optimiser = keras.optimizers.Adam(learning_rate)
        self._optimiser.build(model.trainable_variables)
        n_labels = model.output_shape[-1]
        elements = tf.TensorSpec((None, n_labels), tf.float32)
        items = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
        # The open batch dimension keeps the shorter last batch from a second trace.
        self._step = tf.function(
            self._descend, input_signature=[items, elements, elements], jit_compile=False
        )

    def step(self, items: FloatArray, targets: FloatArray, weights: FloatArray) -> Step:
        """Take one step of Adam; the loss includes the penalties.

        Parameters
        ----------
        items, targets, weights : as in `ml.networks.loop.Trainable.step`.

        Returns
        -------
        Step : loss and correct elements before the step.
        """
        loss, n_right = self._step(items, targets, weights)
        return Step(float(loss), int(n_right))

    def _descend(
        self, items: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            logits = self.model(items, training=True)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
            loss = tf.reduce_sum(losses * weights) + sum(self.model.losses, start=0.0)
        variables = self.model.trainable_variables
        self._optimiser.apply(tape.gradient(loss, variables), variables)
        is_right = tf.equal(logits > 0, targets > 0.5) & (weights > 0)
        return loss, tf.math.count_nonzero(is_right)
