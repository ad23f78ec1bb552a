"""Serving in random order: what is passed over, and where it ends."""

from __future__ import annotations

import pytest

from labeling.loop import desk
from labeling.loop.events import record
from labeling.loop.events.answers import FacetAnswer
from labeling.loop.serving import random_order, serve
from labeling.models import QueueItem, Round, Track
from labeling.models.queue import Stratum
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _small_portions(monkeypatch):
    monkeypatch.setattr(random_order, "PORTION", 2)


@pytest.fixture
def library():
    return factories.make_library()


@pytest.fixture
def round_(library):
    return serve.live_round(library)


def pool(library, n):
    """Make tracks of the training side, in the random order."""
    return [factories.make_track(library, random_key=100 * (place + 1)) for place in range(n)]


def laid_out(round_):
    rows = QueueItem.objects.filter(round=round_, stratum=Stratum.EXPLORE).order_by("rank")
    return list(rows.values_list("track_id", flat=True))


def rank(round_, tracks):
    for place, track in enumerate(tracks):
        QueueItem.objects.create(
            round=round_, track=track, rank=place, stratum=Stratum.ACQUIRE, strategy="test"
        )


def answer(annotator, track, label):
    desk.save(
        record.Submission(
            track=track,
            annotator=annotator,
            answers=[FacetAnswer(label.facet_id, {label.pk: 1})],
        )
    )


def cursor(round_):
    return Round.objects.get(pk=round_.pk).explore_cursor


def test_a_portion_is_laid_out_in_the_order_of_the_key(library, round_):
    tracks = pool(library, 3)
    assert random_order.extend(round_, Stratum.EXPLORE)
    assert laid_out(round_) == [track.pk for track in tracks[:2]]
    assert cursor(round_) == 200


def test_what_the_round_ranked_keeps_its_place_and_is_walked_past(library, round_):
    tracks = pool(library, 6)
    rank(round_, tracks[:4])
    assert random_order.extend(round_, Stratum.EXPLORE)
    assert laid_out(round_) == [track.pk for track in tracks[4:]]
    assert QueueItem.objects.filter(stratum=Stratum.ACQUIRE).count() == 4


def test_a_place_in_an_older_round_is_no_place(library, round_):
    tracks = pool(library, 2)
    rank(round_, tracks)
    Round.objects.update(state=Round.State.RETIRED)
    newer = serve.live_round(library)
    assert random_order.extend(newer, Stratum.EXPLORE)
    assert laid_out(newer) == [track.pk for track in tracks]


def test_what_was_answered_is_walked_past_once(library, round_):
    tracks = pool(library, 9)
    ana = factories.make_annotator(library)
    label = factories.make_labels(library)[0]
    for track in tracks:
        answer(ana, track, label)
    assert not random_order.extend(round_, Stratum.EXPLORE)
    assert laid_out(round_) == []
    assert cursor(round_) == 900


def test_the_end_of_a_walk_is_left_when_tracks_come(library, round_):
    pool(library, 1)
    assert random_order.extend(round_, Stratum.EXPLORE)
    assert not random_order.extend(round_, Stratum.EXPLORE)
    late = factories.make_track(library, random_key=1_000)
    assert random_order.extend(round_, Stratum.EXPLORE)
    assert laid_out(round_)[-1] == late.pk


def test_who_loses_the_race_lays_nothing_out(library, round_):
    tracks = pool(library, 4)
    wanted = [(track, Stratum.EXPLORE, 1) for track in tracks[:2]]
    Round.objects.update(explore_cursor=200)
    assert random_order._lay_out(round_, "explore_cursor", -1, 200, wanted)
    assert laid_out(round_) == []


@pytest.mark.parametrize(
    ("state", "has_audio"),
    [
        (Track.State.NO_AUDIO, False),
        (Track.State.MISSING, False),
        (Track.State.PENDING, True),
        (Track.State.READY, True),
        (Track.State.UNREADABLE, True),
    ],
)
def test_a_library_has_audio_when_any_track_has_a_file(library, state, has_audio):
    factories.make_track(library)
    factories.make_track(library, state=state)
    assert random_order.library_has_audio(library) is has_audio


def test_every_state_says_whether_there_is_a_file():
    without = {Track.State.NO_AUDIO, Track.State.MISSING, Track.State.WITHDRAWN}
    assert set(random_order._WITH_FILE) | without == set(Track.State)
    assert not set(random_order._WITH_FILE) & without


def test_a_track_that_comes_in_behind_the_cursor_is_served_in_the_same_round():
    library = factories.make_library()
    for n in range(5):
        factories.make_track(library, random_key=100 + n)
    ana = factories.make_annotator(library)
    desk.next_tracks(ana, ahead=3)
    late = factories.make_track(library, random_key=1)
    random_order.restart([library.pk])
    ben = factories.make_annotator(library)
    served = {shown.track_id for shown in desk.next_tracks(ben, ahead=3)}
    assert late.pk in served
    assert len(served) == 2
