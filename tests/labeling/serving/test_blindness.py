"""No page and no part of the API shows what must not influence a judgement."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from labeling import append_only
from labeling.loop import desk
from labeling.loop.acquisition import rounds
from labeling.loop.events import record
from labeling.loop.events.answers import Vocabulary, parse_answers
from labeling.loop.library import libraries
from labeling.loop.serving import blinding, leases, random_order, repeats, serve
from labeling.models import Annotation, GuidelineVersion, Presentation, QueueItem, Track
from labeling.models.queue import Stratum
from tests import factories

pytestmark = pytest.mark.django_db

MARK = "ZZTopSecret"


@pytest.fixture
def library():
    library = factories.make_library("lib", retrain_after=0, repeat_min_days=1)
    library.serve_audit_share = library.overlap_share = library.explore_share = 0
    library.repeat_share = 1
    library.save()
    return library


@pytest.fixture
def labels(library):
    return factories.make_labels(library)


@pytest.fixture
def ana(library, labels):
    return factories.make_user("ana", library=library)


@pytest.fixture
def annotator(library, ana):
    return libraries.annotator_of(library, ana)


@pytest.fixture
def track(library):
    return factories.make_track(library, "old.mp3", title="An old one")


def api_of(user):
    client = APIClient()
    client.force_authenticate(user)
    return client


def page_of(user, path):
    client = Client()
    client.force_login(user)
    return client.get(path)


def judge(annotator, track, names, **over):
    return desk.save(
        record.Submission(
            track=track,
            annotator=annotator,
            answers=parse_answers(Vocabulary.of(annotator.library), labels=names),
            idempotency_key=uuid.uuid4().hex,
            **over,
        )
    ).annotation


@pytest.fixture
def first_look(annotator, track):
    """An answer of the annotator's own, a month old."""
    row = judge(annotator, track, ["Drone"], note=MARK)
    append_only.drop_triggers(connection)
    month_ago = timezone.now() - timedelta(days=30)
    Annotation.objects.update(answered_at=month_ago, recorded_at=month_ago)
    append_only.create_triggers(connection)
    return row


@pytest.fixture
def repeat(annotator, first_look, library):
    """Return the track that is served to the annotator for the second time."""
    (shown,) = desk.next_tracks(annotator)
    assert (shown.stratum, shown.track_id) == (Stratum.REPEAT, first_look.track_id)
    return shown


URL = "/api/v1/libraries/lib"


def test_a_repeat_looks_like_an_audit_track(ana, library, repeat, labels):
    shown = api_of(ana).post(f"{URL}/queue/next/", {}, format="json").json()
    assert shown["presentation"] == str(repeat.token)
    assert set(shown) == {
        "presentation",
        "track",
        "stratum",
        "reason",
        "suggestions",
        "lease_expires_at",
    }
    assert shown["stratum"] == Stratum.AUDIT
    assert shown["reason"] == random_order._REASONS[Stratum.AUDIT]
    assert shown["suggestions"] == []


@pytest.mark.parametrize("role", ["annotator", "curator"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/annotate/lib/",
        "/annotate/lib/{token}/",
        "/tracks/lib/",
        "/tracks/lib/?labelled=mine",
        "/tracks/lib/{track}/",
        f"{URL}/tracks/{{track}}/",
    ],
)
def test_what_one_said_before_is_nowhere(ana, library, repeat, track, role, path):
    library.memberships.update(role=role)
    text = page_of(ana, path.format(token=repeat.token, track=track.pk)).content.decode()
    assert MARK not in text
    assert "judgement" not in text
    assert "last answer" not in text
    if "labelled=mine" in path:
        assert track.title not in text
    if path.startswith(URL):
        body = json.loads(text)
        assert (body["version"], body["answer"]["labels"]) == (0, {})
        assert body.get("answers", []) == []
    if path == f"/tracks/lib/{track.pk}/" or path == "/tracks/lib/":
        assert "Drone" not in text
    if path == "/annotate/lib/":
        desk = json.loads(
            text.split('id="desk-data" type="application/json">')[1].split("<")[0]
        )
        assert desk["recent"] == []
        assert "version" not in desk["item"]


def test_not_even_between_reserving_and_showing(ana, library, annotator, first_look, track):
    repeats.lay_out(serve.live_round(library), annotator)
    assert blinding.hidden_tracks(annotator) == {track.pk}
    assert api_of(ana).get(f"{URL}/tracks/{track.pk}/").json()["version"] == 0


def test_not_after_giving_it_back_either(annotator, repeat, track):
    leases.release(repeat)
    assert blinding.hidden_tracks(annotator) == {track.pk}


def test_a_conflict_tells_nothing(ana, repeat, track):
    stale = {"track": track.pk, "labels": ["Rock"], "expected_version": 7}
    answer = api_of(ana).post(f"{URL}/annotations/", stale, format="json")
    assert answer.status_code == 409
    assert answer.json()["stored"]["labels"] == {}
    assert answer.json()["version"] == 0


