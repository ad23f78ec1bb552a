"""Labels that a model must know to replace the champion, and the answers it learns from."""

from __future__ import annotations

import shutil

import pytest

from labeling.loop import retraining
from labeling.loop.registry import models, promotion
from labeling.models import Label, ModelVersion, PromotionEvent, Track, TrainingRun
from tests.answers import say
from tests.factories import make_annotator, make_labels
from tests.planted_library import catalogue, plant
from tests.workers.rounds.world import round_of, run

pytestmark = pytest.mark.django_db


def refusal():
    event = PromotionEvent.objects.first()
    return event.kind, event.reason


@pytest.fixture
def planted():
    """A library with genres and two moods on every track, and a model of all five labels."""
    planted = plant()
    moods = make_labels(planted.library, "mood", ("Calm", "Wild"))
    for number, track in enumerate(planted.tracks):
        say(planted.legacy, track, [moods[number % 2]], offered=moods, kind="imported")
    round_of(planted.library)
    planted.moods = moods
    return planted


def train_genres(planted):
    """Train on one facet; return the number of the champion after it."""
    assert run("train", planted.library, "--facet", "genre", "--inline")["model_version"] == 2
    return models.champion_of(planted.library).number


def test_model_of_one_facet_does_not_replace_one_of_two(planted):
    assert train_genres(planted) == 1
    assert refusal() == ("refused", "it knows 3 of the 5 labels of the champion")
    event = PromotionEvent.objects.first()
    assert event.figures["lost"] == sorted(label.uid.hex for label in planted.moods)


def test_model_without_a_common_label_is_refused(planted):
    champion = models.champion_of(planted.library)
    # As if the champion had been trained on the moods alone.
    uids = [label.uid.hex for label in planted.moods]
    ModelVersion.objects.filter(pk=champion.pk).update(label_uids=uids)
    assert train_genres(planted) == 1
    assert refusal()[1] == "it knows none of the 2 labels of the champion"


@pytest.mark.parametrize("how", ["inactive", "merged"])
def test_labels_that_left_the_taxonomy_are_not_missed(planted, how):
    calm, wild = planted.moods
    rows = Label.objects.filter(facet=calm.facet)
    if how == "merged":
        rows.filter(pk=wild.pk).update(merged_into=calm, is_active=False)
        assert round_of(planted.library)["promoted"]
        assert models.champion_of(planted.library).number == 2
    else:
        rows.update(is_active=False)
        assert train_genres(planted) == 2


def test_label_that_lost_its_support_is_not_missed(planted):
    calm, wild = planted.moods
    for track in planted.tracks:
        say(
            planted.legacy, track, [calm], offered=planted.moods, kind="imported",
            at="2020-01-01",
        )  # fmt: skip
    answer = round_of(planted.library)
    champion = models.champion_of(planted.library)
    assert (champion.number, answer["promoted"]) == (2, True)
    assert wild.uid.hex not in champion.label_uids


def test_model_is_replaced_when_all_its_labels_have_gone(planted):
    champion = models.champion_of(planted.library)
    uids = [label.uid.hex for label in planted.moods]
    ModelVersion.objects.filter(pk=champion.pk).update(label_uids=uids)
    Label.objects.filter(facet=planted.moods[0].facet).update(is_active=False)
    assert train_genres(planted) == 2


def test_what_has_become_audit_since_is_not_learnt_from():
    planted = plant()
    round_of(planted.library)
    moved = [planted.tracks[number].pk for number in (20, 21)]
    Track.objects.filter(pk__in=moved).update(is_audit=True)
    answer = run("train", planted.library, "--snapshot", "1", "--inline")
    assert answer["model_version"] == 2
    facts = TrainingRun.objects.order_by("id").last().config
    assert (facts["tracks"], facts["audit_tracks"]) == (42, 18)
    assert answer["metrics"]["n"] == 16  # the answers of the snapshot measure


def test_what_has_left_the_audit_side_since_is_not_learnt_from():
    planted = plant()
    round_of(planted.library)
    Track.objects.filter(pk=planted.tracks[0].pk).update(is_audit=False)
    run("train", planted.library, "--snapshot", "1", "--inline")
    assert TrainingRun.objects.get().config["tracks"] == 44


@pytest.mark.parametrize("n_audit", [0, 4])
def test_what_no_audit_track_has_measured_waits_for_a_person(n_audit):
    planted = plant(n_audit=n_audit, answers=False)
    catalogue(planted, range(n_audit, 60))
    answer = round_of(planted.library)
    assert (answer["model_version"], answer["promoted"]) == (1, False)
    assert refusal() == ("refused", promotion.UNMEASURED)
    assert sum(answer["queue"].values()) > 0
    first = ModelVersion.objects.get()
    retraining.roll_back(first)
    catalogue(planted, range(10, 30), annotator=make_annotator(planted.library), shift=1)
    answer = round_of(planted.library)
    assert (answer["model_version"], answer["promoted"]) == (2, False)
    assert models.champion_of(planted.library) == first


def test_first_audit_answers_let_the_next_model_in():
    planted = plant(answers=False)
    catalogue(planted, range(16, 60))
    assert not round_of(planted.library)["promoted"]
    catalogue(planted, range(1))  # one track: no label is both given and not given
    assert not round_of(planted.library)["promoted"]
    assert refusal() == ("refused", promotion.ONE_SIDED)
    catalogue(planted, range(1, 3))
    answer = round_of(planted.library)
    assert (answer["model_version"], answer["promoted"]) == (3, True)


def test_what_was_measured_by_its_own_selection_waits():
    planted = plant()
    round_of(planted.library)
    ben = make_annotator(planted.library, "Ben")
    catalogue(planted, range(60), annotator=ben, shift=1, kind="judgement", at="2024-01-01")
    answer = run("train", planted.library, "--annotators", "ben", "--inline")
    assert answer["model_version"] == 2
    assert models.champion_of(planted.library).number == 1
    assert refusal() == ("refused", promotion.SELECTED)


def test_model_whose_files_are_lost_is_trained_anew():
    planted = plant()
    round_of(planted.library)
    shutil.rmtree(models.model_folder_of(models.champion_of(planted.library)))
    answer = run("train", planted.library, "--inline")
    assert answer["model_version"] == 2
    champion = models.champion_of(planted.library)
    assert (champion.number, models.has_files(champion)) == (2, True)
    assert "cannot be compared" in PromotionEvent.objects.first().reason
