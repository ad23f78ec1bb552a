"""Promotion policy: which model is promoted automatically, and why another is rejected."""

from __future__ import annotations

import numpy as np
import pytest

from labeling.loop.datasets.selection import Selection
from labeling.loop.registry import promotion
from labeling.loop.registry.promotion import Decision
from labeling.models import ModelVersion
from ml.evaluation.diagnosis import MISLEADING, NO_BETTER
from ml.types import LabelMatrix

METRICS = {"macro_ap": 0.5, "n": 20, "interval": {"macro_ap": [0.4, 0.6]}}
BASELINE = {"macro_ap": 0.2}


def decided(metrics=METRICS, n_learnt=2, verdict="useful"):
    return promotion.needs_a_person(metrics, BASELINE, n_learnt, verdict)


class TestHeldBack:
    def test_usable(self):
        assert decided() is None
        assert decided(verdict=NO_BETTER) is None

    def test_learnt_nothing(self):
        assert decided(n_learnt=0).reason == "it learnt no label"

    def test_surely_worse_than_a_constant(self):
        bad = {"macro_ap": 0.1, "n": 20, "interval": {"macro_ap": [0.05, 0.15]}}
        decision = decided(bad)
        assert not decision.is_promoted
        assert (
            "worse than the baseline: macro AP 0.100, the baseline has 0.200" in decision.reason
        )
        assert decision.figures == {"macro_ap": 0.1, "constant": 0.2, "n": 20}

    def test_maybe_worse_than_a_constant(self):
        assert (
            decided({"macro_ap": 0.1, "n": 20, "interval": {"macro_ap": [0.05, 0.25]}}) is None
        )

    def test_nothing_measured(self):
        nothing = {"macro_ap": None, "n": 0, "interval": {"macro_ap": None}}
        assert decided(nothing).reason == promotion.UNMEASURED

    def test_one_class_only(self):
        one_sided = {"macro_ap": None, "n": 1, "interval": {"macro_ap": None}}
        assert decided(one_sided).reason == promotion.ONE_SIDED

    def test_probabilities_that_mislead(self):
        assert decided(verdict=MISLEADING).reason.endswith(
            "than answering the label frequencies"
        )


class TestForComparison:
    @pytest.mark.parametrize(
        "chosen",
        [
            {"annotators": ("ana",)},
            {"annotator_kinds": ("legacy",)},
            {"since": "2024-01-01"},
            {"until": "2024-01-01"},
            {"guidelines": (1,)},
            {"sources": ("imported",)},
            {"batches": (3,)},
            {"criteria": "legacy"},
        ],
    )
    def test_what_measures_itself(self, chosen):
        selection = Selection(**chosen)
        assert promotion.for_comparison(selection, []).reason == promotion.SELECTED
        by_others = Selection(**chosen, judged_by="current")
        assert promotion.for_comparison(by_others, []) is None

    @pytest.mark.parametrize("chosen", [{}, {"criteria": "current"}, {"facets": ("genre",)}])
    def test_what_is_made_to_be_used(self, chosen):
        selection = Selection.of(Selection(**chosen, min_support=2).canonical())
        assert promotion.for_comparison(selection, [], "audiotag") is None

    @pytest.mark.parametrize("recipe", ["seed-2019", "seed-next"])
    def test_recipes_of_the_study(self, recipe):
        assert promotion.for_comparison(Selection(), [], recipe).reason == promotion.RECIPE

    def test_strange_labels(self):
        decision = promotion.for_comparison(Selection(), ["a"])
        assert (decision.is_promoted, decision.figures) == (False, {"strangers": ["a"]})


def test_first_of_a_library():
    assert promotion.decide_first(METRICS, BASELINE) == Decision(
        True, "the first usable model of this library", {"macro_ap": 0.5, "constant": 0.2}
    )


class TestAgainst:
    """Forty tracks, two labels: a perfect ranking, a reversed one, and noise."""

    @pytest.fixture
    def labels(self, rng):
        return LabelMatrix(rng.random((40, 2)) < 0.4, np.ones((40, 2), dtype=bool))

    @pytest.fixture
    def decide(self, labels):
        champion = ModelVersion(number=1)

        def against(candidate, in_use, n=40, groups=None):
            kept = labels.rows(np.arange(n))
            return promotion.decide_against(
                champion,
                candidate[:n],
                in_use[:n],
                kept,
                np.arange(n) if groups is None else groups,
            )

        return against

    def test_plainly_worse_is_refused_with_its_figures(self, decide, labels):
        good = labels.labels * 0.8 + 0.1
        decision = decide(1 - good, good)
        assert not decision.is_promoted
        assert decision.reason.startswith("clearly worse: macro AP -0.")
        assert "on 40 audit tracks (95 % between" in decision.reason
        assert decision.figures["hi"] < 0
        assert decision.figures["n"] == 40

    def test_as_good_or_better_is_used(self, decide, labels, rng):
        good = labels.labels * 0.8 + 0.1
        assert decide(good, good).is_promoted
        assert decide(good, rng.random(good.shape)).figures["difference"] > 0

    def test_too_few_tracks_leave_it_to_the_newer_answers(self, decide, labels):
        good = labels.labels * 0.8 + 0.1
        decision = decide(1 - good, good, n=7)
        assert decision.is_promoted
        assert decision.reason.startswith("7 audit tracks can be compared, too few")

    def test_tracks_of_one_album_leave_it_to_the_newer_answers(self, decide, labels):
        good = labels.labels * 0.8 + 0.1
        decision = decide(1 - good, good, groups=np.zeros(40))
        assert decision.is_promoted
        assert decision.reason == (
            "40 audit tracks can be compared, all of 1 split group, too few for a comparison "
            "with model 1, so the model with the newer answers is promoted"
        )
        assert decision.figures["difference"] < 0
        assert (decision.figures["lo"], decision.figures["hi"]) == (None, None)
