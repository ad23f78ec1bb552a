"""Answers by the API: next track, submit, undo, skip."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.loop.serving import serve
from labeling.models import Annotation, LabelAlias, Presentation, QueueItem
from labeling.models.queue import Stratum
from tests import factories
from tests.labeling.api.contract.world import client_of, submit, take, url

pytestmark = pytest.mark.django_db


def test_next_has_what_the_contract_says(ana, track, labels):
    shown = take(ana)
    assert set(shown) >= {
        "presentation",
        "track",
        "stratum",
        "reason",
        "suggestions",
        "lease_expires_at",
    }
    assert set(shown["track"]) >= {
        "id",
        "key",
        "title",
        "duration_s",
        "audio_url",
        "peaks_url",
    }
    assert shown["track"]["key"] == "a/1.mp3"
    assert "ahead" not in shown


def test_next_ahead_adds_tracks_of_the_same_shape(ana, library, labels):
    for _ in range(5):
        factories.make_track(library)
    shown = take(ana, ahead=3)
    assert len(shown["ahead"]) == 3
    assert set(shown["ahead"][0]) == set(shown) - {"ahead"}
    ids = [shown["track"]["id"]] + [one["track"]["id"] for one in shown["ahead"]]
    assert len(set(ids)) == 4
    assert ana.post(url("queue/next/"), {"ahead": 4}, format="json").status_code == 400


def test_next_answers_204_when_nothing_is_left(ana, library):
    assert ana.post(url("queue/next/"), {}, format="json").status_code == 204


def test_an_answer_is_201_and_its_repetition_200_with_the_same_body(ana, track, labels):
    shown = take(ana)
    body = {
        "track": track.pk,
        "labels": {"genre": ["Drone"]},
        "unsure": {"genre": ["Ambient"]},
        "presentation": shown["presentation"],
        "idempotency_key": "k1",
        "decision_time_s": 4.2,
    }
    first, second = submit(ana, **body), submit(ana, **body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert first.json()["labels"] == {"genre": ["Drone"]}
    assert first.json()["completed_facets"] == ["genre"]
    stored = Annotation.objects.get()
    assert stored.kind == "judgement"
    assert stored.decision_time_s == 4.2
    assert stored.guideline.number == 0


def test_a_repetition_after_an_edit_and_an_undo_has_the_first_body(ana, track, labels):
    said = {"track": track.pk, "idempotency_key": "k1"}
    said |= {"labels": ["Calm", "Drone"], "presentation": take(ana)["presentation"]}
    first = submit(ana, **said).json()
    edit = submit(ana, track=track.pk, labels=["Rock"], idempotency_key="k2").json()
    assert submit(ana, **said).json() == first
    ana.post(f"/api/v1/libraries/lib/annotations/{edit['annotation']}/undo/")
    again = submit(ana, **said)
    assert (again.status_code, again.json()) == (200, first)
    assert (first["version"], first["labels"]) == (1, {"genre": ["Drone"], "mood": ["Calm"]})


def test_another_content_under_the_same_key_is_refused(ana, track, labels):
    submit(ana, track=track.pk, labels=["Drone"], idempotency_key="k")
    again = submit(ana, track=track.pk, labels=["Rock"], idempotency_key="k")
    assert again.status_code == 400
    assert "idempotency_key" in again.json()["errors"][0]["message"]


def test_a_flat_list_works_while_names_are_unique(ana, library, track, labels):
    assert submit(ana, track=track.pk, labels=["Drone", "Calm"]).status_code == 201
    factories.make_labels(library, "mood", ("Drone",))
    refused = submit(ana, track=track.pk, labels=["Drone"])
    assert refused.status_code == 400
    assert "genre, mood" in refused.json()["errors"][0]["message"]


def test_a_spelling_finds_its_label(ana, track, labels):
    LabelAlias.objects.create(
        facet=labels[0].facet, text="Chill-out", text_key="chill-out", label=labels[0]
    )
    answer = submit(ana, track=track.pk, labels={"genre": ["CHILL-OUT"]})
    assert answer.json()["labels"] == {"genre": ["Ambient"]}


def test_completed_facets_may_be_empty_of_labels(ana, track, labels):
    answer = submit(ana, track=track.pk, labels={}, completed_facets=["genre"])
    assert answer.status_code == 201
    assert answer.json()["completed_facets"] == ["genre"]
    assert submit(ana, track=track.pk, labels={}).status_code == 400


def test_an_explicit_no_alone_does_not_complete_a_facet(ana, track, labels):
    answer = submit(ana, track=track.pk, labels={}, negative={"genre": ["Rock"]})
    assert answer.json()["negative"] == {"genre": ["Rock"]}
    assert answer.json()["completed_facets"] == []


def test_limits_of_a_facet_are_kept(ana, library, track, labels):
    library.facets.filter(name="genre").update(max_labels=1)
    refused = submit(ana, track=track.pk, labels=["Drone", "Rock"])
    assert refused.status_code == 400
    assert "at most 1" in refused.json()["errors"][0]["message"]


def test_an_edit_is_a_revision_and_a_stale_edit_a_conflict(ana, track, labels):
    shown = take(ana)
    submit(ana, track=track.pk, labels=["Drone"], presentation=shown["presentation"])
    edit = submit(ana, track=track.pk, labels=["Rock"], expected_version=1)
    assert edit.status_code == 201
    assert edit.json()["kind"] == "revision"
    stale = submit(ana, track=track.pk, labels=["Ambient"], expected_version=1)
    assert stale.status_code == 409
    body = stale.json()
    assert set(body) == {"yours", "stored", "version"}
    assert body["stored"]["labels"] == {"genre": ["Rock"]}
    assert body["yours"]["labels"] == {"genre": ["Ambient"]}
    assert body["version"] == 2


def test_undo_restores_and_is_idempotent(ana, track, labels):
    shown = take(ana)
    uid = submit(
        ana, track=track.pk, labels=["Drone"], presentation=shown["presentation"]
    ).json()["annotation"]
    first = ana.post(url(f"annotations/{uid}/undo/"))
    second = ana.post(url(f"annotations/{uid}/undo/"))
    assert first.status_code == second.status_code == 200
    assert first.json()["labels"] == {}
    assert Annotation.objects.count() == 2
    assert take(ana)["presentation"] == shown["presentation"]


def test_nobody_undoes_the_answer_of_another(ana, library, track, labels):
    uid = submit(ana, track=track.pk, labels=["Drone"]).json()["annotation"]
    ben = client_of(factories.make_user("ben", library=library))
    assert ben.post(url(f"annotations/{uid}/undo/")).status_code == 404


def test_a_moment_in_the_future_is_not_believed(ana, track, labels):
    tomorrow = timezone.now() + timedelta(days=1)
    submit(ana, track=track.pk, labels=["Drone"], answered_at=tomorrow.isoformat())
    assert Annotation.objects.get().answered_at <= timezone.now()


def test_a_moment_before_there_were_answers_is_refused(ana, track, labels):
    said = {"track": track.pk, "labels": ["Drone"]}
    refused = submit(ana, **said, answered_at="1989-12-31T23:59:59Z")
    assert refused.status_code == 400
    assert "1989-12-31 is before 1990" in refused.json()["errors"][0]["message"]
    assert not Annotation.objects.exists()
    assert submit(ana, **said, answered_at="1990-01-01T00:00:00Z").status_code == 201
    assert Annotation.objects.get().answered_at.year == 1990


def test_an_answer_to_a_presentation_is_never_before_it(ana, track, labels):
    shown = take(ana)
    said = {"presentation": shown["presentation"], "track": track.pk, "labels": ["Drone"]}
    assert submit(ana, **said, answered_at="1800-01-01T00:00:00Z").status_code == 201
    assert Annotation.objects.get().answered_at == Presentation.objects.get().presented_at


def test_a_blind_repeat_looks_like_an_audit_track(ana, library, labels):
    track = factories.make_track(library)
    user = library.memberships.get().user
    from labeling.loop.library import libraries

    annotator = libraries.annotator_of(library, user)
    QueueItem.objects.create(
        round=serve.live_round(library),
        track=track,
        stratum=Stratum.REPEAT,
        strategy="own-old-track",
        reason="a track to compare with",
        rank=0,
        reserved_for=annotator,
    )
    library.repeat_share, library.serve_audit_share = 0.5, 0.1
    library.save()
    seen = take(ana, ahead=1)
    stored = Presentation.objects.get(stratum=Stratum.REPEAT)
    shown = (
        next(one for one in (seen, *seen["ahead"]) if one["presentation"] == str(stored.token))
        if str(stored.token) != seen["presentation"]
        else seen
    )
    assert shown["stratum"] == "audit"
    assert "random" in shown["reason"]


def test_skip_release_and_heartbeat(ana, library, labels):
    for _ in range(3):
        factories.make_track(library)
    one = take(ana)
    assert (
        ana.post(
            url("queue/skip/"), {"presentation": one["presentation"], "reason": "noise"}
        ).status_code
        == 204
    )
    two = take(ana)
    assert two["presentation"] != one["presentation"]
    later = ana.post(url("queue/heartbeat/")).json()["lease_expires_at"]
    assert later >= two["lease_expires_at"]
    assert (
        ana.post(url("queue/release/"), {"presentation": two["presentation"]}).status_code
        == 204
    )
    unknown = {"presentation": str(uuid.uuid4()), "reason": "x"}
    assert ana.post(url("queue/skip/"), unknown).status_code == 400
