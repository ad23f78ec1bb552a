"""Trust in a trained model, in suggestions, in reasons and in words on pages."""

from __future__ import annotations

import pytest

from labeling.loop import predictions
from labeling.loop.acquisition import explanations
from labeling.loop.registry import models
from labeling.loop.registry.trust import trust_in
from labeling.models import Evaluation
from labeling.views.desk import state
from ml.constants import OTHERS
from tests.planted_library import plant
from tests.workers.rounds.world import round_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def planted():
    planted = plant(n_tracks=90, n_audit=40)
    round_of(planted.library)
    return planted


@pytest.fixture
def champion(planted):
    return models.champion_of(planted.library)


def test_planted_labels_are_trusted_and_suggested(planted, champion):
    found = trust_in(champion)
    assert found.is_better
    assert found.labels == {label.uid.hex for label in planted.labels}
    assert predictions.suggestions_for(planted.library, [planted.tracks[60].pk])
    assert predictions.why_few(planted.library) == ""
    assert "suggestions" not in state.loop_line(planted.library)


def test_a_model_of_an_earlier_version_is_measured_by_its_record(champion):
    stored = trust_in(champion)
    champion.metrics = {"n": 40, "bce_skill": 0.9, "labels": [{"label_uid": "x"}]}
    computed = trust_in(champion)
    assert computed.labels == stored.labels
    assert computed.interval == pytest.approx(stored.interval)
    Evaluation.objects.update(folder="", sha256="0" * 64)
    assert trust_in(champion).labels == frozenset()
    assert trust_in(champion).skill is None


def test_labels_that_are_guessed_are_named_nowhere(planted, champion):
    first, second, third = planted.labels
    for row in champion.metrics["labels"]:
        row["is_better"] = row["label_uid"] == first.uid.hex
    champion.save()
    known = {
        one["label"]
        for shown in predictions.suggestions_for(
            planted.library, [track.pk for track in planted.tracks]
        ).values()
        for one in shown
    }
    assert known == {first.name}
    names = explanations.trusted_names(planted.library, champion, champion.label_uids)
    assert sorted(names) == sorted([first.name, OTHERS, OTHERS])
    assert f"not known to be better than guessing on {second.name}, {third.name} yet" in (
        predictions.why_few(planted.library)
    )
    assert "suggestions for 1 of 3 labels" in state.loop_line(planted.library)


def test_nothing_is_suggested_where_the_whole_model_is_not_better(planted, champion):
    champion.metrics["headline"]["intervals"]["skill"] = [-0.1, 0.2]
    champion.save()
    assert predictions.suggestions_for(planted.library, [planted.tracks[60].pk]) == {}
    assert set(explanations.trusted_names(planted.library, champion, champion.label_uids)) == {
        OTHERS
    }
    assert "no suggestions: the model is not known to be better than guessing" in (
        state.loop_line(planted.library)
    )
