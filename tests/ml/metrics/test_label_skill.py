"""Skill of single labels: trusted where a model knows something, not where it guesses."""

from __future__ import annotations

import numpy as np
import pytest

from ml.metrics.headline import Predicted, yardstick
from ml.metrics.label_skill import LEAST_EACH, label_skills
from ml.types import LabelMatrix


def audit(rng, n=60, n_labels=40, knows=0.0):
    """Labels of 15 %, predicted with errors; `knows` is what the log odds know of the label."""
    given = rng.random((n, n_labels)) < 0.15
    logits = np.log(0.15 / 0.85) + knows * (given - 0.15) + 0.4 * rng.normal(size=given.shape)
    probabilities = 1 / (1 + np.exp(-logits))
    labels = LabelMatrix(given, np.ones_like(given))
    prior = np.full(n_labels, 0.15)
    return Predicted(probabilities, probabilities), yardstick(labels, prior, prior), given


def share_trusted(knows, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(40):
        predicted, by, given = audit(rng, knows=knows)
        enough = given.sum(axis=0) >= LEAST_EACH
        rows = label_skills(predicted, by)
        better = np.array([row["is_better"] for row in rows])
        found += better[enough].tolist()
    return np.mean(found)


def test_labels_that_are_guessed_are_hardly_ever_trusted():
    assert share_trusted(0.0) <= 0.04


def test_labels_that_are_known_are_trusted():
    assert share_trusted(4.0) >= 0.7


def test_the_skill_is_that_of_the_label_alone():
    predicted, by, given = audit(np.random.default_rng(1), n=200, n_labels=3, knows=3.0)
    p, y = predicted.probabilities[:, 1], given[:, 1]
    loss = -np.where(y, np.log(p), np.log(1 - p)).sum()
    its = -np.where(y, np.log(0.15), np.log(0.85)).sum()
    assert label_skills(predicted, by)[1]["skill"] == pytest.approx(1 - loss / its, abs=0.01)


def test_few_positives_are_never_enough():
    given = np.zeros((40, 1), bool)
    given[: LEAST_EACH - 1] = True
    sure = Predicted(np.where(given, 0.99, 0.01), np.where(given, 0.99, 0.01))
    by = yardstick(LabelMatrix(given, np.ones_like(given)), np.full(1, 0.1), np.full(1, 0.1))
    (row,) = label_skills(sure, by)
    assert row["interval"][0] > 0
    assert not row["is_better"]


def test_a_label_that_nobody_judged_has_no_skill():
    nothing = LabelMatrix(np.zeros((9, 1), bool), np.zeros((9, 1), bool))
    half = np.full((9, 1), 0.5)
    (row,) = label_skills(Predicted(half, half), yardstick(nothing, half, np.full(1, 0.5)))
    assert row == {"skill": None, "interval": None, "is_better": False}
