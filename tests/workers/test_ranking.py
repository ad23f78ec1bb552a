"""Ranking by a model whose labels have changed since it was trained."""

from __future__ import annotations

import numpy as np
import pytest

from labeling.loop import predictions
from labeling.loop.acquisition import pool, rounds
from labeling.loop.datasets import snapshots
from labeling.loop.datasets.selection import Selection
from labeling.loop.registry import models
from labeling.models import Label, Round, Snapshot, Track
from tests.answers import say
from tests.factories import make_annotator, make_labels
from tests.planted_library import plant
from tests.workers.rounds.world import round_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def planted():
    planted = plant()
    round_of(planted.library)
    return planted


def pool_of(planted):
    fresh, _ = pool.candidates(planted.library)
    warm = pool.warm_pool(planted.library, fresh, 1)
    assert warm is not None
    return warm


def known_yes(warm):
    known = warm.pool.labelled_mask
    matrix = warm.pool.labels
    return (matrix.labels & matrix.label_mask)[known].sum(axis=0)


def test_snapshot_taken_by_hand_does_not_change_the_ranking(planted):
    before = pool_of(planted)
    moods = make_labels(planted.library, "mood", ("Calm", "Wild"))
    for number in range(16, 40):
        say(
            planted.legacy, planted.tracks[number], [moods[number % 2]], offered=moods,
            kind="imported",
        )  # fmt: skip
    snapshots.take_snapshot(planted.library, Selection(facets=("mood",)))
    assert Snapshot.objects.count() == 2
    after = pool_of(planted)
    assert np.array_equal(known_yes(after), known_yes(before))
    assert known_yes(after).min() > 0
    round_of(planted.library)
    live = Round.objects.get(state="live")
    strategies = set(live.items.filter(stratum="acquire").values_list("strategy", flat=True))
    assert "random" not in strategies


def test_track_that_has_become_audit_is_not_compared_with(planted):
    known = pool_of(planted)
    moved = known.track_ids[known.pool.labelled_mask][:5]
    Track.objects.filter(pk__in=moved.tolist()).update(is_audit=True)
    assert not np.isin(moved, pool_of(planted).track_ids).any()


def test_label_merged_after_the_training_is_suggested_once_under_its_new_name(planted):
    ambient, drone, _ = planted.labels
    Label.objects.filter(pk=ambient.pk).update(merged_into=drone, is_active=False)
    assert ambient.uid.hex in models.champion_of(planted.library).label_uids
    suggested = predictions.suggestions_for(
        planted.library, [track.pk for track in planted.tracks]
    )
    names = [[one["label"] for one in rows] for rows in suggested.values()]
    assert all(len(row) == len(set(row)) for row in names)
    assert {name for row in names for name in row} == {"Drone", "Rock"}
    first = suggested[planted.tracks[15].pk]  # Ambient and Drone by its features
    assert first[0]["label"] == "Drone"
    assert pool_of(planted).pool.probabilities.shape[1] == 3


def test_reasons_of_a_new_round_name_the_merged_label_by_its_new_name(planted):
    ambient, drone, _ = planted.labels
    Label.objects.filter(pk=ambient.pk).update(merged_into=drone, is_active=False)
    ann = make_annotator(planted.library, "ann")
    say(ann, planted.tracks[30], [drone], offered=planted.labels, at="2025-01-01")
    reasons = [one.reason for one in rounds.rank(planted.library)]
    assert reasons
    assert not [reason for reason in reasons if "Ambient" in reason]


def test_the_queue_is_ranked_in_batches_of_the_answers_until_the_next_training(
    planted, monkeypatch
):
    asked = []
    choose = rounds.strategies.choose_tracks

    def spy(*args, **options):
        asked.append(options["batch"])
        return choose(*args, **options)

    monkeypatch.setattr(rounds.strategies, "choose_tracks", spy)
    planted.library.retrain_after = 7
    assert rounds.rank(planted.library, seed=1)
    assert asked == [7]
