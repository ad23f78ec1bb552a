"""Convolutional network of the study, on single MFCC windows.

It has four convolutions and only one pooling layer, so nearly all of its parameters (98 % at
99 x 13) connect the flattened maps with the first dense layer: 4,924,382 with 30 labels on 1 s
windows, 1,287,134 on 0.25 s. The layers are those of the tutorial from which the study took its
network. The study's figure of the network is not available: that both are the same is likely,
not certain.

The study scaled the whole MFCC matrix to its minimum and maximum and used a plain loss. Here
the inputs are standardised by default, and the TrainingConfig names the loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.networks.base import Defaults, Needs, Plan
from ml.networks.keras_network import KerasNetwork

if TYPE_CHECKING:
    import keras


class SeedCnn(KerasNetwork):
    """Registered as `seed-cnn`.

    Conv2D 16, 32, 64, 128 (3 x 3, stride 1, same, relu) -> MaxPool 2 x 2 -> Dropout ->
    Flatten -> Dense 128, 64 (relu) -> Dense n_labels (its sigmoid is in the loss).
    """

    name = "seed-cnn"
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
        x = layers.Reshape((*item_shape, 1), name="channel")(inputs)
        for number, filters in enumerate((16, 32, 64, 128), start=1):
            convolution = layers.Conv2D(
                filters, 3, padding="same", activation="relu", name=f"convolution{number}"
            )
            x = convolution(x)
        x = layers.MaxPooling2D(2, name="pool")(x)
        x = layers.Dropout(plan.number("dropout"), name="dropout")(x)
        x = layers.Flatten(name="flat")(x)
        x = layers.Dense(128, "relu", name="dense1")(x)
        x = layers.Dense(64, "relu", name="dense2")(x)
        return keras.Model(inputs, layers.Dense(n_labels, name="output")(x))


NETWORK = SeedCnn()
