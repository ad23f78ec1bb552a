"""Networks on the same folds: differences known beforehand, and a table of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.errors import CancelledError, ParameterError
from ml.evaluation.network_comparison import (
    Contender,
    as_markdown,
    compare_networks,
    paired_within_folds,
)
from ml.metrics.splits import grouped_folds
from ml.types import LabelMatrix, TrainingConfig
from tests.ml.planted import planted_tracks

CONFIG = TrainingConfig(network="pooled-numpy", features="audiotag", epochs=6)


@pytest.fixture(scope="module")
def compared():
    features, labels, groups = planted_tracks(160)
    noise = replace(features, summary=np.random.default_rng(9).normal(size=(160, 8)))
    contenders = {
        "pooled-numpy": Contender(CONFIG, features),
        "the same": Contender(CONFIG, features),
        "deaf": Contender(CONFIG, noise),
    }
    told = []
    rows = compare_networks(
        contenders,
        labels,
        groups,
        references=["pooled-numpy", "deaf"],
        n_folds=4,
        on_progress=lambda number, at: told.append((number, at.fold)),
    )
    return rows, told


def test_the_same_network_differs_by_nothing_and_a_deaf_one_by_much(compared):
    reference, same, deaf = compared[0]
    nothing, zero = reference.differences["pooled-numpy"], same.differences["pooled-numpy"]
    assert nothing == {"difference": None, "interval": None}
    assert zero == {"difference": 0, "interval": [0, 0]}
    assert same.macro_ap == reference.macro_ap
    less = deaf.differences["pooled-numpy"]
    assert less["difference"] == pytest.approx(deaf.macro_ap - reference.macro_ap)
    assert less["interval"][1] < -0.2
    more = reference.differences["deaf"]
    assert more["difference"] == pytest.approx(-less["difference"])
    assert more["interval"][0] > 0.2


def test_a_row_tells_what_was_done(compared):
    rows, told = compared
    row = rows[0]
    assert (row.n, row.labels_scored) == (160, 4)
    assert row.ratio > 2
    assert row.interval[0] < row.macro_ap < row.interval[1]
    assert row.parameters == 8 * 128 + 128 + 128 * 4 + 4
    assert 0 < row.seconds_per_epoch * row.epochs < 2 * row.seconds
    assert row.epochs == sum(number == 0 for number, _ in told)
    assert sorted(set(told)) == [(n, fold) for n in range(3) for fold in range(1, 5)]


def test_the_table_has_a_line_for_each(compared):
    rows = [row.to_dict() for row in compared[0]]
    lines = as_markdown(rows, ["pooled-numpy", "deaf"], 4, 0).splitlines()
    assert "160 tracks, 4 labels scored, 4 folds" in lines[0]
    assert len(lines) == 4 + len(rows)
    assert len({line.count("|") for line in lines[2:]}) == 1
    assert "| - `pooled-numpy` | 95 % | - `deaf` | 95 % |" in lines[2]
    assert "| - | - | +0." in lines[4]
    assert "| +0.000 | +0.000 .. +0.000 |" in lines[5]


def test_the_difference_is_the_mean_over_folds_of_the_folds_differences():
    rng = np.random.default_rng(1)
    truth = rng.random((60, 3)) < 0.4
    labels, groups = LabelMatrix(truth, np.ones_like(truth)), np.arange(60) // 2
    fold_of = grouped_folds(labels, groups, 3)
    right = np.where(truth, 0.9, 0.1)
    wrong = 1 - right
    found = paired_within_folds(right, wrong, labels, groups, fold_of, n_resamples=100)
    from sklearn.metrics import average_precision_score

    folds = [np.flatnonzero(fold_of == fold) for fold in range(3)]
    expected = np.mean(
        [1 - average_precision_score(truth[f], wrong[f], average="macro") for f in folds]
    )
    assert found["difference"] == pytest.approx(expected)
    assert found["interval"][0] < found["difference"] < found["interval"][1]
    nobody = LabelMatrix(truth, np.zeros_like(truth))
    nothing = paired_within_folds(right, wrong, nobody, groups, fold_of, n_resamples=10)
    assert nothing == {"difference": None, "interval": None}


def test_the_interval_lies_around_the_difference():
    """Resamples with repeats rank a poor model too well: plain percentiles end at .494 here."""
    rng = np.random.default_rng(7)
    truth = rng.random((90, 14)) < 0.1
    labels, groups = LabelMatrix(truth, np.ones_like(truth)), np.arange(90)
    fold_of = grouped_folds(labels, groups, 5)
    noise = 0.25 * rng.normal(size=truth.shape)
    found = paired_within_folds(truth + noise, 0.3 * truth + noise, labels, groups, fold_of)
    assert found["difference"] == pytest.approx(0.512, abs=0.001)
    low, high = found["interval"]
    assert (low + high) / 2 == pytest.approx(found["difference"], abs=0.01)
    assert 0.1 < high - low < 0.15


def test_it_stops_and_refuses_a_reference_that_is_not_there():
    features, labels, groups = planted_tracks(60)
    contenders = {"a": Contender(CONFIG, features)}
    with pytest.raises(ParameterError, match="reference"):
        compare_networks(contenders, labels, groups, references=["b"])
    with pytest.raises(CancelledError):
        compare_networks(contenders, labels, groups, references=["a"], should_stop=lambda: True)
