from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ml.errors import ParameterError
from ml.networks import load_network
from ml.networks.base import plan_of
from ml.training.losses import loss_names
from ml.training.recipes import RECIPES, Recipe, for_network, recipe
from ml.training.selection_rules import (
    SelectionRules,
    drop_others,
    fold_others,
    select,
    thin_combinations,
)
from ml.types import FEATURE_CONFIGS, LabelMatrix, TrainingConfig


def matrix(rows, mask=None):
    labels = np.array(rows, dtype=bool)
    mask = np.ones_like(labels) if mask is None else np.array(mask, dtype=bool)
    return LabelMatrix(labels, mask)


# --- recipes as data ------------------------------------------------------------------------


def test_the_three_recipes_are_there_by_name_and_explained():
    assert list(RECIPES) == ["seed-2019", "seed-next", "audiotag"]
    for name, found in RECIPES.items():
        assert found.name == name
        assert found.title
        assert found.summary.endswith(".")


def test_an_unknown_recipe_lists_the_known_ones():
    with pytest.raises(ParameterError, match=r"'seed-2020'.*seed-2019, seed-next, audiotag"):
        recipe("seed-2020")


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_recipe_comes_back_from_json_with_its_digest(name):
    found = recipe(name)
    again = Recipe.from_dict(json.loads(json.dumps(found.canonical())))
    assert again == found
    assert again.digest() == found.digest()


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_recipe_names_a_network_options_features_and_a_loss_that_exist(name):
    training = recipe(name).training
    plan_of(load_network(training.network), training)
    assert training.features in FEATURE_CONFIGS
    assert training.loss in loss_names()


def test_the_study_is_the_study():
    found = recipe("seed-2019")
    training, selection = found.training, found.selection
    plan = plan_of(load_network(training.network), training)
    features = FEATURE_CONFIGS[training.features]
    assert (plan.epochs, plan.batch_size, plan.learning_rate) == (50, 96, 1e-3)
    assert plan.patience == plan.epochs, "it never stopped early"
    assert plan.options["scaling"] == "min-max"
    assert plan.options["dropout"] == 0.5
    assert plan.options["pooling"] == "mean-probability"
    assert (plan.options["train_windows"], plan.options["predict_windows"]) == (0, 0)
    assert (training.split, training.validation_share) == ("windows", 0.15)
    assert training.sampling == "label-distribution"
    assert training.loss == "keras-class-weight"
    assert (training.calibration, training.thresholds, training.bias) == (
        "none",
        "half",
        "zero",
    )
    assert (features.window_s, features.excerpt_s, features.n_fft) == (1.0, 40.0, 2_048)
    assert (features.n_mfcc, features.n_mels, features.sample_rate_hz) == (13, 26, 44_100)
    assert (selection.top_labels, selection.others) == (29, "fold")
    assert (selection.annotators, selection.negatives) == ("all", "closed")
    assert selection.combination_cap > 0


@pytest.mark.parametrize(
    ("name", "digest"), [("seed-2019", "6e438b1ea6f299c6"), ("seed-next", "e4b014358cddefa2")]
)
def test_the_studys_recipes_keep_their_digest(name, digest):
    """The stored runs of the study were made under it: a change makes all of them stale."""
    assert recipe(name).digest().startswith(digest)
    assert Recipe.from_dict(recipe(name).canonical()) == recipe(name)


def test_what_the_author_proposed_differs_in_three_things_only():
    study, following = recipe("seed-2019"), recipe("seed-next")
    assert replace(following.training, features="seed-1s") == study.training
    assert FEATURE_CONFIGS[following.training.features].window_s == 0.25
    assert following.selection.annotators == "current"
    assert following.selection.others == "drop"
    assert replace(following.selection, annotators="all", others="fold") == study.selection


def test_ours_is_the_training_of_the_loop():
    assert recipe("audiotag").training == TrainingConfig(
        members=4, criteria="apart", label_counts="learnt"
    )
    assert recipe("audiotag").selection == SelectionRules()