def test_a_second_look_is_sent_like_a_first_one(ana, repeat, track):
    body = {
        "track": track.pk,
        "labels": ["Rock"],
        "presentation": str(repeat.token),
        "expected_version": 0,
    }
    answer = api_of(ana).post(f"{URL}/annotations/", body, format="json")
    assert answer.status_code == 201
    assert [row.kind for row in Annotation.objects.order_by("id")] == ["judgement"] * 2
    stale = body | {"labels": ["Ambient"]}
    conflict = api_of(ana).post(f"{URL}/annotations/", stale, format="json")
    assert conflict.status_code == 409
    assert conflict.json()["stored"]["labels"] == {"genre": ["Rock"]}
    edit = stale | {"expected_version": conflict.json()["version"]}
    assert api_of(ana).post(f"{URL}/annotations/", edit, format="json").status_code == 201


def test_undoing_a_second_look_does_not_show_the_first(ana, annotator, repeat, track):
    second = judge(annotator, track, ["Rock"], presentation=repeat)
    undone = api_of(ana).post(f"{URL}/annotations/{second.uid}/undo/").json()
    assert (undone["labels"], undone["version"]) == ({}, 0)
    again = {
        "track": track.pk,
        "labels": ["Ambient"],
        "presentation": str(repeat.token),
        "expected_version": 0,
    }
    assert api_of(ana).post(f"{URL}/annotations/", again, format="json").status_code == 201


def test_once_answered_the_history_is_there_again(ana, annotator, repeat, track):
    judge(annotator, track, ["Rock"], presentation=repeat)
    assert blinding.hidden_tracks(annotator) == set()
    assert MARK in page_of(ana, f"/tracks/lib/{track.pk}/").content.decode()


def test_a_repeat_of_somebody_else_hides_nothing(library, repeat, track):
    bob = factories.make_user("bob", library=library, role="curator")
    text = page_of(bob, f"/tracks/lib/{track.pk}/").content.decode()
    assert MARK in text


@pytest.fixture
def others(library, labels):
    """An audit track that another annotator has judged, with a label, a note and a column."""
    row = factories.make_track(
        library, "audit.mp3", title="Measured", is_audit=True, extra={"mood1": MARK}
    )
    (secret,) = factories.make_labels(library, "mood", (MARK,))
    judge(factories.make_annotator(library, "other"), row, [secret.name], note=MARK)
    return row


def test_an_annotator_sees_nothing_that_others_said(library, ana, annotator, others):
    round_ = serve.live_round(library)
    item = QueueItem.objects.create(
        round=round_, track=others, rank=0, stratum="audit", strategy="test", reason="x"
    )
    shown = serve._open(item, annotator)
    assert Presentation.objects.get(pk=shown.pk).suggestions == []
    for path in (
        f"/tracks/lib/{others.pk}/",
        "/tracks/lib/",
        "/tracks/lib/?side=audit&labelled=yes",
        f"/annotate/lib/{shown.token}/",
        f"{URL}/tracks/",
        f"{URL}/tracks/{others.pk}/",
    ):
        answer = page_of(ana, path)
        assert answer.status_code == 200
        assert MARK not in answer.content.decode(), path
    body = page_of(ana, f"{URL}/tracks/{others.pk}/").json()
    assert {"answers", "suggestions", "is_audit", "extra"}.isdisjoint(body)
    item = api_of(ana).post(f"{URL}/queue/next/", {}, format="json").json()
    assert MARK not in json.dumps(item)


def test_filters_that_tell_of_others_are_ignored_for_annotators(ana, library, others):
    plain = factories.make_track(library, "plain.mp3", title="Plain")
    for query in ("side=audit", "side=training", "labelled=yes", "labelled=no"):
        text = page_of(ana, f"/tracks/lib/?{query}").content.decode()
        assert others.title in text
        assert plain.title in text
    assert Track.objects.count() == 2


def test_own_answer_under_an_older_guideline_is_not_seen_while_it_is_asked_anew(
    library, ana, annotator, track, first_look
):
    library.repeat_share = 0
    library.save()
    GuidelineVersion.objects.create(
        library=library, number=1, text="new", published_at=timezone.now()
    )
    rounds.switch(rounds.build_round(library))
    detail = f"/api/v1/libraries/lib/tracks/{track.pk}/"
    assert "Drone" in str(api_of(ana).get(detail).json()["answer"])
    shown = desk.next_tracks(annotator)[0]
    assert (shown.track_id, shown.stratum) == (track.pk, "acquire")
    assert "Drone" not in str(api_of(ana).get(detail).json()["answer"])
    row = judge(annotator, track, ["Rock"], presentation=shown, expected_version=0)
    assert row.kind == Annotation.Kind.JUDGEMENT
    assert "Rock" in str(api_of(ana).get(detail).json()["answer"])
