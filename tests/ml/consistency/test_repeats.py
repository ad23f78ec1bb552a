"""Gaps between repeats: known days only, over the pairs that self-agreement counts."""

from __future__ import annotations

import numpy as np

from ml.consistency.agreement import self_agreement
from ml.consistency.repeats import repeat_gaps
from ml.types import LabelMatrix

TRACKS = ["a", "b", "c", "a", "b", "c", "a"]
DAYS = np.array([0.0, 1.0, np.nan, 10.0, 31.0, 40.0, 110.0])


def test_the_gap_is_the_median_over_pairs_with_two_dates():
    judged = LabelMatrix(np.zeros((7, 2), bool), np.ones((7, 2), bool))
    # a: 10 and 100 days, b: 30; the first answer to c has no date.
    assert repeat_gaps(judged, TRACKS, DAYS) == ([30.0, 30.0], 30.0)


def test_each_label_has_the_gap_of_its_own_pairs():
    mask = np.ones((7, 2), bool)
    mask[4, 1] = mask[6, 1] = False
    judged = LabelMatrix(np.zeros((7, 2), bool), mask)
    by_label, by_set = repeat_gaps(judged, TRACKS, DAYS)
    assert (by_label, by_set) == ([30.0, 10.0], 30.0)
    agreements, _ = self_agreement(judged, TRACKS, np.arange(7))
    assert [one["n"] for one in agreements] == [4, 2]


def test_without_dates_or_repeats_there_is_no_gap():
    judged = LabelMatrix(np.zeros((2, 1), bool), np.ones((2, 1), bool))
    assert repeat_gaps(judged, ["a", "b"], np.array([0.0, 1.0])) == ([None], None)
    assert repeat_gaps(judged, ["a", "a"], np.array([np.nan, 1.0])) == ([None], None)
