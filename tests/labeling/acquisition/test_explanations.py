"""Reasons for serving a track: words that fit the buttons and do not contradict them."""

from __future__ import annotations

import numpy as np
import pytest

from labeling.loop.acquisition import explanations
from labeling.loop.acquisition.explanations import FacetLabel, explain, facet_labels
from ml.acquisition.strategies import Pool
from ml.types import LabelMatrix
from tests.factories import make_labels, make_library

NAMES = [
    *(FacetLabel.of(name, "genre") for name in ("Ambient", "Drone", "Rock")),
    *(FacetLabel.of(name, "mood") for name in ("Calm", "Dark")),
]


def pool_of(probabilities, neighbour, *, cuts=None):
    """Return a pool of a candidate (row 0) and its neighbour, which has these labels."""
    labels = np.zeros((2, 5), dtype=bool)
    labels[1, neighbour] = True
    return Pool(
        labelled_mask=np.array([False, True]),
        probabilities=np.array([probabilities, [0.0] * 5]),
        labels=LabelMatrix(labels, np.ones((2, 5), dtype=bool)),
        thresholds=np.array(cuts or [0.5] * 5),
    )


def why(pool, **reason):
    return explain({"neighbour": 1, **reason}, NAMES, pool, 0)


def test_only_labels_of_one_facet_are_compared():
    pool = pool_of([0.1, 0.62, 0.1, 0.1, 0.7], [0])
    assert why(pool, mismatch=[0, 1, 4]) == (
        "the model hears Drone 62 %, the most similar labelled track is Ambient"
    )
    assert why(pool, mismatch=[0, 4]) == (
        "the model hears Dark 70 %, unlike the most similar labelled track"
    )


@pytest.mark.parametrize(
    ("probabilities", "cuts"),
    [
        ([0.1, 0.4, 0.1, 0.1, 0.1], None),  # under its threshold
        ([0.9, 0.6, 0.1, 0.1, 0.1], None),  # not the top of its facet
    ],
)
def test_what_the_model_does_not_give_is_not_heard(probabilities, cuts):
    pool = pool_of(probabilities, [2], cuts=cuts)
    assert "hears Drone" not in why(pool, mismatch=[1, 2])


def test_a_low_cut_is_a_cut():
    pool = pool_of([0.1, 0.4, 0.1, 0.1, 0.1], [0], cuts=[0.3] * 5)
    assert why(pool, mismatch=[0, 1]).startswith("the model hears Drone 40 %")


def test_nothing_like_it_has_no_most_similar_track():
    pool = pool_of([0.1, 0.62, 0.1, 0.1, 0.1], [0])
    said = why(pool, mismatch=[0, 1], novelty=0.9)
    assert said == "nothing like it labelled yet"


def test_a_label_is_said_once_and_uncertain_ones_share_a_facet():
    pool = pool_of([0.1, 0.62, 0.44, 0.48, 0.4], [0])
    shares = {1: 0.62, 3: 0.48, 2: 0.44}
    unsure = [{"label": n, "probability": p} for n, p in shares.items()]
    assert why(pool, uncertain=unsure[:2], mismatch=[0, 1]) == (
        "the model hears Drone 62 %, the most similar labelled track is Ambient"
        " · uncertain about Calm 48 %"
    )
    assert why(pool, uncertain=unsure) == "uncertain between Drone 62 % and Rock 44 %"


def test_it_is_short_whatever_the_names():
    names = [FacetLabel.of(f"{n}" + "x" * 100, "genre") for n in range(5)]
    pool = pool_of([0.1, 0.62, 0.5, 0.4, 0.1], [0])
    unsure = [{"label": n, "probability": 0.5} for n in (2, 3)]
    reason = {"neighbour": 1, "mismatch": [0, 1], "uncertain": unsure}
    said = explain(reason, names, pool, 0)
    assert 0 < len(said) <= 110


def test_nothing_to_say_is_said():
    assert why(pool_of([0.0] * 5, [])) == explanations.SPREAD


@pytest.mark.django_db
def test_a_name_in_two_facets_names_the_facet():
    library = make_library("tiny")
    labels = [
        *make_labels(library, "genre", ("Dark", "Rock")),
        *make_labels(library, "mood", ("Dark",)),
    ]
    names = facet_labels(library, [*(label.uid.hex for label in labels), "0" * 32])
    assert names == ["Dark (genre)", "Rock", "Dark (mood)", "Others"]
