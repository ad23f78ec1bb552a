"""A share of what nobody has judged is explored, whatever acquisition takes."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from labeling.loop import desk
from labeling.loop.acquisition import rounds
from labeling.loop.acquisition.rounds import Ranked
from labeling.loop.events import record
from labeling.loop.events.answers import FacetAnswer
from labeling.loop.serving import serve
from labeling.models import Annotation, Judgement, Presentation, Track
from labeling.models.queue import Stratum
from ml.metrics.splits import track_random_key
from tests import factories

pytestmark = pytest.mark.django_db
PREVALENCE = 0.4


@pytest.fixture
def label(library):
    return factories.make_labels(library, names=["Drone"])[0]


@pytest.fixture
def library():
    return factories.make_library(explore_share=0.1)


@pytest.fixture
def truth(library, rng):
    """300 tracks, every fifth an audit track; the labels do not depend on the order."""
    rows = Track.objects.bulk_create(
        [
            Track(
                library=library,
                key=f"{n}.mp3",
                split_group=f"g{n}",
                is_audit=n % 5 == 0,
                random_key=track_random_key("fixed", str(n)),
            )
            for n in range(300)
        ]
    )
    values = rng.random(300) < PREVALENCE
    return {row.pk: bool(value) for row, value in zip(rows, values, strict=True)}


@pytest.fixture
def greedy(monkeypatch, truth):
    """Plant an acquisition that takes all positives first."""

    def positives_first(pool, most, seed):
        chosen = sorted(pool.tolist(), key=lambda pk: not truth[pk])[:most]
        return [Ranked(pk, None, None, "planted", "planted") for pk in chosen]

    monkeypatch.setattr(rounds, "_at_random", positives_first)


def turn(library):
    rounds.switch(rounds.build_round(library))


def answer(annotator, label, truth, n):
    for _ in range(n):
        shown = desk.next_tracks(annotator)[0]
        desk.save(
            record.Submission(
                track=shown.track,
                annotator=annotator,
                answers=[
                    FacetAnswer(label.facet_id, {label.pk: 1} if truth[shown.track_id] else {})
                ],
                presentation=shown,
            )
        )


def explored():
    return list(
        Annotation.objects.filter(stratum=Stratum.EXPLORE)
        .order_by("id")
        .values_list("track_id", flat=True)
    )


def in_walk_order(library):
    rows = library.tracks.filter(is_audit=False).order_by("random_key")
    return list(rows.values_list("pk", flat=True))


def rate(truth, tracks):
    return float(np.mean([truth[pk] for pk in tracks]))


def test_a_tenth_of_the_turns_explores(library, label, truth, greedy):
    turn(library)
    answer(factories.make_annotator(library), label, truth, 100)
    served = Counter(Presentation.objects.values_list("stratum", flat=True))
    # No old tracks of her own to repeat: those four turns go to acquisition.
    assert served == {"acquire": 70, "explore": 10, "audit": 12, "overlap": 8}
    assert explored() == in_walk_order(library)[:10]
    acquired = Presentation.objects.filter(stratum="acquire").values_list("track", flat=True)
    assert rate(truth, acquired) == 1.0  # the plant is real


def test_the_label_rate_of_what_is_explored_is_the_true_one(library, label, truth, greedy):
    ann = factories.make_annotator(library)
    for _ in range(5):  # acquisition has taken nearly all positives in the end
        turn(library)
        answer(ann, label, truth, 30)
    library.serve_audit_share = library.overlap_share = library.repeat_share = 0
    library.explore_share = 1
    library.save()
    ann.library = library
    n_before = len(explored())
    answer(ann, label, truth, 5)
    found = explored()
    assert (n_before, len(found)) == (15, 20)
    assert found == in_walk_order(library)[:20]
    true_rate = rate(truth, in_walk_order(library))
    error = math.sqrt(true_rate * (1 - true_rate) / len(found))
    assert abs(rate(truth, found) - true_rate) <= 2 * error
    rest = set(in_walk_order(library)) - set(Annotation.objects.values_list("track", flat=True))
    assert rate(truth, rest) < true_rate / 2  # a draw from what is left would be bent
    assert Judgement.objects.count() > 0


def test_the_chance_of_both_draws_is_kept(library, truth):
    turn(library)
    live = serve.live_round(library)
    kept = live.items.order_by().values_list("stratum", "strategy", "probability").distinct()
    assert set(kept) == {
        ("explore", "random-walk", 24 / 240),
        ("acquire", "random", 216 / 240),
    }
    assert live.strategy == "random"


def test_what_is_explored_stays_the_same_from_round_to_round(library, truth):
    turn(library)
    first = set(serve.live_round(library).items.filter(stratum="explore").values_list("track"))
    turn(library)
    live = serve.live_round(library)
    assert set(live.items.filter(stratum="explore").values_list("track")) == first
    assert live.items.count() == 240


def test_nothing_is_set_aside_where_nothing_is_to_be_explored(library, truth):
    library.explore_share = 0
    library.save()
    turn(library)
    strata = serve.live_round(library).items.values_list("stratum", flat=True)
    assert Counter(strata) == {"acquire": 240}


def test_a_large_pool_sets_aside_a_share_of_the_round(library, truth, monkeypatch):
    monkeypatch.setattr(rounds, "MOST_ITEMS", 50)
    turn(library)
    strata = serve.live_round(library).items.values_list("stratum", flat=True)
    assert Counter(strata) == {"acquire": 45, "explore": 5}
