"""The annotation page without scripts: a plain form that does everything that matters."""

from __future__ import annotations

import pytest

from labeling.loop.events import record
from labeling.loop.events.answers import Vocabulary
from labeling.loop.library import libraries
from labeling.models import (
    Annotation,
    CurrentAnswer,
    Facet,
    Label,
    LabelAlias,
    Presentation,
)
from tests.factories import make_labels, make_library, make_track, make_user

pytestmark = pytest.mark.django_db
NAMES = ("Ambient", "Drone", "Rock")


@pytest.fixture
def library():
    library = make_library("tiny")
    make_labels(library, "genre", NAMES)
    make_labels(library, "mood", ("Calm", "Dark"))
    return library


@pytest.fixture
def tracks(library):
    return [make_track(library, title=f"Title {n}") for n in range(4)]


@pytest.fixture
def ana(client, library):
    user = make_user("ana", library=library)
    client.force_login(user)
    return user


def desk(client):
    return client.get("/annotate/tiny/")


def label(name):
    return Label.objects.get(name=name).pk


def send(client, page, **said):
    item = page.context["item"]
    return client.post(
        "/annotate/tiny/",
        {"presentation": item["presentation"], "key": page.context["key"], **said},
    )


def held(library, user, track):
    annotator = libraries.annotator_of(library, user)
    return record.stored_answer(Vocabulary.of(library), annotator, track)


def test_it_works(client, ana, library, tracks):
    page = desk(client)
    assert page.status_code == 200
    answer = send(client, page, label=[label("Drone"), label("Calm")], note="low end")
    assert answer.status_code == 302
    annotation = Annotation.objects.get()
    assert (annotation.kind, annotation.note) == ("judgement", "low end")
    said = held(library, ana, annotation.track)
    assert said["labels"] == {"genre": ["Drone"], "mood": ["Calm"]}
    assert sorted(said["completed_facets"]) == ["genre", "mood"]
    assert Presentation.objects.get(pk=annotation.presentation_id).outcome == "answered"


def test_the_same_track_stays_until_it_is_answered(client, ana, tracks):
    first, second = desk(client), desk(client)
    assert first.context["item"]["track"]["id"] == second.context["item"]["track"]["id"]
    assert Presentation.objects.count() == 1


def test_after_an_answer_another_track_comes(client, ana, tracks):
    first = desk(client)
    send(client, first, label=[label("Rock")])
    assert desk(client).context["item"]["track"]["id"] != first.context["item"]["track"]["id"]


def test_none_of_these_completes_an_empty_facet(client, ana, library, tracks):
    mood = Facet.objects.get(library=library, name="mood")
    send(client, desk(client), label=[label("Rock")], complete=[mood.pk])
    row = CurrentAnswer.objects.get(facet=mood)
    assert row.answer.is_complete
    assert row.answer.judgements.count() == 0


def test_an_untouched_facet_is_not_judged(client, ana, tracks):
    send(client, desk(client), label=[label("Rock")])
    assert CurrentAnswer.objects.filter(facet__name="mood").count() == 0


def test_nothing_chosen_is_refused_with_words(client, ana, tracks):
    send(client, desk(client))
    assert b"at least one label" in desk(client).content
    assert Annotation.objects.count() == 0


def test_too_many_labels_are_refused(client, ana, library, tracks):
    Facet.objects.filter(library=library, name="genre").update(max_labels=1)
    page = desk(client)
    assert b"at most 1" in page.content
    send(client, page, label=[label("Rock"), label("Drone")])
    assert Annotation.objects.count() == 0


def test_the_form_sent_twice_is_one_answer(client, ana, tracks):
    page = desk(client)
    for _ in range(2):
        send(client, page, label=[label("Rock")])
    assert Annotation.objects.count() == 1


def test_a_label_of_another_library_is_not_taken(client, ana, tracks):
    (foreign,) = make_labels(make_library("other"), "genre", ("Polka",))
    send(client, desk(client), label=[foreign.pk, "nonsense", "9" * 30])
    assert Annotation.objects.count() == 0


def test_undo_brings_the_track_back(client, ana, library, tracks):
    page = desk(client)
    send(client, page, label=[label("Rock")])
    client.post("/annotate/tiny/", {"action": "undo"})
    assert desk(client).context["item"]["track"]["id"] == page.context["item"]["track"]["id"]
    assert held(library, ana, Annotation.objects.first().track)["labels"] == {}
    send(client, desk(client), label=[label("Drone")])
    assert held(library, ana, Annotation.objects.first().track)["labels"] == {
        "genre": ["Drone"]
    }


def test_undo_with_nothing_to_undo_says_so(client, ana, tracks):
    client.post("/annotate/tiny/", {"action": "undo"})
    assert b"there is no answer to undo" in desk(client).content


def test_only_ones_own_answers_can_be_undone(client, ana, library, tracks):
    send(client, desk(client), label=[label("Rock")])
    uid = Annotation.objects.get().uid
    client.force_login(make_user("ben", library=library))
    client.post("/annotate/tiny/", {"action": "undo", "uid": uid})
    assert Annotation.objects.filter(kind="retraction").count() == 0


