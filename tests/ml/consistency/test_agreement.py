"""Agreement against published tables and against independent implementations."""

from __future__ import annotations

import json

import krippendorff
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from ml.consistency.agreement import (
    PairTable,
    cohen_kappa,
    consecutive_pairs,
    gwet_ac1,
    krippendorff_alpha,
    masi_distance,
    pair_tables,
    positive_agreement,
    self_agreement,
    set_alpha,
    set_figures,
)
from ml.errors import ParameterError
from ml.types import LabelMatrix

#: Krippendorff, "Computing Krippendorff's alpha-reliability", 2011, part C: four observers,
#: twelve units, five values, missing data; 0 means missing. Nominal alpha .743.
TEXTBOOK = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)


def everything(labels):
    labels = np.asarray(labels, dtype=bool)
    return LabelMatrix(labels, np.ones_like(labels))


def expand(table):
    """The two annotators' answers (n,) behind a table."""
    cells = ((1, 1, table.both), (1, 0, table.first_only), (0, 1, table.second_only))
    pairs = [(a, b) for a, b, n in cells for _ in range(n)] + [(0, 0)] * table.neither
    return np.array(pairs).T


def test_alpha_of_the_textbook_example_is_743():
    assert krippendorff_alpha(TEXTBOOK, TEXTBOOK > 0) == pytest.approx(0.743, abs=5e-4)


@pytest.mark.parametrize("seed", range(5))
def test_alpha_equals_the_krippendorff_package(seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 3, (4, 40))
    judged = rng.random((4, 40)) < 0.6
    data = np.where(judged, values, np.nan)
    expected = krippendorff.alpha(data, level_of_measurement="nominal", value_domain=[0, 1, 2])
    assert krippendorff_alpha(values, judged) == pytest.approx(expected, abs=1e-9)


TABLES = [
    PairTable(118, 5, 2, 0),
    PairTable(40, 9, 6, 45),
    PairTable(1, 3, 2, 400),
    PairTable(0, 3, 2, 10),
    PairTable(20, 5, 10, 15),
]


@pytest.mark.parametrize("table", TABLES)
def test_kappa_equals_sklearn_and_alpha_the_package(table):
    a, b = expand(table)
    figures = table.figures()
    assert figures["kappa"] == pytest.approx(cohen_kappa_score(a, b), abs=1e-12)
    expected = krippendorff.alpha([a, b], level_of_measurement="nominal")
    assert figures["alpha"] == pytest.approx(expected, abs=1e-9)
    both = krippendorff_alpha(np.array([a, b]), np.ones((2, len(a)), bool))
    assert figures["alpha"] == pytest.approx(both, abs=1e-12)


def test_the_paradox_table_of_gwet():
    """Gwet 2002, "Kappa statistic is not satisfactory", table of 125: -.0234 and .9408."""
    square = PairTable(118, 5, 2, 0).square()
    assert cohen_kappa(square) == pytest.approx(-0.0234, abs=5e-5)
    assert gwet_ac1(square) == pytest.approx(0.9408, abs=5e-5)


def test_kappa_of_a_published_square():
    """Two readers, 50 proposals, 20/5/10/15: kappa .4 (the worked example of Cohen's kappa)."""
    assert cohen_kappa(PairTable(20, 5, 10, 15).square()) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("prevalence", "kappa", "ac1", "positive"),
    [(0.26, 0.67, 0.83, 0.75), (0.05, 0.52, 0.94, 0.54), (0.0085, 0.20, 0.96, 0.22)],
)
def test_the_paradox_at_three_prevalences(prevalence, kappa, ac1, positive):
    """Two annotators of sensitivity .8 and specificity .98: expected tables, exact."""
    yes, no = prevalence, 1 - prevalence
    both = yes * 0.64 + no * 0.0004
    one = yes * 0.16 + no * 0.0196
    square = np.array([[both, one], [one, 1 - both - 2 * one]])
    assert cohen_kappa(square) == pytest.approx(kappa, abs=0.011)
    assert gwet_ac1(square) == pytest.approx(ac1, abs=0.011)
    assert 2 * both / (2 * both + 2 * one) == pytest.approx(positive, abs=0.011)


