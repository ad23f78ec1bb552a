"""Reliability of annotators: in crowds, in the report and on its order."""

from __future__ import annotations

import numpy as np
import pytest

from labeling.loop.consistency import agreement, cache
from labeling.loop.consistency.answer_matrices import FacetAnswers
from labeling.loop.consistency.reliability import annotator_reliability, shared_support
from labeling.models import AgreementFigures
from ml.simulation.crowds import crowd_with_spammers
from tests.factories import make_annotator, make_labels, make_library, make_track
from tests.labeling.histories import offer, say

pytestmark = pytest.mark.django_db


class Studio:
    """A library in which people label twelve tracks, each with one label."""

    def __init__(self):
        self.library = make_library("studio")
        self.labels = make_labels(self.library)
        self.offered = offer(self.labels)
        self.tracks = [make_track(self.library) for _ in range(12)]

    def all_say(self, name, label_of):
        who = make_annotator(self.library, name)
        for n, track in enumerate(self.tracks):
            say(who, track, [self.labels[label_of(n)]], offered=self.offered)
        return who

    def rows(self):
        return agreement.report(self.library)["annotators"]


@pytest.fixture
def studio():
    return Studio()


def test_it_needs_three_voices_and_finds_the_odd_one(studio):
    studio.all_say("ana", lambda n: n % 3)
    studio.all_say("ben", lambda n: n % 3)
    assert {row["reliability"] for row in studio.rows()} == {None}
    assert {row["reliability_interval"] for row in studio.rows()} == {None}
    assert {row["support"] for row in studio.rows()} == {12}
    studio.all_say("cora", lambda n: 2)
    by_name = {row["annotator"]: row for row in studio.rows()}
    assert by_name["ana"]["reliability"] == by_name["ben"]["reliability"]
    assert by_name["ana"]["reliability"] > 0.9 > by_name["cora"]["reliability"]
    assert 0 < by_name["cora"]["reliability"] < 0.6
    low, high = by_name["cora"]["reliability_interval"]
    assert low < 1 / 3 < by_name["cora"]["reliability"] < high


def test_the_most_reliable_come_first_and_the_unknown_last(studio):
    studio.all_say("cora", lambda n: 2)
    for name in ("ana", "ben", "dan"):
        studio.all_say(name, lambda n: n % 3)
    new = make_annotator(studio.library, "aaron")
    say(new, studio.tracks[0], [studio.labels[0]], offered=studio.offered)
    rows = studio.rows()
    assert [row["annotator"] for row in rows] == ["ana", "ben", "dan", "cora", "aaron"]
    assert (rows[-1]["reliability"], rows[-1]["support"]) == (None, 1)


def test_figures_of_an_earlier_method_are_computed_again(studio):
    studio.all_say("ana", lambda n: n % 3)
    cache.refresh(studio.library)
    assert cache.kept_figures(studio.library).is_current
    AgreementFigures.objects.update(made_of="by an earlier method")
    assert not cache.kept_figures(studio.library).is_current


def test_limits_of_a_facet_are_part_of_the_inputs(studio):
    before = cache.inputs_hash(studio.library)
    studio.library.facets.update(max_labels=1)
    assert cache.inputs_hash(studio.library) != before


def test_spammers_are_last_and_good_people_do_not_suffer_from_them():
    crowd = crowd_with_spammers(2)
    days = np.full(len(crowd.tracks), np.nan)
    facet = FacetAnswers(
        0, list(range(10)), crowd.annotators, crowd.tracks, days, crowd.answers
    )
    found, support = annotator_reliability([facet]), shared_support([facet])
    order = sorted(found, key=lambda one: found[one].value)
    assert set(order[:3]) == {0, 1, 2}
    share, _ = crowd.shares_right()
    enough = [one for one in found if support[one] >= 60]
    assert len(enough) >= 8
    for one in enough:
        assert found[one].value == pytest.approx(share[one], abs=0.12)
    inside = [found[one].low <= crowd.accuracy[one] <= found[one].high for one in found]
    assert np.mean(inside) >= 0.9
