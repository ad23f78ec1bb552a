"""The consensus of a facet: crowds with spammers, two curators, and what must not change."""

from __future__ import annotations

import numpy as np
import pytest

from ml.consistency.aggregation import count_votes, majority, one_coin, plurality
from ml.consistency.facet_consensus import FacetLimits, facet_consensus, settled_labels
from ml.errors import ParameterError
from ml.simulation.crowds import Crowd, crowd_with_spammers, curators_of_label_sets
from ml.types import LabelMatrix

ONE = FacetLimits(1, 1)


def judged(labels) -> LabelMatrix:
    labels = np.asarray(labels, dtype=bool)
    return LabelMatrix(labels, np.ones_like(labels))


def fitted(crowd: Crowd, limits: FacetLimits = FacetLimits(), answers=None):  # noqa: B008
    given = crowd.answers if answers is None else answers
    n_tracks = len(crowd.truth)
    return facet_consensus(
        given, crowd.tracks, crowd.annotators, n_tracks, crowd.n_people, limits
    )


def share_right(scores, truth) -> float:
    """Share of the tracks whose best label is true; a tie counts in part."""
    best = np.isclose(scores, scores.max(axis=1, keepdims=True))
    return float(((best & truth).sum(axis=1) / best.sum(axis=1)).mean())


def oracle(crowd: Crowd):
    """Log likelihood of each label for somebody who knows everybody's accuracy."""
    right = crowd.accuracy[crowd.annotators]
    weight = np.log(right * (crowd.truth.shape[1] - 1) / (1 - right))
    scores = np.zeros(crowd.truth.shape)
    np.add.at(scores, crowd.tracks, crowd.answers.labels * weight[:, None])
    return scores


class TestCrowds:
    def test_it_is_nearly_as_good_as_an_oracle_and_beats_the_votes(self):
        rows = []
        for seed in range(6):
            crowd = crowd_with_spammers(seed)
            votes, _ = count_votes(crowd.answers, crowd.tracks, len(crowd.truth))
            scores = fitted(crowd, ONE).probabilities, oracle(crowd), votes.astype(float)
            rows.append([share_right(one, crowd.truth) for one in scores])
        found, known, votes_right = np.mean(rows, axis=0)
        assert found > known - 0.03
        assert found > votes_right + 0.06

    def test_label_by_label_methods_leave_tracks_without_any_label(self):
        crowd = crowd_with_spammers(0)
        size = len(crowd.truth), crowd.n_people
        old = one_coin(crowd.answers, crowd.tracks, crowd.annotators, *size).hard()
        assert (~old.labels.any(axis=1)).mean() > 0.25
        new = fitted(crowd, ONE).settled()
        is_firm_no = (new.label_mask & ~new.labels).all(axis=1)
        assert is_firm_no.mean() < 0.01

    def test_probabilities_are_calibrated(self):
        found, truth = [], []
        for seed in range(4):
            crowd = crowd_with_spammers(seed)
            consensus = fitted(crowd, ONE)
            overlapped = np.bincount(crowd.tracks) > 1
            found.append(consensus.probabilities[overlapped])
            truth.append(crowd.truth[overlapped])
        p, is_true = np.concatenate(found).ravel(), np.concatenate(truth).ravel()
        for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.0)):
            inside = (p >= low) & (p <= high)
            assert is_true[inside].mean() == pytest.approx(p[inside].mean(), abs=0.07)

    def test_without_limits_the_answers_show_that_there_is_one_label(self):
        crowd = crowd_with_spammers(1)
        np.testing.assert_array_equal(
            fitted(crowd).probabilities, fitted(crowd, ONE).probabilities
        )


