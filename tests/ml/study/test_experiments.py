"""Recipes side by side: who learns from what, and what they are judged by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.errors import NothingToLearnError, ParameterError
from ml.features.track_features import ArrayFeatures
from ml.simulation.windows import WindowModel
from ml.study.design import StudyDesign, simulate_study
from ml.study.experiments import Material, choose_material, run_recipe, under_names
from ml.study.trials import ABLATION_DESIGN, SEED_NEXT_BOTH, TURNING_SIZES, material_of, trials
from ml.training.recipes import AUDIOTAG, SEED_NEXT
from ml.training.selection_rules import SelectionRules, select
from ml.types import LabelMatrix, TrainingConfig

FAST = replace(AUDIOTAG, training=TrainingConfig(network="pooled-numpy"))


@pytest.fixture(scope="module")
def material():
    return material_of(simulate_study(StudyDesign(n_tracks=300), seed=0))


def tiny(said_mask, held_out=(3,), groups=(0, 1, 2, 3)):
    """Four tracks, two labels; track 0 and 2 have "a", 1 has "b", 3 has both."""
    labels = np.array([[1, 0], [0, 1], [1, 0], [1, 1]], dtype=bool)
    mask = np.array(said_mask, dtype=bool)[:, None] & np.ones(2, dtype=bool)
    return Material(
        names=("a", "b"),
        track_uids=np.array([b"t0", b"t1", b"t2", b"t3"]),
        features={"audiotag": ArrayFeatures(summary=np.zeros((4, 3)))},
        said={"all": LabelMatrix(labels & mask, mask)},
        groups=np.array(groups),
        held_out=np.array(held_out),
        reference=LabelMatrix(labels, np.ones_like(labels)),
    )


def test_held_out_and_unanswered_tracks_are_never_learnt_from():
    chosen = choose_material(tiny([1, 1, 0, 1]), SelectionRules(min_support=1), seed=0)
    assert chosen.rows.tolist() == [0, 1]
    assert chosen.labels.labels.tolist() == [[True, False], [False, True]]


def test_a_group_on_both_sides_is_refused():
    with pytest.raises(ParameterError, match="both held out and learnt from"):
        tiny([1, 1, 1, 1], groups=(0, 1, 3, 3))


def test_nobody_who_counts_is_a_clear_error():
    with pytest.raises(NothingToLearnError, match="no answers of 'current', only: all"):
        choose_material(tiny([1, 1, 1, 1]), SelectionRules(annotators="current"), seed=0)
    with pytest.raises(NothingToLearnError, match="0 tracks were judged by 'all'"):
        choose_material(tiny([0, 0, 0, 1]), SelectionRules(min_support=1), seed=0)


def test_a_recipe_needs_its_features(material):
    recipe = replace(FAST, training=replace(FAST.training, features="mel-80"))
    with pytest.raises(ParameterError, match="needs the features 'mel-80'; there are seed-1s"):
        run_recipe(material, recipe, seed=0)


def test_reference_labels_are_read_under_the_recipes_names():
    labels = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)
    mask = np.ones_like(labels)
    mask[3, 2] = False
    read = under_names(LabelMatrix(labels, mask), ("a", "b", "c"), ("b", "Others"))
    assert read.labels[:, 0].tolist() == [False, True, False, False]
    assert read.labels[:, 1].tolist() == [True, False, True, False]
    # Of the last track one of the folded labels was not judged, and none is there.
    assert read.label_mask[:, 1].tolist() == [True, True, True, False]


def test_a_library_with_its_own_others_keeps_it():
    labels = np.array([[1, 0], [0, 1]], dtype=bool)
    read = under_names(LabelMatrix(labels, np.ones_like(labels)), ("a", "Others"), ("Others",))
    assert read.labels.tolist() == [[False], [True]]


def with_own_others():
    """Five tracks that were all judged: with a, b, the library's Others, a and Others, none."""
    labels = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [0, 0, 0]], dtype=bool)
    mask = np.ones_like(labels)
    mask[4, 2] = False
    return LabelMatrix(labels, mask), ("a", "b", "Others")


def test_a_librarys_own_others_is_a_part_of_the_folded_one():
    said, names = with_own_others()
    rules = SelectionRules(top_labels=1, others="fold", min_support=1)
    chosen = select(said, names, rules)
    assert chosen.names == ("a", "Others")
    read = under_names(said, names, chosen.names, rules)
    assert read.labels[:, 1].tolist() == [False, True, True, True, False]
    # Of the last track the library's Others was not judged, and b is not there.
    assert read.label_mask[:, 1].tolist() == [True, True, True, True, False]
    # What it is judged by is what it learns from.
    assert np.array_equal(read.labels, chosen.labels.labels)
    assert np.array_equal(read.label_mask, chosen.labels.label_mask)


@pytest.mark.parametrize(
    "rules",
    [
        SelectionRules(top_labels=2, others="fold", min_support=2),
        SelectionRules(top_labels=0, others="fold", min_support=2),
        SelectionRules(top_labels=1, others="keep", min_support=2),
    ],
    ids=["nothing is beyond", "every label stands for itself", "others are kept"],
)
def test_a_label_of_low_support_is_not_folded_into_a_librarys_own_others(rules):
    said, names = with_own_others()
    chosen = select(said, names, rules)
    assert chosen.names == ("a", "Others")
    read = under_names(said, names, chosen.names, rules)
    assert read.labels[:, 1].tolist() == [False, False, True, True, False]
    assert np.array_equal(read.labels, chosen.labels.labels)


