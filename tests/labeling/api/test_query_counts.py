"""Number of database queries for one track and one answer; no figure is stale.

With the number fixed here, a needless query fails a test and does not slow a page.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from labeling.loop.library import taxonomy
from labeling.loop.serving import serve
from labeling.models import (
    Answer,
    Facet,
    GuidelineVersion,
    Label,
    LabelSet,
    Presentation,
    QueueItem,
    Track,
)
from tests import factories

pytestmark = pytest.mark.django_db

#: Token, library, membership, annotator: who asks, and may they?
WHO = 4
NEXT_LEASED = WHO + 8
NEXT_OPEN = WHO + 2
#: One of them asks whether the track was withdrawn in the meantime, and locks it.
SUBMIT = WHO + 21


@pytest.fixture
def library():
    library = factories.make_library("lib", retrain_after=0, shows_suggestions=False)
    library.serve_audit_share = library.overlap_share = 0
    library.repeat_share = library.explore_share = 0
    library.save()
    return library


@pytest.fixture
def labels(library):
    names = [f"Genre {n}" for n in range(55)]
    return factories.make_labels(library, names=names)


@pytest.fixture
def ana(library, labels):
    """A client that has done one track, so that everything is warm."""
    factories.make_labels(library, "mood", ("Calm", "Dark"))
    round_ = serve.live_round(library)
    for rank in range(12):
        track = factories.make_track(library, state=Track.State.READY)
        QueueItem.objects.create(
            round=round_, track=track, rank=rank, stratum="acquire", strategy="test"
        )
    client = client_of(factories.make_user("ana", library=library))
    take_and_answer(client)
    return client


@pytest.fixture(autouse=True)
def _looked_already(library, monkeypatch):
    """Let no test hit the moment at which a process looks for late leases."""
    monkeypatch.setattr(serve, "LOOK_EVERY_S", 3_600)
    serve._is_time_to_look(library)


def client_of(user):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {Token.objects.create(user=user).key}")
    return client


def post(client, tail, **body):
    answer = client.post(f"/api/v1/libraries/lib/{tail}/", body, format="json")
    assert answer.status_code in (200, 201), answer.content
    return answer.json()


def answer_to(shown, **over):
    said = {"labels": {"genre": ["Genre 1", "Genre 2"]}} | over
    return {"track": shown["track"]["id"], "presentation": shown["presentation"], **said}


def take_and_answer(client, **over):
    shown = post(client, "queue/next")
    return post(client, "annotations", **answer_to(shown, **over))


def asked(work, *, locks=0):
    """Return how many statements a piece of work sends, less transactions and row locks."""
    with CaptureQueriesContext(connection) as captured:
        work()
    count = sum(
        not query["sql"].startswith(("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT"))
        for query in captured
    )
    return count - (locks if connection.features.has_select_for_update else 0)


def test_the_next_track(ana):
    assert asked(lambda: post(ana, "queue/next"), locks=1) == NEXT_LEASED


def test_the_same_track_again(ana):
    post(ana, "queue/next")
    assert asked(lambda: post(ana, "queue/next")) == NEXT_OPEN


def test_a_submission(ana):
    shown = post(ana, "queue/next")
    assert asked(lambda: post(ana, "annotations", **answer_to(shown)), locks=1) == SUBMIT


def test_more_facets_and_labels_cost_no_more(ana):
    take_and_answer(ana, labels=["Genre 1", "Calm"])
    shown = post(ana, "queue/next")
    names = [*(f"Genre {n}" for n in range(20)), "Calm", "Dark"]
    body = answer_to(shown, labels=names)
    assert asked(lambda: post(ana, "annotations", **body), locks=1) == SUBMIT


def test_a_history_costs_no_more(ana):
    for _ in range(8):
        take_and_answer(ana)
    assert asked(lambda: post(ana, "queue/next"), locks=1) == NEXT_LEASED
    shown = post(ana, "queue/next")
    assert asked(lambda: post(ana, "annotations", **answer_to(shown)), locks=1) == SUBMIT


def test_three_tracks_ahead_are_read_at_once_when_they_are_open(ana):
    post(ana, "queue/next", ahead=3)
    assert asked(lambda: post(ana, "queue/next", ahead=3)) == NEXT_OPEN


# --- what is kept in a process must not be stale ---------------------------------------------


def test_a_change_of_names_elsewhere_counts_at_once(ana, labels):
    Label.objects.filter(pk=labels[1].pk).update(name="Nova", name_key="nova")
    assert take_and_answer(ana, labels=["nova"])["labels"] == {"genre": ["Nova"]}
    taxonomy.merge(labels[1], labels[2])
    assert take_and_answer(ana, labels=["Nova"])["labels"] == {"genre": ["Genre 2"]}


def test_a_change_of_labels_elsewhere_makes_another_label_set(ana, labels):
    Label.objects.filter(pk=labels[7].pk).update(is_active=False)
    take_and_answer(ana)
    first, second = Answer.objects.order_by("pk")
    assert second.label_set.number == first.label_set.number + 1
    assert second.label_set.members.count() == first.label_set.members.count() - 1
    Label.objects.filter(pk=labels[7].pk).update(is_active=True)
    take_and_answer(ana)
    assert Answer.objects.latest("pk").label_set_id == first.label_set_id


def test_several_label_sets_are_those_of_each_facet(library, labels):
    genre, mood = Facet.objects.filter(library=library, name__in=["genre", "mood"])
    factories.make_labels(library, "mood", ("Calm", "Dark"))
    both = taxonomy.label_sets_of([genre.pk, mood.pk])
    assert both == {one.pk: taxonomy.label_set_of(one) for one in (genre, mood)}
    assert [both[one.pk].members.count() for one in (genre, mood)] == [55, 2]
    assert taxonomy.label_sets_of([genre.pk, mood.pk]) == both
    assert LabelSet.objects.count() == 2


def test_a_guideline_published_elsewhere_is_in_force_at_once(ana, library):
    GuidelineVersion.objects.create(library=library, number=1, published_at=timezone.now())
    take_and_answer(ana)
    assert Presentation.objects.latest("pk").guideline.number == 1


def test_late_leases_are_looked_for_once_in_a_while(ana, library, monkeypatch):
    shown = Presentation.objects.get(token=post(ana, "queue/next")["presentation"])
    past = timezone.now() - timedelta(minutes=1)
    Presentation.objects.filter(pk=shown.pk).update(lease_until=past)
    ben = client_of(factories.make_user("ben", library=library))
    first = post(ben, "queue/next")
    assert Presentation.objects.get(pk=shown.pk).outcome == Presentation.Outcome.OPEN
    monkeypatch.setattr(serve, "LOOK_EVERY_S", 0)
    again = post(ben, "queue/next", ahead=1)
    assert again["presentation"] == first["presentation"]
    assert again["ahead"][0]["track"]["id"] == shown.track_id