class TestTwoCurators:
    @pytest.mark.parametrize("accuracy", [(0.8, 0.8), (0.9, 0.75), (0.95, 0.9)])
    @pytest.mark.parametrize("replaces", [True, False])
    @pytest.mark.parametrize("limits", [FacetLimits(1, 2), FacetLimits()])
    def test_positives_are_kept(self, accuracy, replaces, limits):
        crowds = [
            curators_of_label_sets(seed, 400, 30, accuracy, replaces=replaces)
            for seed in range(3)
        ]
        found = [fitted(crowd, limits).probabilities.sum() for crowd in crowds]
        true = [crowd.truth.sum() for crowd in crowds]
        assert sum(found) == pytest.approx(sum(true), rel=0.05)

    def test_votes_lose_a_third_of_them(self):
        crowd = curators_of_label_sets(0, 400, 30, (0.8, 0.8))
        size = len(crowd.truth), crowd.n_people
        old = one_coin(crowd.answers, crowd.tracks, crowd.annotators, *size)
        assert old.probabilities.sum() < 0.75 * crowd.truth.sum()

    def test_disagreement_stays_open(self):
        crowd = curators_of_label_sets(0, 400, 30, (0.8, 0.8))
        consensus = fitted(crowd, FacetLimits(1, 2))
        first, second = crowd.answers.labels[:400], crowd.answers.labels[400:]
        found = consensus.settled()
        no = found.label_mask & ~found.labels
        assert (no & (first ^ second)).sum() < 0.02 * (first ^ second).sum()
        assert consensus.people.values == pytest.approx([0.8, 0.8], abs=0.05)

    def test_two_who_disagree_on_the_only_track_are_both_right_by_half(self):
        one = facet_consensus(
            judged([[1, 0, 0], [0, 1, 0]]), np.array([0, 0]), np.array([0, 1]), 1, 2
        )
        assert one.probabilities[0, :2] == pytest.approx([0.5, 0.5], abs=0.05)
        assert not one.settled().label_mask[0, :2].any()


class TestWhatMustNotChange:
    def test_one_answer_stays_as_it_is(self):
        crowd = crowd_with_spammers(0)
        consensus = fitted(crowd, ONE)
        single = np.flatnonzero(np.bincount(crowd.tracks, minlength=700) == 1)
        rows = np.flatnonzero(np.isin(crowd.tracks, single))
        np.testing.assert_array_equal(
            consensus.probabilities[crowd.tracks[rows]], crowd.answers.labels[rows]
        )

    def test_single_answers_alone_have_no_soft_targets(self):
        answers = judged([[1, 1, 0], [0, 0, 1]])
        found = facet_consensus(answers, np.array([2, 0]), np.array([0, 0]), 3, 1).settled()
        assert found.soft is None
        assert found.labels.tolist() == [[0, 0, 1], [0, 0, 0], [1, 1, 0]]
        assert found.label_mask.any(axis=1).tolist() == [True, False, True]

    @pytest.mark.parametrize(
        "crowd",
        [crowd_with_spammers(3, 200), curators_of_label_sets(3, 200, 12, (0.9, 0.8, 0.7))],
    )
    def test_names_of_people_and_labels_do_not_matter(self, crowd):
        rng = np.random.default_rng(0)
        people = rng.permutation(crowd.n_people)
        labels = rng.permutation(crowd.truth.shape[1])
        rows = rng.permutation(crowd.answers.n_tracks)
        first = fitted(crowd)
        again = facet_consensus(
            judged(crowd.answers.labels[rows][:, labels]),
            crowd.tracks[rows],
            people[crowd.annotators[rows]],
            len(crowd.truth),
            crowd.n_people,
        )
        np.testing.assert_allclose(
            again.probabilities, first.probabilities[:, labels], atol=1e-7
        )
        np.testing.assert_allclose(again.people.values[people], first.people.values, atol=1e-7)
        np.testing.assert_allclose(again.people.errors[people], first.people.errors, rtol=1e-5)

    def test_repeated_runs_are_equal(self):
        crowd = curators_of_label_sets(1, 300, 20, (0.9, 0.7))
        np.testing.assert_array_equal(fitted(crowd).probabilities, fitted(crowd).probabilities)


