"""Snapshots and recipes in the API."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from labeling.models import Job, Snapshot
from ml.training.recipes import RECIPES
from tests.factories import make_user
from tests.planted_library import plant
from workers.jobs.run import run_inline

pytestmark = pytest.mark.django_db


@pytest.fixture
def library():
    return plant(n_tracks=45, n_audit=12).library


@pytest.fixture
def ask(library):
    def client(role):
        found = APIClient()
        found.force_authenticate(make_user(library=library, role=role))
        return found

    return client


def at(library, rest):
    return f"/api/v1/libraries/{library.slug}/{rest}"


def test_preview_take_and_read(library, ask):
    curator, asked = ask("curator"), {"sources": ["imported"], "min_support": 2}
    seen = curator.post(at(library, "snapshots/preview/"), asked, format="json")
    assert seen.status_code == 200
    assert (seen.data["tracks"], len(seen.data["labels"])) == (45, 3)
    assert seen.data["annotators"][0]["annotator"] == "catalogue"
    assert Snapshot.objects.count() == 0
    answer = curator.post(at(library, "snapshots/"), asked, format="json")
    assert answer.status_code == 202
    run_inline(Job.objects.get(pk=answer.data["id"]))
    one = curator.get(at(library, "snapshots/1/")).data
    assert one["hash"] == Snapshot.objects.get().hash
    assert one["selection"]["sources"] == ["imported"]
    assert curator.get(at(library, "snapshots/")).data["results"] == [one]
    assert curator.get(at(library, "snapshots/2/")).status_code == 404


@pytest.mark.parametrize(
    "asked", [{"criteria": "mine"}, {"since": "soon"}, {"guidelines": [7]}, {"facets": "x"}]
)
@pytest.mark.parametrize("rest", ["snapshots/", "snapshots/preview/"])
def test_what_is_not_there_is_refused(library, ask, asked, rest):
    answer = ask("curator").post(at(library, rest), asked, format="json")
    assert answer.status_code == 400
    assert answer.data["errors"]
    assert Job.objects.count() == 0


def test_recipes_and_training_by_one(library, ask):
    curator = ask("curator")
    listed = curator.get(at(library, "recipes/")).data["results"]
    assert [one["name"] for one in listed] == list(RECIPES)
    assert listed[0]["digest"] == RECIPES["seed-2019"].digest()
    assert listed[0]["selection"]["others"] == "fold"
    assert curator.post(at(library, "recipes/audiotag/train/")).status_code == 403
    manager = ask("manager")
    assert manager.post(at(library, "recipes/soup/train/")).status_code == 404
    answer = manager.post(at(library, "recipes/audiotag/train/"))
    assert answer.status_code == 202
    assert Job.objects.get(pk=answer.data["id"]).arguments["recipe"] == "audiotag"
