"""Labels and their number, compared with all sets written out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from ml.consistency.label_sets import count_distribution, with_known_counts


def by_all_sets(p, odds):
    most = len(odds) - 1
    labels, counts = np.zeros(len(p)), np.zeros(most + 1)
    for chosen in product([False, True], repeat=len(p)):
        n = min(sum(chosen), most)
        weight = np.prod(np.where(chosen, p, 1 - p)) * odds[n]
        labels += weight * np.array(chosen)
        counts[n] += weight
    return labels / counts.sum(), counts / counts.sum()


@pytest.mark.parametrize(("n_labels", "most"), [(1, 1), (1, 3), (3, 1), (5, 3), (7, 2), (8, 8)])
def test_it_is_the_sum_over_all_sets(n_labels, most):
    rng = np.random.default_rng(n_labels)
    p, odds = rng.random((3, n_labels)), rng.random((3, most + 1))
    labels, counts = with_known_counts(p, odds)
    for row in range(3):
        wanted = by_all_sets(p[row], odds[row])
        np.testing.assert_allclose(labels[row], wanted[0], atol=1e-12)
        np.testing.assert_allclose(counts[row], wanted[1], atol=1e-12)
    plain, _ = with_known_counts(p, np.ones(most + 1))
    np.testing.assert_allclose(plain, p, atol=1e-12)


def test_chunks_of_tracks_are_joined():
    p = np.random.default_rng(0).random((1_201, 6))
    odds = np.array([0.1, 1.0, 0.5])
    whole, _ = with_known_counts(p, odds)
    last, _ = with_known_counts(p[-3:], odds)
    np.testing.assert_array_equal(whole[-3:], last)


def test_counts_of_equal_labels_are_binomial():
    found = count_distribution(np.full((1, 4), 0.5), 4)[0]
    np.testing.assert_allclose(found, np.array([1, 4, 6, 4, 1]) / 16)
