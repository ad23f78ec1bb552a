from __future__ import annotations

import numpy as np
import pytest

from ml.errors import ParameterError
from ml.training.losses import element_weights, log_odds, prevalence
from ml.types import LabelMatrix


def matrix(labels, mask=None):
    labels = np.array(labels, dtype=bool)
    mask = np.ones_like(labels) if mask is None else np.array(mask, dtype=bool)
    return LabelMatrix(labels, mask)


def test_prevalence_counts_judged_tracks_only():
    labels = matrix([[1], [1], [0], [0]], [[1], [0], [1], [1]])
    assert prevalence(labels).tolist() == [pytest.approx(1 / 3)]


def test_prevalence_of_all_none_and_nothing_judged_stays_inside_zero_and_one():
    labels = matrix([[1, 0, 0]] * 4, [[1, 1, 0]] * 4)
    assert prevalence(labels).tolist() == [4.5 / 5, 0.5 / 5, 0.5]


def test_log_odds_of_known_probabilities():
    odds = log_odds(np.array([0.5, 0.2, 0.9]))
    np.testing.assert_allclose(odds, [0, -1.3862944, 2.1972246], rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "weight_of_one_in_20", "weight_of_one_in_100"),
    [
        ("bce", 1.0, 1.0),
        ("sqrt-weighted-bce", np.sqrt(19), np.sqrt(20)),
        ("weighted-bce", 19.0, 20.0),
    ],
)
def test_positives_weigh_by_their_rarity_up_to_the_cap(
    loss, weight_of_one_in_20, weight_of_one_in_100
):
    labels = np.zeros((100, 2), dtype=bool)
    labels[:5, 0] = True
    labels[:1, 1] = True
    weights = element_weights(loss, matrix(labels), np.arange(100))
    np.testing.assert_allclose(
        weights[0], [weight_of_one_in_20, weight_of_one_in_100], rtol=1e-6
    )
    assert (weights[5:] == 1).all()


def test_the_weights_come_from_the_rows_learnt_from():
    labels = matrix([[1], [0], [0], [0], [0], [1], [1], [1]])
    weights = element_weights("weighted-bce", labels, np.arange(5))
    assert weights[0, 0] == pytest.approx(4)
    assert weights[7, 0] == pytest.approx(4)


def test_what_was_not_judged_weighs_nothing():
    labels = matrix([[1, 0], [0, 1]], [[1, 0], [1, 0]])
    assert (element_weights("bce", labels, np.arange(2))[:, 1] == 0).all()


def test_an_unknown_loss_is_refused_by_name():
    with pytest.raises(ParameterError, match=r"'hinge'.*sqrt-weighted-bce"):
        element_weights("hinge", matrix([[1]]), np.arange(1))
