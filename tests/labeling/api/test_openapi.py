"""The API keeps to its OpenAPI schema, whatever is sent to it."""

from __future__ import annotations

import json

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as effort
from hypothesis import strategies as st
from rest_framework.authtoken.models import Token
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from audiotag_site.wsgi import application
from labeling.loop import desk
from labeling.loop.events import record
from labeling.loop.events.answers import Vocabulary, parse_answers
from labeling.loop.library import libraries
from labeling.models import Job
from tests import factories

pytestmark = pytest.mark.django_db

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 15
OPERATIONS = {
    "annotations_create",
    "annotations_undo",
    "consistency_read",
    "jobs_read",
    "labels_list",
    "models_compare",
    "models_list",
    "models_report",
    "queue_heartbeat",
    "queue_next",
    "queue_release",
    "queue_skip",
    "queue_skip_undo",
    "recipes_list",
    "recipes_train",
    "snapshots_create",
    "snapshots_list",
    "snapshots_preview",
    "snapshots_read",
    "tracks_list",
    "tracks_read",
}


@pytest.fixture
def token():
    """A curator's, in a library with labels, tracks, an answer, a job."""
    library = factories.make_library("lib", retrain_after=0)
    factories.make_labels(library)
    factories.make_labels(library, "mood", ("Calm", "Dark"))
    for _ in range(6):
        factories.make_track(library, title="Ä <b>")
    user = factories.make_user("ana", library=library, role="curator")
    shown = desk.next_tracks(libraries.annotator_of(library, user))[0]
    desk.save(
        record.Submission(
            track=shown.track,
            annotator=shown.annotator,
            answers=parse_answers(Vocabulary.of(library), labels=["Drone"]),
            presentation=shown,
        )
    )
    Job.objects.create(library=library, kind="probe", key="k")
    return Token.objects.create(user=user).key


@pytest.fixture(autouse=True)
def _one_connection():
    """Keep the test's connection open after a request, as Django's own test client does."""
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


@pytest.fixture
def operations():
    raw = SchemaGenerator().get_schema(request=None, public=True)
    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(raw, default=str)))
    schema.app = application
    return {
        found.ok().definition.raw["operationId"]: found.ok()
        for found in schema.get_all_operations()
    }


def test_every_operation_is_tried(operations):
    assert set(operations) == OPERATIONS


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_the_file_is_kept(operations, token, name, mode):
    operation = operations[name]
    library = factories.Library.objects.get(slug="lib")
    ours = {
        "slug": st.just("lib"),
        "id": st.sampled_from([*library.tracks.values_list("pk", flat=True), 10**18, 10**30]),
        "uid": st.sampled_from([str(one.uid) for one in library.annotations.all()]),
    }
    tried = 0

    @seed(1)
    @effort(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def ask(case, data):
        nonlocal tried
        for part, values in ours.items():
            if part in case.path_parameters and data.draw(st.integers(0, 3)):
                case.path_parameters[part] = data.draw(values)
        answer = case.call(headers={"Authorization": f"Token {token}"})
        case.validate_response(answer, checks=CHECKS)
        tried += 1

    ask()
    assert tried


def test_the_file_is_open_json_and_names_no_relation(client):
    text = json.dumps(Client().get("/api/v1/schema/?format=json").json())
    assert "RequestRequest" not in text
    assert "__" not in text


@pytest.mark.parametrize("rest", ["nowhere/", "libraries/a%0Ab/tracks/1/", "%00", "libraries/"])
def test_an_address_that_is_none_is_answered_in_json(client, rest):
    answer = client.post(f"/api/v1/{rest}")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")
    assert answer.json()["errors"][0]["message"]
