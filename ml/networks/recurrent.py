"""Recurrent network on single MFCC windows, with which the study compared its own.

Two LSTM layers output a vector for every frame. Four small dense layers, the same for every
frame, and one dense layer over all frames follow: 239,078 parameters with 30 labels on 1 s
windows (99 x 13). The layers are those of the tutorial by Adams from which the study took its
own network, as public copies of it show them (`docs/networks.md`). The tutorial trains them
with a softmax, this project with a sigmoid for each label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.networks.base import Defaults, Needs, Plan
from ml.networks.keras_network import KerasNetwork

if TYPE_CHECKING:
    import keras


class RecurrentNetwork(KerasNetwork):
    """Registered as `recurrent`.

    LSTM 128 -> LSTM 128 -> Dropout -> Dense 64, 32, 16, 8 (relu) on each frame -> Flatten ->
    Dense n_labels (its sigmoid is in the loss).
    """

    name = "recurrent"
    needs: Needs = "windows"
    defaults = Defaults(
        epochs=20,
        batch_size=32,
        learning_rate=1e-3,
        patience=5,
        options={"dropout": 0.5},
    )

    def build(self, plan: Plan, item_shape: tuple[int, ...], n_labels: int) -> keras.Model:
        """Build the model; its layers are listed above.

        Parameters
        ----------
        plan, item_shape, n_labels : as in `KerasNetwork.build`.

        Returns
        -------
        keras.Model : from (frames, coefficients) to logits (n_labels,).
        """
        import keras
        from keras import layers

        inputs = keras.Input(item_shape)
        x = layers.LSTM(128, return_sequences=True, name="memory1")(inputs)
        x = layers.LSTM(128, return_sequences=True, name="memory2")(x)
        x = layers.Dropout(plan.number("dropout"), name="dropout")(x)
        for number, units in enumerate((64, 32, 16, 8), start=1):
            dense = layers.Dense(units, "relu", name=f"frame{number}")
            x = layers.TimeDistributed(dense, name=f"frames{number}")(x)
        x = layers.Flatten(name="flat")(x)
        return keras.Model(inputs, layers.Dense(n_labels, name="output")(x))


NETWORK = RecurrentNetwork()
