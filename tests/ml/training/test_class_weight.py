"""The effect of Keras' `class_weight` on multi-hot targets; ours is the same."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from ml.networks.loop import weighted_bce
from ml.simulation.library import SimulationConfig, simulate_tracks
from ml.training.losses import (
    KERAS_CLASS_WEIGHT,
    balanced_class_weights,
    class_weight_of_tracks,
    element_weights,
)
from ml.types import LabelMatrix


def matrix(labels, mask=None):
    labels = np.array(labels, dtype=bool)
    mask = np.ones_like(labels) if mask is None else np.array(mask, dtype=bool)
    return LabelMatrix(labels, mask)


def random_labels(n_tracks=24, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((n_tracks, 5)) < [0.5, 0.3, 0.3, 0.2, 0.1]


def test_classes_are_balanced_as_scikit_learn_does_it_on_the_flattened_labels():
    labels = random_labels(200)
    flat = np.nonzero(labels)[1]
    expected = compute_class_weight("balanced", classes=np.arange(5), y=flat)
    np.testing.assert_allclose(balanced_class_weights(matrix(labels)), expected, rtol=1e-12)


def test_balanced_weights_by_hand_and_a_label_that_does_not_occur_weighs_one():
    labels = matrix([[1, 1, 0], [1, 0, 0], [1, 0, 1]], [[1, 1, 1], [1, 1, 1], [1, 1, 0]])
    # Four entries of two labels: 4 / (2 x 3), 4 / (2 x 1); the third was never judged a yes.
    np.testing.assert_allclose(balanced_class_weights(labels), [2 / 3, 2.0, 1.0])
    assert balanced_class_weights(matrix(np.zeros((2, 3)))).tolist() == [1.0] * 3


def test_a_track_weighs_what_its_first_label_weighs_for_all_its_labels():
    labels = [[1, 0, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]]
    weights = np.array([0.5, 2.0, 9.0])
    of_tracks = class_weight_of_tracks(matrix(labels), weights)
    # The rare third label never counts beside another; no label counts as the first column.
    assert of_tracks.tolist() == [0.5, 2.0, 9.0, 0.5]


def test_the_order_of_the_columns_decides():
    labels = np.array([[1, 0, 1]])
    weights = np.array([0.5, 2.0, 9.0])
    assert class_weight_of_tracks(matrix(labels), weights).tolist() == [0.5]
    assert class_weight_of_tracks(matrix(labels[:, ::-1]), weights[::-1]).tolist() == [9.0]


def test_every_element_of_a_track_learnt_from_has_its_weight_and_the_others_one():
    labels = random_labels()
    rows = np.arange(16)
    weights = element_weights(KERAS_CLASS_WEIGHT, matrix(labels), rows)
    classes = balanced_class_weights(matrix(labels[rows]))
    expected = classes[labels[rows].argmax(axis=1)]
    np.testing.assert_allclose(weights[rows], np.tile(expected[:, None], 5), rtol=1e-6)
    assert (weights[16:] == 1).all()
    mask = np.random.default_rng(1).random(labels.shape) < 0.7
    masked = element_weights(KERAS_CLASS_WEIGHT, matrix(labels, mask), rows)
    assert ((masked > 0) == mask).all()


@pytest.mark.tensorflow
def test_keras_gives_one_weight_per_track_from_its_first_label():
    from keras.src.trainers.data_adapters.data_adapter_utils import (
        class_weight_to_sample_weights,
    )

    labels = random_labels(60)
    weights = balanced_class_weights(matrix(labels))
    of_keras = class_weight_to_sample_weights(
        labels.astype(np.float32), dict(enumerate(weights))
    )
    np.testing.assert_allclose(
        class_weight_of_tracks(matrix(labels), weights), of_keras, rtol=1e-6
    )


@pytest.mark.tensorflow
def test_a_step_and_a_loss_are_those_of_keras_fit_with_class_weight():
    import keras

    labels, rows = random_labels(), np.arange(24)
    targets = labels.astype(np.float32)
    items = np.random.default_rng(5).normal(size=(24, 6)).astype(np.float32)
    kernel = np.random.default_rng(6).normal(size=(6, 5)).astype(np.float32)
    layer = keras.layers.Dense(5, "sigmoid")
    model = keras.Sequential([keras.Input((6,)), layer])
    layer.set_weights([kernel, np.zeros(5, np.float32)])
    model.compile(keras.optimizers.SGD(0.5), "binary_crossentropy")
    class_weight = dict(enumerate(balanced_class_weights(matrix(labels))))
    history = model.fit(
        items, targets, batch_size=24, epochs=1, class_weight=class_weight, verbose=0
    )

    weights = element_weights(KERAS_CLASS_WEIGHT, matrix(labels), rows)
    logits = items @ kernel
    loss = weighted_bce(logits, targets, weights, targets.size)
    slope = weights * (1 / (1 + np.exp(-logits)) - targets) / targets.size
    of_keras = layer.get_weights()
    assert history.history["loss"][0] == pytest.approx(loss, abs=1e-5)
    np.testing.assert_allclose(of_keras[0], kernel - 0.5 * items.T @ slope, atol=1e-5)
    np.testing.assert_allclose(of_keras[1], -0.5 * slope.sum(axis=0), atol=1e-5)
    # Weights per element, which one might take class_weight for, would be another loss.
    per_element = np.where(labels, balanced_class_weights(matrix(labels)), 1.0)
    other = weighted_bce(logits, targets, per_element, targets.size)
    assert abs(other - loss) > 0.01


@pytest.mark.tensorflow
def test_our_trainer_takes_the_step_of_keras_fit_with_class_weight():
    import keras

    from ml.networks.keras_network import KerasTrainer

    labels, rows = random_labels(), np.arange(24)
    targets = labels.astype(np.float32)
    items = np.random.default_rng(5).normal(size=(24, 6)).astype(np.float32)
    kernel = np.random.default_rng(6).normal(size=(6, 5)).astype(np.float32)
    first = [kernel, np.zeros(5, np.float32)]

    def model_of(activation):
        layer = keras.layers.Dense(5, activation)
        model = keras.Sequential([keras.Input((6,)), layer])
        layer.set_weights(first)
        return model, layer

    theirs, their_layer = model_of("sigmoid")
    theirs.compile(
        keras.optimizers.SGD(0.5), "binary_crossentropy", metrics=["binary_accuracy"]
    )
    class_weight = dict(enumerate(balanced_class_weights(matrix(labels))))
    history = theirs.fit(
        items, targets, batch_size=24, epochs=1, class_weight=class_weight, verbose=0
    ).history

    ours, our_layer = model_of(None)
    trainer = KerasTrainer(ours, 0.5)
    trainer._optimiser = keras.optimizers.SGD(0.5)
    weights = element_weights(KERAS_CLASS_WEIGHT, matrix(labels), rows)
    step = trainer.step(items, targets, weights / np.float32(targets.size))
    assert step.loss == pytest.approx(history["loss"][0], abs=1e-5)
    assert step.n_right / targets.size == pytest.approx(history["binary_accuracy"][0], abs=1e-6)
    for mine, its in zip(our_layer.get_weights(), their_layer.get_weights(), strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-5)


def best_constant(labels):
    """The share of each label, weighted as the loss weighs: its minimum among constants."""
    weights = element_weights(KERAS_CLASS_WEIGHT, matrix(labels), np.arange(len(labels)))
    return (weights * labels).sum(axis=0) / weights.sum(axis=0)


def test_with_one_label_a_track_the_best_constant_is_the_same_for_every_label():
    rng = np.random.default_rng(0)
    labels = np.eye(5, dtype=bool)[rng.choice(5, size=400, p=[0.5, 0.3, 0.1, 0.07, 0.03])]
    np.testing.assert_allclose(best_constant(labels), np.full(5, 1 / 5), rtol=1e-5)


def test_with_the_studys_genres_the_largest_output_falls_and_the_mean_does_not_rise():
    """The table of docs/recipes.md, on fewer tracks."""
    tracks = simulate_tracks(
        SimulationConfig(n_tracks=5_000, labels_per_track=2.0, mix_share=0.0)
    )
    order = np.argsort([name for name, _ in tracks.config.labels])
    labels = tracks.genres[:, order]
    share, constant = labels.mean(axis=0), best_constant(labels)
    assert share.max() == pytest.approx(0.306, abs=0.02)
    assert constant.max() == pytest.approx(0.193, abs=0.02)
    assert constant.mean() == pytest.approx(share.mean(), abs=0.003)
