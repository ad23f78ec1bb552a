"""Two parallel convolutions of a spectrogram: one tall for spectra, one long for rhythm.

After Schindler, Lidy & Rauber [1]_ and Lidy & Schindler [2]_. One branch reads a wide range of
frequencies, keeps their order and pools over time; the other reads a long stretch of time and
pools over frequencies. The papers use 80 bands x 80 frames at 11.6 ms. Windows here have 80
bands x 40 frames at 24 ms (half the bytes), so filters and pools have half as many frames. The
network reads the features `mel-80`.

.. [1] Schindler, A., Lidy, T., Rauber, A.: Comparing shallow versus deep neural network
   architectures for automatic music genre classification. FMT 2016.
.. [2] Lidy, T., Schindler, A.: Parallel convolutional neural networks for music genre and
   mood classification. MIREX 2016.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.networks.base import Defaults, Needs, Plan
from ml.networks.keras_network import KerasNetwork

if TYPE_CHECKING:
    import keras

_FILTERS = 16
#: (frames, bands) of the filters and of the pooling of each branch.
_SPECTRA = ((11, 10), (10, 1))
_RHYTHM = ((10, 21), (1, 20))


class ParallelCnn(KerasNetwork):
    """Registered as `parallel-cnn`.

    (Conv2D 16, tall -> max over time || Conv2D 16, wide -> max over bands) -> Flatten both ->
    Dense 200 (leaky relu) -> Dropout -> Dense n_labels (its sigmoid is in the loss).
    """

    name = "parallel-cnn"
    needs: Needs = "windows"
    features = "mel-80"
    defaults = Defaults(
        epochs=20,
        batch_size=32,
        learning_rate=1e-3,
        patience=5,
        options={"dropout": 0.25},
    )

    def build(self, plan: Plan, item_shape: tuple[int, ...], n_labels: int) -> keras.Model:
        """Build the model; its layers are listed above.

        Parameters
        ----------
        plan, item_shape, n_labels : as in `KerasNetwork.build`.

        Returns
        -------
        keras.Model : from (frames, bands) to logits (n_labels,).
        """
        import keras
        from keras import layers

        inputs = keras.Input(item_shape)
        image = layers.Reshape((*item_shape, 1), name="channel")(inputs)
        x = layers.Concatenate(name="both")(
            [
                _branch(image, "spectra", *_SPECTRA),
                _branch(image, "rhythm", *_RHYTHM),
            ]
        )
        x = layers.Dense(200, name="dense")(x)
        x = layers.LeakyReLU(0.3, name="leaky")(x)
        x = layers.Dropout(plan.number("dropout"), name="dropout")(x)
        return keras.Model(inputs, layers.Dense(n_labels, name="output")(x))


def _branch(image: Any, name: str, kernel: tuple[int, int], pool: tuple[int, int]) -> Any:
    """Return the flattened maps of one branch; a pool is no larger than the image."""
    from keras import layers

    x = layers.Conv2D(_FILTERS, kernel, padding="same", name=f"{name}_convolution")(image)
    x = layers.LeakyReLU(0.3, name=f"{name}_leaky")(x)
    size = tuple(min(one, side) for one, side in zip(pool, x.shape[1:3], strict=True))
    return layers.Flatten(name=f"{name}_flat")(
        layers.MaxPooling2D(size, name=f"{name}_pool")(x)
    )


NETWORK = ParallelCnn()
