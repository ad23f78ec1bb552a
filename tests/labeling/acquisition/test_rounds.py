"""Ranking: the tracks of a round, their order, and the switch to the new round."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone

from labeling.errors import QueueEmpty
from labeling.loop import desk
from labeling.loop.acquisition import explanations, rounds
from labeling.loop.events import record
from labeling.loop.events.answers import FacetAnswer
from labeling.loop.serving import leases, serve
from labeling.models import (
    AudioFile,
    AudioRoot,
    GuidelineVersion,
    Presentation,
    QueueItem,
    Round,
)
from ml.acquisition.strategies import Pool
from ml.types import LabelMatrix
from tests.answers import day, say
from tests.factories import make_annotator, make_labels, make_library, make_track

pytestmark = pytest.mark.django_db


@pytest.fixture
def library():
    return make_library()


@pytest.fixture
def labels(library):
    return make_labels(library)


@pytest.fixture
def ann(library):
    return make_annotator(library, "Ann")


def new_round(library, **options):
    round_ = rounds.build_round(library, **options)
    rounds.switch(round_)
    return round_


def asked(round_):
    return set(round_.items.filter(stratum="acquire").values_list("track_id", flat=True))


class TestCandidates:
    def test_audit_tracks_and_those_a_person_judged_are_out(self, library, labels, ann):
        audit, judged, legacy_only, nobody = (
            make_track(library, is_audit=number == 0) for number in range(4)
        )
        say(ann, judged, labels[:1], offered=labels, at="2024-01-01")
        catalogue = make_annotator(library, kind="legacy")
        for track in (audit, legacy_only):
            say(catalogue, track, labels[:1], offered=labels, kind="imported")
        fresh, older = rounds.candidates(library)
        assert fresh.tolist() == [legacy_only.pk, nobody.pk]
        assert older.tolist() == []

    def test_what_is_before_somebody_is_out_until_it_comes_back(self, library, ann):
        tracks = {make_track(library).pk for _ in range(3)}
        shown = desk.next_tracks(ann)[0]
        assert set(rounds.candidates(library)[0].tolist()) == tracks - {shown.track_id}
        leases.release(shown)
        assert set(rounds.candidates(library)[0].tolist()) == tracks

    def test_answers_under_an_older_guideline_come_last(self, library, labels, ann):
        judged, fresh = make_track(library), make_track(library)
        say(ann, judged, labels[:1], offered=labels, at="2024-01-01")
        GuidelineVersion.objects.create(
            library=library, number=1, text="new", published_at=day("2025-01-01")
        )
        items = list(new_round(library).items.order_by("rank"))
        assert [item.track_id for item in items] == [fresh.pk, judged.pk]
        assert items[1].reason == "judged before guideline 1 was in force"

    def test_what_was_judged_before_is_put_before_the_same_annotator(
        self, library, labels, ann
    ):
        judged = make_track(library)
        first = say(ann, judged, labels[:1], offered=labels, at="2024-01-01")
        with pytest.raises(QueueEmpty):
            desk.next_tracks(ann)
        GuidelineVersion.objects.create(
            library=library, number=1, text="new", published_at=day("2025-01-01")
        )
        new_round(library)
        shown = desk.next_tracks(ann)[0]
        assert (shown.track_id, shown.strategy) == (judged.pk, "new-guideline")
        again = desk.save(
            record.Submission(
                track=judged,
                annotator=ann,
                answers=[FacetAnswer(labels[0].facet_id, {labels[1].pk: 1})],
                presentation=shown,
            )
        ).annotation
        assert (again.kind, again.guideline.number) == ("judgement", 1)
        assert again.pk != first.pk
        assert new_round(library).items.count() == 0
        with pytest.raises(QueueEmpty):
            desk.next_tracks(ann)

    def test_what_was_judged_again_meanwhile_is_not_asked_of_the_same_annotator(
        self, library, labels, ann
    ):
        judged = make_track(library)
        say(ann, judged, labels[:1], offered=labels, at="2024-01-01")
        GuidelineVersion.objects.create(
            library=library, number=1, text="new", published_at=day("2025-01-01")
        )
        new_round(library)
        say(ann, judged, labels[1:2], offered=labels, at="2025-02-01", guideline=1)
        with pytest.raises(QueueEmpty):
            desk.next_tracks(ann)

    def test_library_with_audio_asks_for_ready_tracks_only(self, library):
        ready = make_track(library, state="ready")
        for state in ("pending", "unreadable", "missing", "no_audio"):
            make_track(library, state=state)
        assert rounds.candidates(library)[0].tolist() == [ready.pk]


class TestColdStart:
    def test_without_a_model_tracks_are_drawn_at_random_with_a_known_chance(self, library):
        tracks = [make_track(library) for _ in range(12)]
        round_ = new_round(library)
        items = list(round_.items.order_by("rank"))
        assert round_.strategy == "random"
        assert {item.track_id for item in items} == {track.pk for track in tracks}
        assert [item.rank for item in items] == list(range(12))
        assert {item.stratum for item in items[:11]} == {"acquire"}
        assert {item.probability for item in items[:11]} == {11 / 12}
        assert (items[11].stratum, items[11].probability) == ("explore", 1 / 12)
        assert {item.score for item in items} == {None}
        assert items[0].reason == explanations.AT_RANDOM

    def test_a_round_is_bounded(self, library, monkeypatch):
        monkeypatch.setattr(rounds, "MOST_ITEMS", 5)
        for _ in range(12):
            make_track(library)
        round_ = new_round(library)
        assert round_.items.count() == 5
        assert round_.items.first().probability == pytest.approx(5 / 12)

    def test_rounds_draw_differently(self, library):
        for _ in range(12):
            make_track(library)
        orders = [
            list(new_round(library).items.order_by("rank").values_list("track_id", flat=True))
            for _ in range(2)
        ]
        assert orders[0] != orders[1]

    def test_empty_library_makes_an_empty_round(self, library):
        assert new_round(library).items.count() == 0


class TestSwitch:
    @pytest.fixture
    def tracks(self, library):
        return [
            make_track(library, is_audit=n < 8, random_key=10**12 * n + 7) for n in range(24)
        ]

    def test_one_round_is_live_and_numbers_rise(self, library, tracks):
        first, second = new_round(library), new_round(library)
        assert (first.number, second.number) == (1, 2)
        states = dict(Round.objects.values_list("number", "state"))
        assert states == {1: "retired", 2: "live"}

    def test_walks_go_on_where_they_were(self, library, tracks, ann):
        new_round(library)
        assert serve.preview_queue(library, count=24)
        former = serve.live_round(library)
        former.refresh_from_db()
        laid_out = set(
            former.items.filter(stratum__in=["audit", "overlap"], is_open=1).values_list(
                "pk", flat=True
            )
        )
        assert len(laid_out) == 8
        later = new_round(library)
        kept = later.items.filter(stratum__in=["audit", "overlap"])
        assert set(kept.values_list("pk", flat=True)) == laid_out
        assert later.audit_cursor == former.audit_cursor > 0
        assert later.next_rank >= former.next_rank

    def test_no_track_stands_twice_in_a_round(self, library, tracks):
        for _ in range(3):
            new_round(library)
            serve.preview_queue(library, count=24)
        live = serve.live_round(library)
        on_offer = list(live.items.values_list("track_id", flat=True))
        assert len(on_offer) == len(set(on_offer)) == 24

    def test_open_presentation_stays_valid_and_comes_back_when_released(
        self, library, tracks, ann
    ):
        new_round(library)
        shown = desk.next_tracks(ann)[0]
        round_ = new_round(library)
        shown.refresh_from_db()
        assert shown.outcome == "open"
        assert desk.next_tracks(ann)[0].pk == shown.pk
        assert round_.items.filter(track=shown.track_id).count() == 1
        leases.release(shown)
        assert round_.items.get(track=shown.track_id).remaining == 1

    def test_presented_while_the_round_was_built_is_not_offered_twice(
        self, library, tracks, ann
    ):
        new_round(library)
        built = rounds.build_round(library)
        shown = next(one for one in desk.next_tracks(ann, ahead=3) if one.stratum == "acquire")
        assert shown.track_id in asked(built)
        rounds.switch(built)
        item = built.items.get(track=shown.track_id)
        assert (item.pk, item.remaining) == (shown.item_id, 0)

    def test_answered_while_the_round_was_built_is_not_asked(
        self, library, tracks, labels, ann
    ):
        built = rounds.build_round(library)
        say(ann, tracks[20], labels[:1], offered=labels, at="2024-01-01")
        rounds.switch(built)
        assert built.items.get(track=tracks[20]).remaining == 0

    def test_answered_while_the_pool_was_ranked_is_not_asked(
        self, library, tracks, labels, ann, monkeypatch
    ):
        def slowly(*arguments):
            say(ann, tracks[20], labels[:1], offered=labels, at="2024-01-01")

        monkeypatch.setattr(rounds, "warm_pool", slowly)
        built = new_round(library)
        assert built.items.get(track=tracks[20]).remaining == 0
        assert built.items.filter(remaining=0).count() == 1

    def test_half_answered_overlap_is_still_asked_of_others(self, library, tracks, ann):
        former = new_round(library)
        item = QueueItem.objects.create(
            round=former, track=tracks[0], stratum="overlap", strategy="x", rank=0,
            reason="x", needed=2, remaining=1,
        )  # fmt: skip
        later = new_round(library)
        item.refresh_from_db()
        assert (item.round, item.remaining) == (later, 1)

    def test_unfinished_round_of_a_dead_attempt_is_removed(self, library, tracks):
        dead = rounds.build_round(library)
        alive = new_round(library)
        assert not Round.objects.filter(pk=dead.pk).exists()
        assert alive.state == "live"

    def test_old_rounds_keep_only_what_was_presented(self, library, tracks, ann):
        first = new_round(library)
        shown = desk.next_tracks(ann)[0]
        leases.skip(shown, "broken")
        for _ in range(3):
            new_round(library)
        rounds.forget_old_rounds(library)
        kept = list(first.items.values_list("pk", flat=True))
        assert kept in ([shown.item_id], [])
        assert Presentation.objects.get().item_id == shown.item_id


class TestSkips:
    @pytest.fixture
    def track(self, library):
        root = AudioRoot.objects.create(name="root", path="/nowhere")
        audio = AudioFile.objects.create(
            root=root, relative_path="a.mp3", probed_at=timezone.now()
        )
        return make_track(library, audio=audio, state="ready")

    @pytest.fixture
    def _skipped(self, library, track, ann):
        new_round(library)
        leases.skip(desk.next_tracks(ann)[0], "cannot hear it")
        new_round(library)

    @pytest.mark.usefixtures("_skipped")
    def test_next_round_asks_others_only(self, library, track, ann):
        with pytest.raises(QueueEmpty):
            desk.next_tracks(ann)
        ben = make_annotator(library, "Ben")
        assert desk.next_tracks(ben)[0].track_id == track.pk

    @pytest.mark.usefixtures("_skipped")
    def test_other_audio_is_asked_about_anew(self, library, track, ann):
        later = timezone.now() + timedelta(minutes=1)
        AudioFile.objects.filter(pk=track.audio_id).update(probed_at=later)
        assert desk.next_tracks(ann)[0].track_id == track.pk


class TestWords:
    NAMES = ("Ambient", "Drone", "Rock")

    @pytest.fixture
    def pool(self):
        labels = LabelMatrix(np.eye(3, dtype=bool), np.ones((3, 3), dtype=bool))
        return Pool(labelled_mask=np.ones(3, dtype=bool), labels=labels)

    def test_uncertainty_novelty_and_mismatch(self, pool):
        reason = {
            "strategy": "mismatch-first",
            "uncertain": [
                {"label": 1, "probability": 0.48},
                {"label": 0, "probability": 0.44},
                {"label": 2, "probability": 0.02},
            ],
            "mismatch": [0, 1],
            "neighbour": 0,
            "novelty": 0.9,
        }
        assert explanations.explain(reason, self.NAMES, pool, 1) == (
            "nothing like it labelled yet · uncertain between Drone 48 % and Ambient 44 %"
        )

    @pytest.mark.parametrize(
        ("reason", "said"),
        [
            ({"uncertain": [{"label": 2, "probability": 0.5}]}, "uncertain about Rock 50 %"),
            (
                {"mismatch": [2], "neighbour": 0},
                "the model hears Rock, unlike the most similar labelled track",
            ),
            (
                {"mismatch": [0], "neighbour": 0},
                "the most similar labelled track is Ambient, the model does not hear it",
            ),
            ({"uncertain": [], "mismatch": []}, "chosen to spread over the catalogue"),
        ],
    )
    def test_single_reasons(self, pool, reason, said):
        assert explanations.explain(reason, self.NAMES, pool, 0) == said


def test_merged_label_goes_by_the_name_of_what_it_became(library, labels):
    ambient, drone, _ = labels
    uids = [label.uid.hex for label in labels]
    assert explanations.facet_labels(library, uids) == ["Ambient", "Drone", "Rock"]
    ambient.merged_into, ambient.is_active = drone, False
    ambient.save()
    names = explanations.facet_labels(library, uids)
    assert names == ["Drone", "Drone", "Rock"]
    unsure = [{"label": n, "probability": 0.5 - n / 100} for n in range(3)]
    pool = Pool(labelled_mask=np.ones(1, dtype=bool))
    said = explanations.explain({"uncertain": unsure}, names, pool, 0)
    assert said == "uncertain between Drone 50 % and Rock 48 %"
    matrix = LabelMatrix(np.array([[True, False, False]]), np.ones((1, 3), dtype=bool))
    known = Pool(labelled_mask=np.ones(1, dtype=bool), labels=matrix)
    # The neighbour has Drone by another name: there is no mismatch in it.
    said = explanations.explain({"mismatch": [0, 1, 2], "neighbour": 0}, names, known, 0)
    assert said == "the model hears Rock, the most similar labelled track is Drone"


def test_leases_that_ran_out_make_a_track_a_candidate_again(library, ann):
    track = make_track(library)
    shown = desk.next_tracks(ann)[0]
    Presentation.objects.filter(pk=shown.pk).update(
        lease_until=timezone.now() - timedelta(minutes=1)
    )
    leases.expire_leases(library)
    assert rounds.candidates(library)[0].tolist() == [track.pk]


@pytest.mark.parametrize(("retrain_after", "batch"), [(35, 35), (0, 20)])
def test_a_batch_is_what_is_answered_until_the_next_training(library, retrain_after, batch):
    library.retrain_after = retrain_after
    assert rounds.answers_of_a_batch(library) == batch