class TestKindsOfFacets:
    def test_a_facet_with_many_labels_has_hits_and_false_positives(self):
        rng = np.random.default_rng(0)
        truth = rng.random((300, 40)) < 0.3
        hits, false = np.array([0.9, 0.7, 0.8]), np.array([0.02, 0.1, 0.05])
        chance = np.where(truth[None], hits[:, None, None], false[:, None, None])
        said = judged((rng.random(chance.shape) < chance).reshape(-1, 40))
        who, which = np.repeat(np.arange(3), 300), np.tile(np.arange(300), 3)
        found = facet_consensus(said, which, who, 300, 3)
        assert ((found.probabilities > 0.5) == truth).mean() > 0.96
        assert found.probabilities.sum() == pytest.approx(truth.sum(), rel=0.05)
        true = truth.sum() * hits
        agreement = 2 * true / (truth.sum() + true + (~truth).sum() * false)
        assert found.people.values == pytest.approx(agreement, abs=0.03)

    def test_open_blanks_do_not_make_a_yes_disputed(self):
        """Two catalogues that list only what applies, each with another label."""
        given = np.array([[1, 0, 0], [0, 1, 0]], dtype=bool)
        answers = LabelMatrix(given, given)
        found = facet_consensus(answers, np.array([0, 0]), np.array([0, 1]), 1, 2)
        assert found.probabilities[0].tolist() == [1, 1, 0]
        assert found.label_mask[0].tolist() == [True, True, False]

    def test_but_in_a_facet_of_one_label_they_do(self):
        given = np.array([[1, 0, 0], [0, 1, 0]], dtype=bool)
        answers = LabelMatrix(given, given)
        found = facet_consensus(answers, np.array([0, 0]), np.array([0, 1]), 1, 2, ONE)
        assert found.probabilities[0, :2] == pytest.approx([0.5, 0.5], abs=0.01)

    def test_a_label_that_was_not_on_offer_is_no_evidence_against_it(self):
        """Two name rock before pop was on offer, a third names pop later."""
        rock, pop = [1, 0, 0], [0, 1, 0]
        mask = np.array([[1, 0, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
        people, where = np.arange(3), np.zeros(3, dtype=int)
        given = np.array([rock, rock, pop], dtype=bool)
        late = facet_consensus(LabelMatrix(given, mask), where, people, 1, 3, ONE)
        always = facet_consensus(judged(given), where, people, 1, 3, ONE)
        assert late.probabilities[0, 1] > 0.5 > always.probabilities[0, 1]

    def test_a_facet_with_one_label_is_yes_or_no(self):
        answers = judged([[1], [1], [0], [1], [0]])
        where, people = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 2])
        found = facet_consensus(answers, where, people, 2, 3)
        assert found.probabilities[0, 0] > 0.7
        assert 0.05 < found.probabilities[1, 0] < found.probabilities[0, 0] + 0.1

    def test_none_can_win(self):
        answers = judged([[0, 0], [0, 0], [0, 1]])
        where, people = np.zeros(3, dtype=int), np.arange(3)
        found = facet_consensus(answers, where, people, 1, 3, FacetLimits(0, 1))
        assert found.probabilities.sum() < 0.4

    def test_no_answers_and_bad_indices(self):
        nothing = judged(np.zeros((0, 3)))
        empty = np.zeros(0, dtype=int)
        assert not facet_consensus(nothing, empty, empty, 2, 1).label_mask.any()
        with pytest.raises(ParameterError, match="annotators"):
            facet_consensus(judged([[1]]), np.array([0]), np.array([2]), 1, 2)
        with pytest.raises(ParameterError, match="negative"):
            FacetLimits(-1)


def test_settled_labels_are_yes_no_or_open():
    found = settled_labels(np.array([[0.8, 0.79, 0.06, 0.05, np.nan]]))
    assert found.labels.tolist() == [[True, False, False, False, False]]
    assert found.label_mask.tolist() == [[True, False, False, True, False]]
    assert found.soft is not None
    assert np.isnan(found.soft[0, 4])


def test_plurality_names_as_many_labels_as_the_answers_do():
    answers = judged([[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
    found = plurality(answers, np.array([0, 0, 0, 1, 2]), 4)
    assert found.labels.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert found.label_mask.all(axis=1).tolist() == [True, True, True, False]


def test_plurality_beats_the_majority_where_there_is_one_label():
    crowd = crowd_with_spammers(0)
    n = len(crowd.truth)
    by_plurality = plurality(crowd.answers, crowd.tracks, n)
    by_majority = majority(crowd.answers, crowd.tracks, n)
    right = [
        (found.labels & crowd.truth).any(axis=1).mean() for found in (by_plurality, by_majority)
    ]
    assert right[0] > right[1] + 0.1
