"""Small convolutional network of this project: depthwise convolutions, statistics pooling.

The labels of a window depend mostly on *which* values occur in it and how they move, not on
when. So nothing is flattened: after every stage each channel is reduced to its mean and its
deviation over the frames, those of the inputs included, and one hidden layer reads all of them.
A stage is a residual block of a depthwise and a pointwise convolution [1]_ with batch
normalisation [2]_; it halves the number of frames. Pooling by mean and deviation follows [3]_.

The network has some 30,000 parameters; that of the study has millions. It is fitted in seconds
and can be cross-fitted, so that it learns from every track and thresholds are tuned out of
fold. It reads the features `timbral`, or any others that it is given.

.. [1] Chollet, F.: Xception: deep learning with depthwise separable convolutions. CVPR 2017.
.. [2] Ioffe, S., Szegedy, C.: Batch normalization. ICML 2015.
.. [3] Snyder, D. et al.: X-vectors: robust DNN embeddings for speaker recognition. ICASSP 2018.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.networks.base import Defaults, Needs, Plan
from ml.networks.keras_network import KerasNetwork

if TYPE_CHECKING:
    import keras

_FRAMES_SEEN = 7
#: Added to variances: the slope of a square root at 0 is infinite.
_FLOOR = 1e-3


class DepthwiseNetwork(KerasNetwork):
    """Registered as `depthwise`.

    Conv1D `width` (1 frame) -> `blocks` x (DepthwiseConv1D 7 + Conv1D 1, residual -> MaxPool 2)
    -> mean and deviation over time of the inputs and of each stage -> Dense `hidden` (relu) ->
    Dense n_labels (its sigmoid is in the loss). `noise` is added to the scaled inputs.
    """

    name = "depthwise"
    needs: Needs = "windows"
    features = "timbral"
    is_cheap = True
    defaults = Defaults(
        epochs=40,
        batch_size=32,
        learning_rate=3e-3,
        patience=10,
        most_steps=400,
        options={"width": 48, "blocks": 2, "hidden": 64, "dropout": 0.4, "noise": 0.0},
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

        width = plan.whole("width")
        inputs = keras.Input(item_shape)
        x = layers.GaussianNoise(plan.number("noise"), name="noise")(inputs)
        found = _statistics(x)
        x = layers.Conv1D(width, 1, use_bias=False, name="stem")(x)
        x = _normalised(x, "stem")
        found += _statistics(x)
        for number in range(1, plan.whole("blocks") + 1):
            x = _block(x, width, f"block{number}")
            found += _statistics(x)
            x = layers.MaxPooling1D(min(2, x.shape[1]), name=f"block{number}_pool")(x)
        x = layers.Concatenate(name="statistics")(found)
        x = layers.BatchNormalization(name="statistics_norm")(x)
        x = layers.Dropout(plan.number("dropout"), name="dropout1")(x)
        x = layers.Dense(plan.whole("hidden"), "relu", name="hidden")(x)
        x = layers.Dropout(plan.number("dropout"), name="dropout2")(x)
        return keras.Model(inputs, layers.Dense(n_labels, name="output")(x))


def _block(x: Any, width: int, name: str) -> Any:
    """Return the sum of x and a depthwise and a pointwise convolution of x."""
    from keras import layers

    y = layers.DepthwiseConv1D(
        _FRAMES_SEEN, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(x)
    y = layers.Conv1D(width, 1, use_bias=False, name=f"{name}_pointwise")(y)
    return layers.Add(name=f"{name}_sum")([x, _normalised(y, name)])


def _normalised(x: Any, name: str) -> Any:
    from keras import layers

    return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_norm")(x))


def _statistics(x: Any) -> list[Any]:
    """Return mean and deviation over the frames of each channel."""
    from keras import ops

    return [ops.mean(x, axis=1), ops.sqrt(ops.var(x, axis=1) + _FLOOR)]


NETWORK = DepthwiseNetwork()
