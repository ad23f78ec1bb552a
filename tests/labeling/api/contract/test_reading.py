"""Reading by the API: tracks, labels, roles and refusals."""

from __future__ import annotations

import pytest
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from labeling.loop.library import taxonomy
from labeling.models import Annotation, Track
from tests import factories
from tests.labeling.api.contract.world import client_of, submit, url

pytestmark = pytest.mark.django_db


def test_tracks_come_by_cursor(ana, library):
    keys = [factories.make_track(library, f"{n:03}.mp3").key for n in range(7)]
    seen, page = [], ana.get(url("tracks/?limit=3")).json()
    while True:
        assert set(page) == {"results", "next"}
        seen += [one["key"] for one in page["results"]]
        if page["next"] is None:
            break
        page = ana.get(page["next"]).json()
    assert seen == keys


@pytest.mark.parametrize(
    "query", ["library__slug=lib", "id__in=1", "__class__=x", "ordering=audio__root__path"]
)
def test_unknown_filters_are_refused(ana, track, query):
    assert ana.get(url(f"tracks/?{query}")).status_code == 400


def test_annotators_judge_blind_and_curators_see_all(ana, library, track, labels):
    submit(ana, track=track.pk, labels=["Drone"])
    own = ana.get(url(f"tracks/{track.pk}/")).json()
    assert own["answer"]["labels"] == {"genre": ["Drone"]}
    assert "answers" not in own
    ben = client_of(factories.make_user("ben", library=library))
    assert ben.get(url(f"tracks/{track.pk}/")).json()["answer"]["labels"] == {}
    cay = client_of(factories.make_user("cay", library=library, role="curator"))
    answers = cay.get(url(f"tracks/{track.pk}/")).json()["answers"]
    assert [(one["annotator"], one["labels"]) for one in answers] == [
        ("ana", {"genre": ["Drone"]})
    ]


def test_a_merged_label_reads_as_the_one_it_went_into(ana, track, labels):
    submit(ana, track=track.pk, labels=["Drone"])
    change = taxonomy.merge(labels[1], labels[0])
    read = ana.get(url(f"tracks/{track.pk}/")).json()["answer"]["labels"]
    assert read == {"genre": ["Ambient"]}
    taxonomy.undo_change(change)
    read = ana.get(url(f"tracks/{track.pk}/")).json()["answer"]["labels"]
    assert read == {"genre": ["Drone"]}


def test_labels_lists_names_keys_and_spellings(ana, labels):
    tree = {one["facet"]: one for one in ana.get(url("labels/")).json()["results"]}
    assert [label["name"] for label in tree["genre"]["labels"]] == ["Ambient", "Drone", "Rock"]
    assert set(tree["genre"]["labels"][0]) >= {"uid", "name", "definition", "hotkey", "aliases"}


@pytest.mark.parametrize(
    ("method", "tail"),
    [
        ("post", "queue/next/"),
        ("post", "queue/skip/"),
        ("post", "queue/release/"),
        ("post", "queue/heartbeat/"),
        ("post", "annotations/"),
        ("get", "tracks/"),
        ("get", "tracks/1/"),
        ("get", "labels/"),
        ("get", "models/"),
        ("get", "jobs/1/"),
        ("get", "consistency/"),
    ],
)
def test_strangers_see_nothing(library, method, tail):
    assert getattr(APIClient(), method)(url(tail)).status_code in (401, 403)
    stranger = client_of(factories.make_user("zoe"))
    answer = getattr(stranger, method)(url(tail))
    assert answer.status_code == 404
    assert "errors" in answer.json()


def test_consistency_needs_a_curator(ana, library):
    assert ana.get(url("consistency/")).status_code == 403
    cay = client_of(factories.make_user("cay", library=library, role="curator"))
    body = cay.get(url("consistency/")).json()
    assert set(body) >= {"annotators", "pairs", "self", "drift"}


def test_a_token_works_and_a_session_needs_csrf(library, track, labels):
    user = factories.make_user("tom", library=library)
    by_token = APIClient()
    by_token.credentials(HTTP_AUTHORIZATION=f"Token {Token.objects.create(user=user).key}")
    assert by_token.post(url("queue/next/")).status_code == 200
    by_session = APIClient(enforce_csrf_checks=True)
    by_session.force_login(user)
    assert by_session.post(url("queue/next/")).status_code == 403


def test_malformed_requests_are_400_with_reasons(ana, track, labels):
    bodies = [
        {},
        {"track": "x", "labels": []},
        {"track": track.pk, "labels": 3},
        {"track": track.pk, "labels": {"genre": "Drone"}},
        {"track": track.pk, "labels": {"taste": ["Good"]}},
        {"track": track.pk, "labels": ["No such label"]},
        {"track": track.pk, "labels": ["Drone"], "unsure": ["Drone"]},
        {"track": track.pk, "labels": ["Drone"], "presentation": "nonsense"},
        {"track": track.pk, "labels": ["Drone"], "decision_time_s": -1},
    ]
    for body in bodies:
        answer = submit(ana, **body)
        assert answer.status_code == 400, body
        assert answer.json()["errors"][0]["message"]
    assert Annotation.objects.count() == 0
    assert submit(ana, track=track.pk + 999, labels=["Drone"]).status_code == 404


def test_tracks_of_another_library_are_not_there(ana, labels):
    other = factories.make_library("other")
    foreign = factories.make_track(other)
    assert ana.get(url(f"tracks/{foreign.pk}/")).status_code == 404
    assert submit(ana, track=foreign.pk, labels=["Drone"]).status_code == 404
    assert Track.objects.count() == 1


def test_the_schema_is_openapi_3_and_names_every_path(ana):
    schema = ana.get("/api/v1/schema/?format=json").json()
    assert schema["openapi"].startswith("3.")
    paths = set(schema["paths"])
    for tail in ("queue/next/", "queue/skip/", "annotations/", "tracks/", "consistency/"):
        assert f"/api/v1/libraries/{{slug}}/{tail}" in paths


def test_a_retired_label_is_no_longer_taken(ana, track, labels):
    taxonomy.set_active(labels[1], False)
    refused = submit(ana, track=track.pk, labels=["Drone"])
    assert refused.status_code == 400
    assert "no longer on offer" in refused.json()["errors"][0]["message"]


@pytest.mark.parametrize("tail", ["tracks/?cursor=cD1hYmM=", "tracks/?q=%00", "tracks/?q=a%00"])
def test_queries_that_no_database_takes_are_refused(ana, track, tail):
    assert ana.get(url(tail)).status_code in (400, 404)


def test_a_track_costs_the_same_for_two_and_for_twenty_annotators(
    library, track, labels, django_assert_max_num_queries
):
    cay = client_of(factories.make_user("cay", library=library, role="curator"))
    for n in range(20):
        one = client_of(factories.make_user(f"person{n}", library=library))
        submit(one, track=track.pk, labels=["Drone"])
    with django_assert_max_num_queries(22):
        answers = cay.get(url(f"tracks/{track.pk}/")).json()["answers"]
    assert len(answers) == 20
    assert all(one["labels"] == {"genre": ["Drone"]} for one in answers)
