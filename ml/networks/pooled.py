"""Default network: per-track statistics of the MFCCs -> one hidden layer -> labels.

It is trained in seconds, as the annotation loop needs. The summary vector holds statistics over
all frames of a track, so nothing here depends on the length of a track.
`ml.networks.pooled_numpy` is its twin without TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.networks.base import FitData, Fitted, Needs, Plan, Watch
from ml.networks.keras_network import KerasNetwork
from ml.networks.pooled_numpy import POOLED_DEFAULTS, initial_weights, penalised

if TYPE_CHECKING:
    import keras


class PooledNetwork(KerasNetwork):
    """Registered as `pooled`: Dense(hidden, relu) -> Dense(n_labels), L2 on both kernels."""

    name = "pooled"
    needs: Needs = "summary"
    defaults = POOLED_DEFAULTS
    is_cheap = True

    def fit(self, data: FitData, plan: Plan, watch: Watch) -> Fitted:
        """Fit on per-track summaries; as `ml.networks.base.Network.fit`."""
        return super().fit(data, penalised(plan, len(data.training)), watch)

    def build(self, plan: Plan, item_shape: tuple[int, ...], n_labels: int) -> keras.Model:
        """Build the model; its layers are listed above.

        Parameters
        ----------
        plan, item_shape, n_labels : as in `KerasNetwork.build`.

        Returns
        -------
        keras.Model : from (d,) to logits (n_labels,).
        """
        import keras

        penalty = keras.regularizers.L2(plan.number("l2"))
        inputs = keras.Input(item_shape)
        hidden = keras.layers.Dense(
            plan.whole("hidden"), "relu", kernel_regularizer=penalty, name="hidden"
        )(inputs)
        outputs = keras.layers.Dense(n_labels, kernel_regularizer=penalty, name="output")(
            hidden
        )
        return keras.Model(inputs, outputs)

    def start(self, model: keras.Model, data: FitData, plan: Plan) -> None:
        """Set the first weights to those that the numpy twin draws.

        Parameters
        ----------
        model, data, plan : as in `KerasNetwork.start`.
        """
        first = initial_weights(
            data.inputs.item_shape[0], plan.whole("hidden"), data.output_bias, plan.seed
        )
        for name in ("hidden", "output"):
            layer = model.get_layer(name)
            layer.set_weights([first[f"{name}.kernel"], first[f"{name}.bias"]])


NETWORK = PooledNetwork()