def test_a_run_is_judged_by_what_its_recipe_folded(material):
    *most, last = material.names
    own = replace(material, names=(*most, "Others"))
    rules = SelectionRules(top_labels=3, others="fold", min_support=1)
    recipe = replace(FAST, selection=rules, training=replace(FAST.training, epochs=1))
    folded, plain = (run_recipe(held, recipe, seed=0).held_out for held in (own, material))
    assert last not in [label.name for label in plain.labels]
    assert [label.name for label in folded.labels] == [label.name for label in plain.labels]
    assert np.array_equal(folded.reference.labels, plain.reference.labels)
    assert np.array_equal(folded.reference.label_mask, plain.reference.label_mask)


def test_a_run_keeps_what_it_said_of_both_sides(material):
    run = run_recipe(material, FAST, seed=1)
    held_out, validation = run.held_out, run.validation
    assert held_out.n_tracks == len(material.held_out)
    assert run.n_tracks == len(material.learnable) == run.held_out.about["n_tracks"]
    assert held_out.about["recipe"] == FAST.canonical()
    assert held_out.track_uids.tolist() == material.track_uids[material.held_out].tolist()
    # Five inner folds score every track out of fold: all that was learnt from.
    assert validation is not None
    assert validation.n_tracks == run.n_tracks
    assert np.isfinite(validation.probabilities).all()
    albums = material.groups[choose_material(material, FAST.selection, 0).rows]
    assert len(np.unique(validation.groups)) == len(np.unique(albums)) < run.n_tracks
    again = run_recipe(material, FAST, seed=1)
    assert np.array_equal(again.held_out.probabilities, held_out.probabilities)


def test_whose_answers_count_decides_what_is_learnt(material):
    rules = SelectionRules(min_support=1)
    rows = {
        word: set(choose_material(material, replace(rules, annotators=word), 0).rows.tolist())
        for word in ("all", "legacy", "current")
    }
    assert rows["legacy"] | rows["current"] == rows["all"] == set(material.learnable.tolist())
    assert not rows["legacy"] & rows["current"]


def test_fewer_tracks_of_the_current_curator_are_a_part_of_more():
    study = simulate_study(StudyDesign(n_tracks=300), seed=0)
    rows = [
        set(np.flatnonzero(material_of(study, n).said["current"].label_mask[:, 0]).tolist())
        for n in (10, 40)
    ]
    assert [len(found) for found in rows] == [10, 40]
    assert rows[0] < rows[1]


def test_the_turning_sizes_are_what_they_say():
    found = {
        trial.name: len(choose_material(trial.material, trial.recipe.selection, 0).rows)
        for trial in trials("turning", 0, StudyDesign(windows=WindowModel(1)))
    }
    for size in TURNING_SIZES:
        # Dropping Others leaves out the tracks that had nothing else.
        assert 0.8 * size <= found[f"current-{size}"] <= size
        assert found[f"both-{size}"] - found[f"current-{size}"] == pytest.approx(600, rel=0.12)


def test_what_the_author_proposed_is_run_as_it_is_and_on_both():
    design = StudyDesign(windows=WindowModel(1))
    found = {trial.name: trial for trial in trials("proposed", 0, design)}
    assert list(found) == ["both-800", "current-800", "both-1600", "current-1600"]
    turning = {trial.name: trial for trial in trials("turning", 0, design)}
    for name, trial in found.items():
        assert trial.recipe is (SEED_NEXT if name.startswith("current") else SEED_NEXT_BOTH)
        # The same libraries and the same tracks as the part turning has at that size.
        there = turning[name].material.said["current"]
        assert np.array_equal(trial.material.said["current"].labels, there.labels)
        assert np.array_equal(trial.material.said["current"].label_mask, there.label_mask)
    short = next(trials("proposed", 0, design, epochs=2))
    assert short.recipe == replace(
        SEED_NEXT_BOTH, training=replace(SEED_NEXT_BOTH.training, epochs=2)
    )


def test_each_cause_of_the_ablation_changes_one_thing():
    found = {trial.name: trial for trial in trials("ablation", 0, StudyDesign())}
    sound = found["sound"]
    assert len(
        choose_material(sound.material, sound.recipe.selection, 0).rows
    ) == pytest.approx(0.5 * ABLATION_DESIGN.n_tracks, rel=0.1)
    for name, trial in found.items():
        before = {**sound.recipe.training.canonical(), **sound.recipe.selection.canonical()}
        after = {**trial.recipe.training.canonical(), **trial.recipe.selection.canonical()}
        changed = [key for key in before if before[key] != after[key]]
        assert len(changed) == (0 if name in ("sound", "balanced") else 1), (name, changed)
    assert found["changed-curator"].material is not sound.material
    prevalence = found["balanced"].material.reference.labels.mean(axis=0)
    assert len(prevalence) == 29
    assert prevalence.max() < 3 * prevalence.min()