@pytest.mark.parametrize("table", [PairTable(0, 0, 0, 0), PairTable(0, 0, 0, 9)])
def test_without_variation_chance_corrected_figures_are_none(table):
    figures = table.figures()
    assert figures["kappa"] is None
    assert figures["alpha"] is None
    assert figures["positive_agreement"] is None
    assert figures["agreement"] == (1.0 if table.n else None)
    assert figures["ac1"] == (1.0 if table.n else None)


def test_positive_agreement_is_the_f1_of_one_against_the_other():
    assert positive_agreement(PairTable(3, 1, 2, 90)) == pytest.approx(6 / 9)


def test_tables_count_only_cells_that_both_judged():
    a = LabelMatrix(
        np.array([[1, 0], [1, 0], [0, 1]], bool), np.array([[1, 1], [1, 0], [1, 1]])
    )
    b = everything([[1, 1], [0, 0], [0, 1]])
    assert pair_tables(a, b) == [PairTable(1, 1, 0, 1), PairTable(1, 0, 1, 0)]
    with pytest.raises(ParameterError, match="equal"):
        pair_tables(a, everything([[1, 1]]))


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ([1, 1, 0], [1, 1, 0], 0.0),
        ([1, 1, 0], [1, 0, 0], 1 - 1 / 2 * 2 / 3),
        ([1, 1, 0], [1, 0, 1], 1 - 1 / 3 * 1 / 3),
        ([1, 0, 0], [0, 0, 1], 1.0),
        ([0, 0, 0], [0, 0, 0], 0.0),
        ([0, 0, 0], [1, 0, 0], 1.0),
    ],
)
def test_masi_by_hand(a, b, distance):
    found = masi_distance(np.array(a, bool), np.array(b, bool))
    assert found == pytest.approx(distance)


def slow_set_alpha(sets, tracks):
    """Alpha as its definition says it: observed over expected, pair by pair."""
    units = [np.flatnonzero(tracks == track) for track in np.unique(tracks)]
    units = [unit for unit in units if len(unit) > 1]
    used = np.concatenate(units)
    observed = sum(
        masi_distance(sets[i], sets[j]) / (len(unit) - 1)
        for unit in units
        for i in unit
        for j in unit
    ) / len(used)
    pairs = [(i, j) for i in used for j in used if i != j]
    return 1 - observed / np.mean([masi_distance(sets[i], sets[j]) for i, j in pairs])


def test_set_alpha_equals_its_definition_with_missing_answers():
    rng = np.random.default_rng(3)
    sets = rng.random((40, 4)) < 0.4
    tracks = rng.integers(0, 15, 40)
    assert set_alpha(sets, tracks) == pytest.approx(slow_set_alpha(sets, tracks), abs=1e-12)


def test_set_alpha_of_one_label_a_track_is_the_nominal_alpha():
    """One-element sets have MASI distance 0 or 1, so both coefficients are the same."""
    answers, units = np.nonzero(TEXTBOOK)
    sets = np.eye(6, dtype=bool)[TEXTBOOK[answers, units]]
    assert set_alpha(sets, units) == pytest.approx(0.743, abs=5e-4)


def test_set_alpha_of_very_many_sets_is_estimated_close_to_the_whole(monkeypatch):
    rng = np.random.default_rng(4)
    sets = rng.random((600, 12)) < 0.3
    tracks = np.repeat(np.arange(300), 2)
    exact = set_alpha(sets, tracks)
    monkeypatch.setattr("ml.consistency.agreement._MAX_SETS", 300)
    assert set_alpha(sets, tracks) == pytest.approx(exact, abs=0.03)


