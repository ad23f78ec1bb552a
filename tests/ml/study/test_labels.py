"""Runs of an experiment under the same labels."""

from __future__ import annotations

import numpy as np

from ml.study.labels import under_all_labels, under_common_labels
from ml.study.side import side_figures
from ml.study.store import StoredRun
from ml.study.story import common_story, summarise_part
from tests.ml.records import make_record

WHOLE = make_record(n=60, n_labels=4)


def run(name, columns, seed=0, record=WHOLE):
    held_out = record.of_columns(np.array(columns)) if columns is not None else None
    validation = None if held_out is None else side_figures(held_out)
    return StoredRun("recipes", name, name, seed, "k", held_out, validation)


def names(found):
    return [label.name for label in found.held_out.labels]


def test_some_labels_of_a_record_in_the_order_asked_for():
    found = WHOLE.of_columns(np.array([3, 1]))
    assert [label.name for label in found.labels] == ["Label 3", "Label 1"]
    np.testing.assert_array_equal(found.logits, WHOLE.logits[:, [3, 1]])
    np.testing.assert_array_equal(found.probabilities, WHOLE.probabilities[:, [3, 1]])
    np.testing.assert_array_equal(found.reference.labels, WHOLE.reference.labels[:, [3, 1]])
    np.testing.assert_array_equal(found.cuts, WHOLE.cuts[:, [3, 1]])
    np.testing.assert_array_equal(found.constant, WHOLE.constant[:, [3, 1]])


def test_only_what_all_runs_of_a_seed_know_counts():
    found = under_common_labels([run("a", [0, 1, 2]), run("b", [3, 2, 1])])
    assert [names(one) for one in found] == [["Label 1", "Label 2"]] * 2
    np.testing.assert_array_equal(found[0].held_out.logits, found[1].held_out.logits)
    assert [one.validation for one in found] == [None, None]


def test_each_seed_has_common_labels_of_its_own_and_needs_two_runs():
    found = under_common_labels(
        [
            run("a", [0, 1]),
            run("b", [0, 1]),
            run("a", [2, 3], seed=1),
            run("b", [3], seed=1),
            run("a", [0], seed=2),
            run("b", None, seed=2),
            run("a", [0], seed=3),
            run("b", [1], seed=3),
        ]
    )
    assert [(one.name, one.seed, len(names(one))) for one in found] == [
        ("a", 0, 2),
        ("b", 0, 2),
        ("a", 1, 1),
        ("b", 1, 1),
    ]


def test_figures_are_those_of_the_common_labels_alone():
    told = common_story([run("a", [0, 1, 2, 3]), run("b", [1, 2])])
    alone = summarise_part([run("b", [1, 2])])
    for one in told["runs"]:
        assert one["n_labels"] == 2
        figures = one["held_out"]["figures"]
        assert (
            figures["macro_ap"]["mean"]
            == alone["runs"][0]["held_out"]["figures"]["macro_ap"]["mean"]
        )
    assert common_story([run("a", [0])]) is None


def test_what_a_run_never_learnt_it_answers_by_the_share_of_the_other():
    found = under_all_labels(run("a", [0]), run("b", [2, 0])).held_out
    assert [label.name for label in found.labels] == ["Label 0", "Label 2"]
    share = WHOLE.prior[0, 2]
    np.testing.assert_allclose(found.probabilities[:, 1], share, rtol=1e-6)
    np.testing.assert_allclose(found.logits[:, 1], np.log(share / (1 - share)), rtol=1e-5)
    np.testing.assert_array_equal(found.probabilities[:, 0], WHOLE.probabilities[:, 0])
    np.testing.assert_array_equal(found.reference.labels[:, 1], WHOLE.reference.labels[:, 2])