def test_another_network_trains_as_ours_where_it_can():
    ours = recipe("audiotag").training
    other = for_network(ours, "pooled-numpy", "mfcc-13")
    assert other == replace(ours, network="pooled-numpy", features="mfcc-13")
    for network in ("depthwise", "gmm", "knn"):
        found = for_network(ours, network, "timbral")
        assert found == TrainingConfig(
            network=network, features="timbral", label_counts="learnt"
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("annotators", "some"),
        ("negatives", "yes"),
        ("others", "hide"),
        ("top_labels", -1),
        ("min_support", 0),
        ("combination_cap", 1.5),
        ("rare_share", -0.1),
        ("rare_share", float("nan")),
    ],
)
def test_impossible_rules_are_refused_by_name(name, value):
    with pytest.raises(ParameterError, match=name):
        SelectionRules(**{name: value})


@pytest.mark.parametrize("name", ["split", "sampling", "calibration", "thresholds", "bias"])
def test_an_unknown_choice_of_a_training_is_refused_by_name(name):
    with pytest.raises(ParameterError, match=f"{name} is 'other'; known: "):
        TrainingConfig(**{name: "other"})


def test_an_older_config_means_what_it_meant():
    old = {"network": "pooled", "options": [["hidden", 8]], "seed": 3}
    config = TrainingConfig.from_dict(old)
    assert (config.split, config.sampling, config.calibration) == (
        "grouped",
        "uniform",
        "platt",
    )
    assert (config.thresholds, config.bias) == ("tuned", "prior")


# --- Others ---------------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d")
#: By frequency: b 4, d 3, a 2, c 1.
ROWS = [
    [1, 1, 1, 0],
    [1, 1, 0, 0],
    [0, 1, 0, 1],
    [0, 1, 0, 1],
    [0, 0, 0, 1],
]


def test_labels_beyond_the_top_become_others_once():
    folded, names = fold_others(matrix(ROWS), NAMES, 2)
    assert names == ("b", "d", "Others")
    expected = [[1, 0, 1], [1, 0, 1], [1, 1, 0], [1, 1, 0], [0, 1, 0]]
    np.testing.assert_array_equal(folded.labels, np.array(expected, bool))
    assert folded.label_mask.all()
    assert folded.labels[0].sum() == 2, "a and c of the first track are one Others"


def test_others_are_judged_by_any_yes_or_by_every_no():
    labels = [[1, 0, 0], [1, 0, 1], [1, 0, 0], [1, 0, 0], [1, 1, 0]]
    mask = [[1, 1, 1], [1, 0, 1], [1, 1, 0], [1, 0, 0], [1, 0, 1]]
    folded, names = fold_others(matrix(labels, mask), ("a", "b", "c"), 1)
    assert names == ("a", "Others")
    # no and no; a yes beside an unjudged; a no beside an unjudged; nothing; an unjudged yes.
    assert folded.label_mask[:, 1].tolist() == [True, True, False, False, False]
    assert folded.labels[:, 1][folded.label_mask[:, 1]].tolist() == [False, True]


def test_frequency_counts_judged_labels_and_the_first_of_equals_wins():
    labels = [[1, 1, 1], [1, 1, 1], [0, 1, 0]]
    mask = [[1, 1, 1], [1, 1, 1], [1, 0, 1]]
    _, names = fold_others(matrix(labels, mask), ("a", "b", "c"), 2)
    assert names == ("a", "b", "Others")


def test_a_label_that_is_called_others_is_never_on_its_own():
    _, names = fold_others(matrix(ROWS), ("a", "Others", "c", "d"), 2)
    assert names == ("a", "d", "Others")
    _, names = drop_others(matrix(ROWS), ("a", "Others", "c", "d"), 2)
    assert names == ("a", "d")


@pytest.mark.parametrize("top", [0, 4, 9])
@pytest.mark.parametrize("change", [fold_others, drop_others])
def test_without_a_label_beyond_the_top_all_stays(change, top):
    labels = matrix(ROWS)
    changed, names = change(labels, NAMES, top)
    assert changed is labels
    assert names == NAMES


def test_dropped_others_leave_every_track():
    dropped, names = drop_others(matrix(ROWS), NAMES, 1)
    assert names == ("b",)
    assert dropped.labels[:, 0].tolist() == [True] * 4 + [False]


@pytest.mark.parametrize("change", [fold_others, drop_others])
def test_names_that_do_not_fit_are_refused(change):
    with pytest.raises(ParameterError, match="3 names for 4 labels"):
        change(matrix(ROWS), NAMES[:3], 2)
    with pytest.raises(ParameterError, match="top is -1"):
        change(matrix(ROWS), NAMES, -1)


