"""Promotion policy: which model is promoted automatically, and why another is rejected."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from labeling.loop.datasets.selection import Selection
from labeling.loop.registry import promotion
from labeling.loop.registry.promotion import Decision, Duel
from labeling.models import ModelVersion
from ml.evaluation.comparison import side_of
from ml.evaluation.diagnosis import MISLEADING, NO_BETTER
from ml.types import LabelMatrix


def measured(macro_ap, span, **more):
    shown = {
        "skill": 0.25,
        "labels": 9,
        "labels_10": 6,
        "macro_ap_10": macro_ap,
        "intervals": {"macro_ap_10": span},
        "baseline": {"macro_ap_10": 0.2},
    }
    return {"macro_ap": 0.5, "n": 20, "headline": shown, **more}


METRICS = measured(0.5, [0.4, 0.6])
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
        decision = decided(measured(0.1, [0.05, 0.15]))
        assert not decision.is_promoted
        assert decision.reason == (
            "it ranks worse than the baseline: macro AP 0.100 on 6 of 9 labels, the baseline "
            "has 0.200"
        )
        assert decision.figures == {"macro_ap": 0.5, "constant": 0.2, "n": 20, "skill": 0.25}

    def test_maybe_worse_than_a_constant(self):
        assert decided(measured(0.1, [0.05, 0.25])) is None

    def test_few_frequent_labels_say_nothing_about_the_ranking(self):
        assert decided(measured(None, None)) is None

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
        True,
        "the first usable model of this library",
        {"macro_ap": 0.5, "constant": 0.2, "skill": 0.25},
    )


def duel(rival, candidate, former, labels, groups=None):
    return Duel(
        rival,
        side_of(candidate, np.full(2, 0.5)),
        side_of(former, np.full(2, 0.5)),
        labels,
        np.full(2, 0.4),
        np.arange(labels.n_tracks) if groups is None else groups,
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
            return promotion.decide_against(
                duel(champion, candidate[:n], in_use[:n], labels.rows(np.arange(n)), groups)
            )

        return against

    def test_plainly_worse_is_refused_with_its_figures(self, decide, labels):
        good = labels.labels * 0.8 + 0.1
        decision = decide(1 - good, good)
        assert not decision.is_promoted
        assert decision.reason.startswith("clearly worse: skill -")
        assert "on 40 audit tracks (95 % between" in decision.reason
        assert decision.figures["headline"]["skill"]["hi"] < 0
        assert decision.figures["hi"] < 0
        assert decision.figures["n"] == 40

    def test_as_good_or_better_is_used(self, decide, labels, rng):
        good = labels.labels * 0.8 + 0.1
        assert decide(good, good).is_promoted
        assert decide(good, rng.random(good.shape)).figures["difference"] > 0

    def test_a_sure_loss_of_next_to_nothing_is_no_reason(self, decide, labels):
        nearly, always = labels.labels * 0.986 + 0.007, labels.labels * 0.994 + 0.003
        decision = decide(nearly, always)
        assert decision.is_promoted
        assert decision.figures["headline"]["skill"]["hi"] < 0
        assert decision.reason.startswith("not clearly worse: skill -0.00")
        assert not decide(labels.labels * 0.95 + 0.025, always).is_promoted

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


class TestAgainstFormer:
    """A slow slide: each model a little worse than the one before, over 100 tracks."""

    @pytest.fixture
    def slide(self):
        rng = np.random.default_rng(2)
        labels = LabelMatrix(rng.random((100, 2)) < 0.4, np.ones((100, 2), dtype=bool))
        noise = rng.normal(size=(100, 2))

        def probabilities(knowledge):
            # Every model has errors of its own, so neighbours differ by chance too.
            own = 0.5 * rng.normal(size=(100, 2))
            logits = knowledge * (2 * labels.labels - 1) + 0.5 * noise + own
            return 1 / (1 + np.exp(-logits))

        return labels, [probabilities(knowledge) for knowledge in (1.5, 1.44, 1.38, 1.32, 1.26)]

    def test_no_neighbour_is_clearly_worse_and_the_last_is_stopped(self, slide):
        labels, models = slide
        for former, candidate in pairwise(models):
            assert promotion.decide_against(
                duel(ModelVersion(number=1), candidate, former, labels)
            ).is_promoted
        best = [
            duel(ModelVersion(number=number + 1), models[4], models[number], labels)
            for number in range(3)
        ]
        decision = promotion.decide_against_former(best)
        assert not decision.is_promoted
        assert decision.figures["against"] == 1
        assert decision.reason.startswith("clearly worse than a former champion: skill -0.")
        assert "(98.3 % between" in decision.reason

    def test_as_good_as_the_best_passes(self, slide):
        labels, models = slide
        best = [duel(ModelVersion(number=1), models[0], one, labels) for one in models[:3]]
        assert promotion.decide_against_former(best) is None
        assert promotion.decide_against_former([]) is None
