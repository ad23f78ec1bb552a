"""Reliability: the spammers are last, intervals cover the truth, and little is not said."""

from __future__ import annotations

import numpy as np
import pytest

from ml.consistency.facet_consensus import FacetLimits, facet_consensus
from ml.consistency.overlap import FacetAccuracy
from ml.consistency.reliability import ENOUGH_ANSWERS, reliability_of
from ml.errors import ParameterError
from ml.simulation.crowds import crowd_with_spammers, curators_of_label_sets


def figures(crowd, limits):
    size = len(crowd.truth), crowd.n_people
    found = facet_consensus(crowd.answers, crowd.tracks, crowd.annotators, *size, limits)
    return [reliability_of([found.people], [who]) for who in range(crowd.n_people)]


@pytest.fixture(scope="module")
def crowds():
    made = [crowd_with_spammers(seed) for seed in range(6)]
    return [(crowd, figures(crowd, FacetLimits(1, 1))) for crowd in made]


def test_the_spammers_are_the_three_lowest(crowds):
    for _, found in crowds:
        known = [(one.value, who) for who, one in enumerate(found) if one is not None]
        assert {who for _, who in sorted(known)[:3]} == {0, 1, 2}


def test_who_is_mostly_right_stands_above_who_is_mostly_wrong(crowds):
    for crowd, found in crowds:
        share, n = crowd.shares_right()
        good = [found[who] for who in np.flatnonzero((n >= 100) & (share >= 0.7))]
        bad = [found[who] for who in np.flatnonzero(share <= 0.3)]
        lowest = min((one.value for one in good if one is not None), default=1.0)
        assert all(one is None or one.value < lowest for one in bad)


def test_intervals_of_a_crowd_cover_the_truth(crowds):
    covers, widths = [], []
    for crowd, found in crowds:
        for who, one in enumerate(found):
            if one is not None:
                covers.append(one.low <= crowd.accuracy[who] <= one.high)
                widths.append(one.high - one.low)
    assert np.mean(covers) >= 0.9
    assert np.mean(widths) < 0.35


@pytest.mark.parametrize("accuracy", [(0.8, 0.8), (0.9, 0.7, 0.8)])
def test_intervals_of_curators_of_label_sets_cover_the_truth(accuracy):
    """With replaced labels the agreement is the accuracy."""
    covers = []
    for seed in range(10):
        crowd = curators_of_label_sets(seed, 200, 20, accuracy)
        for one, right in zip(figures(crowd, FacetLimits(1, 2)), accuracy, strict=True):
            covers.append(one.low <= right <= one.high)
    assert np.mean(covers) >= 0.9


def test_two_people_alone_get_wide_intervals():
    """Nobody can know which of two is right: a third person narrows the intervals."""
    two, three = (
        figures(curators_of_label_sets(0, 200, 20, accuracy), FacetLimits(1, 2))[0]
        for accuracy in ((0.8, 0.8), (0.8, 0.8, 0.8))
    )
    assert two.high - two.low > 1.2 * (three.high - three.low)


def test_facets_are_weighted_by_their_answers():
    genre = FacetAccuracy(np.array([0.9]), np.array([0.3]), np.array([75]))
    mood = FacetAccuracy(np.array([0.1, 0.5]), np.array([0.3, 0.3]), np.array([9, 25]))
    found = reliability_of([genre, mood], [0, 1])
    assert found.value == pytest.approx(0.8)
    assert found.support == 100
    nothing = FacetAccuracy.nothing(2)
    assert reliability_of([genre, nothing], [0, 1]) == reliability_of([genre], [0])


def test_nothing_is_said_about_few_answers():
    few = FacetAccuracy(np.array([0.9]), np.array([0.3]), np.array([ENOUGH_ANSWERS - 1]))
    assert reliability_of([few], [0]) is None
    assert reliability_of([], []) is None
    with pytest.raises(ParameterError):
        reliability_of([few], [])