# --- thinning -------------------------------------------------------------------------------

#: Twenty tracks: ten of {a}, five of {a, b}, three of {a, c}, one of {d}, one of nothing.
COMBINED = (
    [[1, 0, 0, 0]] * 10
    + [[1, 1, 0, 0]] * 5
    + [[1, 0, 1, 0]] * 3
    + [[0, 0, 0, 1]]
    + [[0, 0, 0, 0]]
)


def test_frequent_combinations_are_thinned_to_the_cap_and_no_further():
    kept = thin_combinations(matrix(COMBINED), 0.2, 0.1, seed=0)
    # 20 % of 20 are 4 tracks: {a} loses 6, {a, b} 1; the others are below it.
    assert (kept < 10).sum() == 4
    assert ((kept >= 10) & (kept < 15)).sum() == 4
    assert kept[kept >= 15].tolist() == [15, 16, 17, 18, 19]


def test_a_track_with_a_rare_label_is_never_thinned():
    # c is on 3 of 20 tracks: rare below a share of .16, not below .15.
    assert set(range(15, 18)) <= set(thin_combinations(matrix(COMBINED), 0.05, 0.16, seed=0))
    kept = thin_combinations(matrix(COMBINED), 0.05, 0.15, seed=0)
    assert ((kept >= 15) & (kept < 18)).sum() == 1


@pytest.mark.parametrize("seed", range(20))
def test_no_seed_thins_a_rare_label_or_a_track_without_one(seed):
    rng = np.random.default_rng(seed)
    labels = rng.random((300, 5)) < [0.5, 0.3, 0.2, 0.02, 0.01]
    kept = thin_combinations(matrix(labels), 0.02, 0.05, seed)
    is_safe = labels[:, labels.mean(axis=0) < 0.05].any(axis=1) | ~labels.any(axis=1)
    assert np.isin(np.flatnonzero(is_safe), kept).all()
    assert len(kept) < 300


def test_thinning_is_by_its_seed():
    first, again, other = (
        thin_combinations(matrix(COMBINED), 0.2, 0.1, seed).tolist() for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_a_tiny_cap_leaves_one_track_of_each_combination_and_no_cap_leaves_all():
    kept = thin_combinations(matrix(COMBINED), 1e-9, 0.0, seed=0)
    assert len(np.unique(np.array(COMBINED)[kept], axis=0)) == len(kept) == 5
    assert len(thin_combinations(matrix(COMBINED), 0.0, 0.01, seed=0)) == 20
    assert len(thin_combinations(matrix(np.zeros((0, 4))), 0.1, 0.1, 0)) == 0


def test_what_is_not_judged_is_in_no_combination():
    labels = [[1, 1], [1, 0], [1, 1], [1, 0]]
    mask = [[1, 0], [1, 1], [1, 0], [1, 1]]
    assert len(thin_combinations(matrix(labels, mask), 0.25, 0.0, seed=0)) == 1


# --- all rules ------------------------------------------------------------------------------


def test_rare_labels_are_rare_before_they_are_others():
    rules = SelectionRules(
        top_labels=1, others="fold", min_support=1, combination_cap=0.05, rare_share=0.16
    )
    selected = select(matrix(COMBINED), NAMES, rules)
    assert selected.names == ("a", "Others")
    assert {15, 16, 17, 18, 19} <= set(selected.rows.tolist())
    assert len(selected.rows) == 1 + 1 + 3 + 1 + 1


def test_dropping_others_leaves_out_the_tracks_that_had_only_those():
    rules = SelectionRules(top_labels=1, others="drop", min_support=1)
    selected = select(matrix(COMBINED), NAMES, rules)
    assert selected.names == ("a",)
    assert 18 not in selected.rows, "it had d alone"
    assert 19 in selected.rows, "it was judged to have none of them"
    assert len(selected.rows) == selected.labels.n_tracks == 19


def test_labels_without_support_are_left_out_and_all_tracks_kept():
    selected = select(matrix(COMBINED), NAMES, SelectionRules(min_support=3))
    assert selected.names == ("a", "b", "c")
    assert selected.rows.tolist() == list(range(20))
    nothing = select(matrix(COMBINED), NAMES, SelectionRules(min_support=99))
    assert nothing.names == ()
