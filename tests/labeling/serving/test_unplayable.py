"""Tracks that browsers cannot play wait: nobody is served what cannot be heard."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection

from labeling.errors import QueueEmpty
from labeling.loop import desk
from labeling.loop.acquisition import pool
from labeling.loop.serving import random_order, serve
from labeling.models import AudioFile, AudioRoot, QueueItem, Track
from labeling.models.queue import Stratum
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def library():
    return factories.make_library()


def track(library, name, unplayable="", **over):
    root, _ = AudioRoot.objects.get_or_create(name=library.slug, path="/music")
    audio = AudioFile.objects.create(root=root, relative_path=name, unplayable=unplayable)
    return factories.make_track(library, name, audio=audio, state="ready", **over)


def served(library, annotator):
    """Skip everything that is served, and return what it was."""
    seen = []
    while True:
        try:
            shown = desk.next_tracks(annotator)[0]
        except QueueEmpty:
            return seen
        seen.append(shown.track.key)
        shown.outcome = "skipped"
        shown.save()


@pytest.mark.parametrize("is_audit", [False, True])
def test_only_what_can_be_heard_is_served(library, is_audit):
    track(library, "a.wav", is_audit=is_audit)
    track(library, "b.aiff", "AIFF", is_audit=is_audit)
    assert served(library, factories.make_annotator(library)) == ["a.wav"]
    assert random_order.unplayable_tracks(library).get().key == "b.aiff"
    assert random_order.ready_count(library) == 1


def test_a_track_that_was_ranked_before_is_withdrawn(library):
    bad = track(library, "b.aiff", "AIFF", is_audit=False)
    QueueItem.objects.create(
        round=serve.live_round(library), track=bad, rank=0, stratum=Stratum.ACQUIRE,
        strategy="test", reason="because",
    )  # fmt: skip
    assert served(library, factories.make_annotator(library)) == []
    assert not QueueItem.objects.exists()


def test_acquisition_leaves_it_out(library):
    good = track(library, "a.wav", is_audit=False)
    track(library, "b.aiff", "AIFF", is_audit=False)
    fresh, older = pool.candidates(library)
    assert (fresh.tolist(), older.tolist()) == ([good.pk], [])


def test_a_library_of_nothing_but_aiff_serves_nothing(library):
    track(library, "b.aiff", "AIFF")
    assert served(library, factories.make_annotator(library)) == []


def test_a_library_without_audio_is_labelled_by_its_facts(library):
    factories.make_track(library, "c")
    assert served(library, factories.make_annotator(library)) == ["c"]


@pytest.mark.parametrize("path", ["/", "/tracks/{slug}/", "/annotate/{slug}/"])
def test_pages_say_how_many_wait(library, client, path):
    track(library, "b.aiff", "AIFF")
    factories.make_labels(library)
    client.force_login(factories.make_user(library=library, role="manager"))
    text = " ".join(client.get(path.format(slug=library.slug)).content.decode().split())
    assert "not served, because browsers cannot play" in text


def test_the_tracks_page_finds_them_and_the_page_of_the_track_says_why(library, client):
    track(library, "a.wav")
    bad = track(library, "b.aiff", "AIFF")
    client.force_login(factories.make_user(library=library, role="manager"))
    text = client.get(f"/tracks/{library.slug}/?state=unplayable").content.decode()
    assert "b.aiff" in text
    assert "a.wav" not in text
    assert "not playable" in text
    text = client.get(f"/tracks/{library.slug}/{bad.pk}/").content.decode()
    assert "Browsers cannot play this file: AIFF" in text


def test_nothing_is_said_where_all_can_be_heard(library, client):
    track(library, "a.wav")
    factories.make_labels(library)
    client.force_login(factories.make_user(library=library, role="manager"))
    for path in ("/", f"/tracks/{library.slug}/", f"/annotate/{library.slug}/"):
        text = client.get(path).content.decode()
        assert "cannot play" not in text.replace("browsers cannot play it</option>", "")
    assert Track.objects.get().state == "ready"


def test_files_that_were_probed_before_the_upgrade_are_marked_too():
    root = AudioRoot.objects.create(name="old", path="/old")
    for number, (container, subtype) in enumerate(
        [("AIFF", "PCM_16"), ("WAV", "DOUBLE"), ("MP3", "MPEG_LAYER_II"), ("WAV", "PCM_16")]
    ):
        AudioFile.objects.create(
            root=root, relative_path=f"{number}", container=container, subtype=subtype
        )
    migration = import_module("labeling.migrations.0013_unplayable_audio")
    migration.mark_unplayable(apps, SimpleNamespace(connection=connection))
    reasons = root.files.order_by("relative_path").values_list("unplayable", flat=True)
    assert list(reasons) == ["AIFF", "WAV with 64-bit float numbers", "MPEG Layer II", ""]