def test_skip_keeps_the_reason(client, ana, tracks):
    page = desk(client)
    send(client, page, action="skip", reason="This is not music")
    row = Presentation.objects.order_by("id").first()
    assert (row.outcome, row.skip_reason) == ("skipped", "This is not music")
    assert desk(client).context["item"]["track"]["id"] != page.context["item"]["track"]["id"]


@pytest.mark.parametrize("token", ["", "nonsense", "7383c245-bd43-467b-80fc-b063fb6efa6f"])
def test_a_form_without_its_track_is_refused(client, ana, tracks, token):
    client.post("/annotate/tiny/", {"presentation": token, "label": [label("Rock")]})
    assert Annotation.objects.count() == 0
    assert b'class="message error"' in desk(client).content


def test_keys_and_other_names_are_on_the_labels(client, ana, library, tracks):
    drone = Label.objects.get(name="Drone")
    LabelAlias.objects.create(facet=drone.facet, text="Dröhn", text_key="dröhn", label=drone)
    page = desk(client).content.decode()
    assert 'data-find="Drone|Dröhn"' in page
    assert 'data-key="d"' in page


def test_inactive_and_merged_labels_are_not_on_offer(client, ana, tracks):
    Label.objects.filter(name="Drone").update(is_active=False)
    Label.objects.filter(name="Rock").update(merged_into=label("Ambient"))
    names = [b.name for b in desk(client).context["panels"][0].buttons]
    assert names == ["Ambient"]


def test_suggestions_are_shown_as_stored(client, ana, tracks):
    desk(client)
    Presentation.objects.update(
        suggestions=[{"facet": "genre", "label": "Drone", "probability": 0.617}]
    )
    assert "62 %" in desk(client).content.decode()


@pytest.mark.parametrize(
    ("stratum", "is_shown"),
    [("acquire", True), ("audit", False), ("overlap", False), ("repeat", False)],
)
def test_old_labels_stay_hidden_where_answers_measure(
    client, ana, library, tracks, stratum, is_shown
):
    for track in tracks:
        track.extra = {"old_genre": "Schlager"}
        track.save()
    desk(client)
    Presentation.objects.update(stratum=stratum)
    page = desk(client)
    assert ("Schlager" in page.content.decode()) is is_shown
    token = page.context["item"]["presentation"]
    extra = client.get(f"/annotate/tiny/{token}/").json()["extra"]
    assert extra == ({"old_genre": "Schlager"} if is_shown else {})


def test_the_context_of_anothers_desk_is_not_found(client, ana, library, tracks):
    token = desk(client).context["item"]["presentation"]
    client.force_login(make_user("ben", library=library))
    assert client.get(f"/annotate/tiny/{token}/").status_code == 404


def test_a_blind_repeat_does_not_look_like_one(client, ana, tracks):
    desk(client)
    Presentation.objects.update(stratum="repeat", reason="a track to compare with")
    page = desk(client).content
    assert b"repeat" not in page.replace(b"Repeat the middle", b"")
    assert b"compare with" not in page


def test_no_labels_yet_says_where_they_come_from(client):
    library = make_library("bare")
    client.force_login(make_user("ana", library=library))
    make_track(library)
    assert b"No labels yet" in client.get("/annotate/bare/").content


def test_no_tracks_yet_says_where_they_come_from(client, ana):
    assert b"No tracks yet" in desk(client).content


def test_waiting_for_the_audio_worker_is_said(client, ana, library):
    make_track(library, state="pending")
    Presentation.objects.all().delete()
    page = desk(client).content
    assert b"The audio is being prepared" in page or b'id="desk"' in page


def test_when_all_is_judged_the_page_says_so(client, ana, library):
    make_track(library)
    send(client, desk(client), label=[label("Rock")])
    page = desk(client).content.decode()
    assert "No more tracks for you" in page
    assert "Last answers" in page


def test_figures_of_the_day(client, ana, tracks):
    for _ in range(2):
        send(client, desk(client), label=[label("Rock")])
    client.post("/annotate/tiny/", {"action": "undo"})
    assert desk(client).context["figures"]["today"] == 1


def test_strangers_do_not_get_in(client, library, tracks):
    assert desk(client).status_code == 302
    client.force_login(make_user("eve"))
    assert desk(client).status_code == 404


def test_names_are_escaped(client, ana, library):
    make_track(library, "a.mp3", title="<script>alert(1)</script>", artist="</script><b>")
    page = desk(client).content.decode()
    assert "<script>alert" not in page
    assert "</script><b>" not in page


def test_many_labels_cost_no_more_queries(
    client, ana, library, tracks, django_assert_max_num_queries
):
    make_labels(library, "instrumentation", [f"Instrument {n}" for n in range(80)])
    desk(client)
    with django_assert_max_num_queries(32):
        desk(client)
