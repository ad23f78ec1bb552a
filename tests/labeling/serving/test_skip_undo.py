"""A skip is taken back: the track is there again, unless somebody else has it."""

from __future__ import annotations

import uuid

import pytest
from rest_framework.test import APIClient

from labeling.models import Presentation, QueueItem
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def library():
    library = factories.make_library("lib")
    factories.make_labels(library)
    for _ in range(2):
        factories.make_track(library)
    return library


def client_of(name, library):
    client = APIClient()
    client.force_authenticate(factories.make_user(name, library=library))
    return client


@pytest.fixture
def ana(library):
    return client_of("ana", library)


@pytest.fixture
def bob(library):
    return client_of("bob", library)


def post(client, tail, **body):
    return client.post(f"/api/v1/libraries/lib/queue/{tail}/", body, format="json")


def skipped(client):
    shown = post(client, "next").json()
    token = shown["presentation"]
    assert post(client, "skip", presentation=token, reason="not music").status_code == 204
    return shown


def test_the_track_is_back_as_it_was(ana):
    shown = skipped(ana)
    other = post(ana, "next").json()
    assert other["track"]["id"] != shown["track"]["id"]
    back = post(ana, "skip/undo", presentation=shown["presentation"])
    assert back.status_code == 200
    assert back.json() == shown | {"lease_expires_at": back.json()["lease_expires_at"]}
    row = Presentation.objects.get(token=shown["presentation"])
    assert (row.outcome, row.skip_reason, row.closed_at) == ("open", "", None)
    assert row.item.remaining == 0
    assert post(ana, "next").json()["track"] == shown["track"]


def test_undoing_twice_is_undoing_once(ana):
    token = skipped(ana)["presentation"]
    for _ in range(2):
        assert post(ana, "skip/undo", presentation=token).status_code == 200
    assert QueueItem.objects.get(presentations__token=token).remaining == 0


def test_not_when_somebody_else_has_it(ana, bob):
    shown = skipped(ana)
    taken = post(bob, "next", ahead=1).json()
    ids = [taken["track"]["id"], *(one["track"]["id"] for one in taken["ahead"])]
    assert shown["track"]["id"] in ids
    refused = post(ana, "skip/undo", presentation=shown["presentation"])
    assert refused.status_code == 400
    assert "somebody else has this track" in refused.json()["errors"][0]["message"]
    assert Presentation.objects.get(token=shown["presentation"]).outcome == "skipped"


def test_not_somebody_elses(ana, bob):
    token = skipped(ana)["presentation"]
    assert post(bob, "skip/undo", presentation=token).status_code == 400
    assert post(ana, "skip/undo", presentation=str(uuid.uuid4())).status_code == 400


def test_only_a_skip_is_undone_here(ana):
    token = post(ana, "next").json()["presentation"]
    post(ana, "release", presentation=token)
    refused = post(ana, "skip/undo", presentation=token)
    assert refused.status_code == 400
    assert "released" in refused.json()["errors"][0]["message"]
