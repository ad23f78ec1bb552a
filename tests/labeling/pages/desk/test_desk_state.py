"""State of the desk around a track: figures, the guideline, the loop, last answers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.loop.events import record as event_record
from labeling.loop.events.answers import Vocabulary, parse_answers
from labeling.loop.library import guidelines, libraries
from labeling.loop.serving import serve
from labeling.models import AudioFile, AudioRoot, Job, Receipt
from labeling.views.desk import state as desk_state
from labeling.views.desk.contents import recent_of, said_in_words
from tests.factories import make_labels, make_library, make_track, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def library():
    library = make_library("tiny", audit_share=0, retrain_after=20)
    make_labels(library, "genre", ("Ambient", "Drone", "Rock"))
    make_labels(library, "mood", ("Calm", "Dark"))
    return library


@pytest.fixture
def user(client, library):
    user = make_user("ana", library=library)
    client.force_login(user)
    return user


@pytest.fixture
def ana(library, user):
    return libraries.annotator_of(library, user)


def record(library, ana, *, track=None, own=True, answered_at=None, **said):
    said = {"labels": []} | (said or {"labels": ["Rock"]})
    return event_record.record_annotation(
        event_record.Submission(
            track=track or make_track(library),
            annotator=ana,
            answers=parse_answers(Vocabulary.of(library), **said),
            answered_at=answered_at,
            recorded_by_id=ana.user_id if own else None,
        )
    ).annotation


def put_in_force(library, text="Rock has guitars."):
    guidelines.save_draft(library, text)
    return guidelines.publish(library)


class TestFigures:
    def test_scripted_and_old_answers_are_not_of_today(self, library, ana):
        record(library, ana, own=False)
        record(library, ana, answered_at=timezone.now() - timedelta(days=3))
        record(library, ana)
        assert desk_state.desk_figures(library, ana)["today"] == 1

    def test_home_names_no_scripted_answer(self, client, library, ana):
        record(library, ana, own=False)
        assert "You left off" not in client.get("/").content.decode()
        record(library, ana, track=make_track(library, title="Mine"))
        assert "You left off at <bdi>Mine" in client.get("/").content.decode()

    def test_waiting_is_what_may_be_offered_and_comes_back(self, library, ana):
        round_ = serve.live_round(library)
        tracks = [make_track(library) for _ in range(3)]
        for rank, track in enumerate(tracks):
            round_.items.create(
                track=track, stratum="acquire", strategy="x", reason="x", rank=rank,
                needed=2, remaining=2,
            )  # fmt: skip
        assert desk_state.desk_figures(library, ana)["ranked"] == 3
        done = [record(library, ana, track=track) for track in tracks]
        assert desk_state.desk_figures(library, ana)["ranked"] == 0
        event_record.retract(done[0])
        assert desk_state.desk_figures(library, ana)["ranked"] == 1


class TestGuideline:
    def test_nothing_is_said_without_one(self, client, library, user):
        make_track(library)
        assert client.get("/annotate/tiny/").context["guideline"] is None
        assert "is in force" not in client.get("/").content.decode()

    def test_until_it_is_acknowledged_it_is_said(self, client, library, user):
        make_track(library)
        number = put_in_force(library).number
        for path in ("/annotate/tiny/", "/"):
            page = client.get(path).content.decode()
            assert f"Guideline {number} has been in force since" in page
            assert "/guidelines/tiny/" in page
        body = client.get("/annotate/tiny/state/").json()
        assert body["guideline"]["number"] == number
        answer = client.post(f"/annotate/tiny/guideline/{number}/")
        assert answer.json()["guideline"] is None
        assert Receipt.objects.get().annotator.user == user
        assert "in force since" not in client.get("/").content.decode()

    def test_an_older_one_cannot_be_acknowledged(self, client, library, user):
        first = put_in_force(library)
        put_in_force(library, "Rock has drums.")
        answer = client.post(f"/annotate/tiny/guideline/{first.number}/")
        assert answer.status_code == 400
        assert "another version" in answer.json()["errors"][0]["message"]


class TestLoopLine:
    @pytest.fixture
    def audio(self, library):
        root = AudioRoot.objects.create(name="tones", path="/nowhere")
        audio = AudioFile.objects.create(root=root, relative_path="a.wav", container="wav")
        make_track(library, audio=audio, state="ready")

    def test_nothing_to_learn_from_says_nothing(self, library):
        assert desk_state.loop_line(library) == ""

    def test_answers_are_counted_towards_the_next_training(self, library, ana, audio):
        for _ in range(3):
            record(library, ana)
        assert desk_state.loop_line(library) == "3 of 20 annotations until the next training"

    @pytest.mark.parametrize(
        ("kind", "state", "said"),
        [
            ("train", "running", "training now"),
            ("train", "queued", "the next training is on its way"),
            ("rank", "running", "trained: the queue is being ranked again"),
        ],
    )
    def test_what_is_under_way(self, library, audio, kind, state, said):
        Job.objects.create(library=library, kind=kind, state=state)
        assert desk_state.loop_line(library) == said


class TestSaid:
    @pytest.mark.parametrize(
        ("said", "words"),
        [
            ({"unsure": ["Drone"]}, "Drone ?"),
            ({"negative": ["Rock"]}, "not Rock"),
            ({"completed_facets": ["genre"]}, "none of these: genre"),
            (
                {"labels": ["Drone"], "unsure": ["Calm"], "negative": ["Rock"]},
                "Drone, Calm ?, not Rock",
            ),
            (
                {"labels": ["Drone"], "completed_facets": ["genre", "mood"]},
                "Drone, none of these: mood",
            ),
        ],
    )
    def test_every_kind_of_answer_is_shown(self, library, ana, said, words):
        record(library, ana, **said)
        assert recent_of(ana)[0]["said"] == words

    def test_the_whole_answer_is_there_to_be_restored(self, library, ana):
        record(library, ana, labels=["Drone"], unsure=["Calm"], negative=["Rock"])
        answer = recent_of(ana)[0]["answer"]
        assert answer["labels"] == {"genre": ["Drone"]}
        assert answer["unsure"] == {"mood": ["Calm"]}
        assert answer["negative"] == {"genre": ["Rock"]}
        assert said_in_words(answer) == "Drone, Calm ?, not Rock"


def test_after_logging_in_the_first_window_is_named(client, user):
    page = client.get("/annotate/tiny/back/").content.decode()
    assert "You are logged in again" in page
