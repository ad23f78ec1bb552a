"""Soft targets: a probability is learnt as part of a positive and part of a negative."""

from __future__ import annotations

import numpy as np
import pytest

from ml.errors import ParameterError
from ml.features.track_features import ArrayFeatures
from ml.training.fit import train
from ml.training.losses import element_targets, element_weights
from ml.types import LabelMatrix, TrainingConfig

NAN = np.float32(np.nan)


def with_soft(labels, mask, soft) -> LabelMatrix:
    return LabelMatrix(
        np.array(labels, bool), np.array(mask, bool), np.array(soft, dtype=np.float32)
    )


def test_targets_and_cells_to_learn_from():
    labels = with_soft([[1, 0, 0]], [[1, 0, 0]], [[0.95, 0.4, NAN]])
    assert labels.answered.tolist() == [[True, True, False]]
    assert labels.targets[0] == pytest.approx([0.95, 0.4, 0.0])
    assert labels.rows(np.array([0, 0])).targets.shape == (2, 3)
    kept = labels.only(np.array([[False, True, True]]))
    assert kept.answered.tolist() == [[False, True, False]]
    assert LabelMatrix(labels.labels, labels.label_mask).targets.tolist() == [[1, 0, 0]]
    with pytest.raises(ParameterError, match="soft"):
        LabelMatrix(labels.labels, labels.label_mask, np.zeros((2, 3), np.float32))


@pytest.mark.parametrize("loss", ["bce", "sqrt-weighted-bce", "weighted-bce"])
def test_one_soft_element_is_a_positive_and_a_negative(loss):
    given = [[1], [0], [0], [0], [0]]
    labels = with_soft(given, [[1], [1], [1], [1], [0]], [[1], [0], [0], [0], [0.3]])
    rows = np.arange(5)
    weight = element_weights(loss, labels, rows)[:, 0]
    target = element_targets(loss, labels, rows)[:, 0]
    hard = LabelMatrix(labels.labels, labels.label_mask)
    positive, negative = element_weights(loss, hard, rows)[:2, 0]
    logit = 0.7
    apart = 0.3 * positive * np.log1p(np.exp(-logit)) + 0.7 * negative * np.log1p(np.exp(logit))
    joint = weight[4] * (np.log1p(np.exp(logit)) - target[4] * logit)
    assert joint == pytest.approx(apart, rel=1e-5)
    np.testing.assert_allclose(weight[:4], element_weights(loss, hard, rows)[:4, 0])
    assert target[:4].tolist() == [1, 0, 0, 0]


def test_labels_without_probabilities_are_learnt_as_before():
    labels = LabelMatrix(np.array([[True], [False]]), np.array([[True], [True]]))
    assert element_targets("sqrt-weighted-bce", labels, np.arange(2)).tolist() == [[1], [0]]


def test_a_model_learns_from_disagreement():
    """Settled tracks say little; the probabilities of disputed ones decide the second label."""
    rng = np.random.default_rng(0)
    n = 300
    values = rng.normal(size=(n, 8)).astype(np.float32)
    truth = np.column_stack([values[:, 0] > 0, values[:, 1] > 0])
    mask = np.ones_like(truth)
    mask[12:, 1] = False
    soft = np.where(truth, 0.7, 0.3).astype(np.float32)
    soft[mask] = truth[mask]
    features, groups = ArrayFeatures(summary=values), np.arange(n)
    config = TrainingConfig(network="pooled-numpy", epochs=30, seed=1)
    labels = truth & mask

    def right(matrix):
        found = train(features, matrix, groups, config).probabilities(features)
        return ((found[:, 1] > np.median(found[:, 1])) == truth[:, 1]).mean()

    assert right(LabelMatrix(labels, mask, soft)) > right(LabelMatrix(labels, mask)) + 0.05