def test_set_figures_by_hand():
    a = everything([[1, 1, 0], [1, 0, 0], [0, 0, 1]])
    b = everything([[1, 1, 0], [1, 1, 0], [0, 1, 0]])
    figures = set_figures(a, b)
    assert figures["n"] == 3
    assert figures["agreement"] == pytest.approx(1 / 3)
    assert figures["jaccard"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert figures["positive_agreement"] == pytest.approx(2 * 3 / (4 + 5))
    # Sets seen: {0,1} by both, {0} and {2} by the first, {1} by the second.
    assert figures["kappa"] == pytest.approx((1 / 3 - 2 / 9) / (1 - 2 / 9))
    assert json.loads(json.dumps(figures)) == figures


def test_a_label_that_one_left_open_leaves_the_set_comparison():
    a = LabelMatrix(np.array([[1, 0]], bool), np.array([[True, False]]))
    assert set_figures(a, everything([[1, 1]]))["agreement"] == 1.0


def test_set_figures_of_nothing_are_none():
    nothing = LabelMatrix(np.zeros((2, 3), bool), np.zeros((2, 3), bool))
    figures = set_figures(nothing, nothing)
    assert figures.pop("n") == 0
    assert set(figures.values()) == {None}


def test_repeats_are_compared_with_the_answer_just_before():
    earlier, later = consecutive_pairs(["a", "b", "a", "c", "a"], np.array([5, 1, 2, 3, 9]))
    assert list(zip(earlier.tolist(), later.tolist(), strict=True)) == [(2, 0), (0, 4)]


def test_self_agreement_of_one_who_changed_their_mind_once():
    answers = everything([[1, 0], [0, 1], [1, 0], [1, 1]])
    by_label, by_set = self_agreement(answers, ["a", "b", "a", "b"], np.arange(4))
    assert [figures["n"] for figures in by_label] == [2, 2]
    assert [figures["agreement"] for figures in by_label] == [0.5, 1.0]
    assert by_set["agreement"] == 0.5


def test_self_agreement_without_repeats_has_no_figures():
    by_label, by_set = self_agreement(everything([[1], [0]]), ["a", "b"], np.arange(2))
    assert by_label[0]["n"] == 0
    assert by_set["alpha"] is None


def dense_set_figures(a, b):
    """Agreement, kappa and AC1 from the whole square table of sets, as they are defined."""
    _, codes = np.unique(np.concatenate([a, b]), axis=0, return_inverse=True)
    codes = codes.reshape(-1)
    square = np.zeros((codes.max() + 1, codes.max() + 1))
    np.add.at(square, (codes[: len(a)], codes[len(a) :]), 1)
    return {
        "agreement": np.trace(square) / square.sum(),
        "kappa": cohen_kappa(square),
        "ac1": gwet_ac1(square),
    }


@pytest.mark.parametrize(("n_labels", "share"), [(3, 0.5), (9, 0.2), (55, 0.05), (4, 0.0)])
def test_set_figures_from_margins_are_those_of_the_whole_table(n_labels, share):
    rng = np.random.default_rng(n_labels)
    a = rng.random((400, n_labels)) < share
    b = np.where(rng.random((400, 1)) < 0.6, a, rng.random((400, n_labels)) < share)
    figures = set_figures(everything(a), everything(b))
    expected = dense_set_figures(a, b)
    assert {name: figures[name] for name in expected} == expected


def test_tens_of_thousands_of_different_sets_fit_into_memory():
    """The square table of these sets would take more than 10 GB."""
    rng = np.random.default_rng(1)
    a, b = (rng.random((20_000, 60)) < 0.2 for _ in range(2))
    figures = set_figures(everything(a), everything(b))
    assert figures["n"] == 20_000
    assert figures["agreement"] == (a == b).all(axis=1).mean()
    assert figures["kappa"] == pytest.approx(0, abs=1e-3)


def test_sets_of_no_labels_are_all_the_same():
    nothing = np.zeros((3, 0), dtype=bool)
    assert set_alpha(nothing, np.array([1, 1, 2])) is None
