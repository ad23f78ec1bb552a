"""Late answers, skips and undo in every order: no place is given twice, no answer is lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.errors import BadInput, QueueEmpty
from labeling.loop import desk
from labeling.loop.consistency import agreement
from labeling.loop.events import record
from labeling.loop.events.answers import FacetAnswer
from labeling.loop.serving import leases, serve
from labeling.models import Annotation, Presentation, QueueItem, Round, Track
from labeling.models.queue import Stratum
from tests import factories

pytestmark = pytest.mark.django_db
Outcome = Presentation.Outcome


@pytest.fixture
def library():
    return factories.make_library()


@pytest.fixture
def label(library):
    return factories.make_labels(library)[0]


@pytest.fixture
def track(library):
    return factories.make_track(library)


@pytest.fixture
def ana(library):
    return factories.make_annotator(library, "ana")


@pytest.fixture
def ben(library):
    return factories.make_annotator(library, "ben")


def rank(library, track, **over):
    fields = {"stratum": Stratum.ACQUIRE, "strategy": "test", "reason": "", "rank": 0} | over
    return QueueItem.objects.create(round=serve.live_round(library), track=track, **fields)


def present(annotator):
    return desk.next_tracks(annotator)[0]


def expire(presentation):
    past = timezone.now() - timedelta(minutes=1)
    Presentation.objects.filter(pk=presentation.pk).update(lease_until=past)
    leases.expire_leases()


def fresh(presentation):
    return Presentation.objects.get(pk=presentation.pk)


def answer(presentation, label, **over):
    return desk.save(
        record.Submission(
            track=presentation.track,
            annotator=presentation.annotator,
            answers=[FacetAnswer(label.facet_id, {label.pk: 1})],
            presentation=fresh(presentation),
            **over,
        )
    ).annotation


@pytest.mark.parametrize("then", ["answered", "skipped"])
def test_a_late_answer_is_kept_after_the_track_was_dealt_with_again(
    library, label, track, ana, then
):
    item = rank(library, track)
    late = present(ana)
    expire(late)
    again = present(ana)
    if then == "answered":
        answer(again, label)
    else:
        leases.skip(again, "noise")
    recorded = answer(late, label)
    assert Annotation.objects.filter(pk=recorded.pk).exists()
    assert recorded.kind == ("revision" if then == "answered" else "judgement")
    item.refresh_from_db()
    assert item.remaining == (0 if then == "answered" else 1)


def test_a_late_answer_is_no_repeat_of_the_one_given_meanwhile(library, label, track, ana):
    rank(library, track)
    late = present(ana)
    expire(late)
    Round.objects.update(state=Round.State.RETIRED)
    rank(library, track)
    again = present(ana)
    answer(late, label)
    assert fresh(again).outcome == Outcome.RELEASED
    assert sum(row["n"] for row in agreement.report(library)["self"]) == 0


def test_an_answer_to_a_skipped_track_takes_its_place_again(library, label, track, ana, ben):
    item = rank(library, track)
    shown = present(ana)
    leases.skip(shown, "noise")
    answer(shown, label)
    item.refresh_from_db()
    assert item.remaining == 0
    with pytest.raises(QueueEmpty):
        present(ben)


def test_a_place_that_was_never_taken_again_is_not_given_back(library, label, track, ana, ben):
    item = rank(library, track)
    late = present(ana)
    expire(late)
    answer(present(ben), label)
    desk.undo(answer(late, label))
    leases.release(fresh(late))
    item.refresh_from_db()
    assert item.remaining == 0
    with pytest.raises(QueueEmpty):
        present(factories.make_annotator(library))


def test_a_skip_after_the_lease_ran_out_is_recorded_and_holds(library, track, ana, ben):
    rank(library, track)
    late = present(ana)
    expire(late)
    leases.skip(fresh(late), "not my style")
    assert (fresh(late).outcome, fresh(late).skip_reason) == (Outcome.SKIPPED, "not my style")
    with pytest.raises(QueueEmpty):
        present(ana)
    assert present(ben).track_id == track.pk


def test_what_is_answered_can_be_neither_skipped_nor_released(library, label, track, ana):
    rank(library, track)
    shown = present(ana)
    answer(shown, label)
    for end in (lambda one: leases.skip(one, "x"), leases.release):
        with pytest.raises(BadInput, match="undo the answer first"):
            end(fresh(shown))


def test_a_clock_that_is_slow_does_not_put_an_answer_before_its_question(
    library, label, track, ana
):
    rank(library, track)
    shown = present(ana)
    recorded = answer(shown, label, answered_at=timezone.now() - timedelta(days=9_000))
    assert recorded.answered_at == shown.presented_at


def test_a_track_that_became_an_audit_track_is_no_longer_acquired(library, track, ana):
    rank(library, track)
    Track.objects.filter(pk=track.pk).update(is_audit=True)
    shown = present(ana)
    assert shown.stratum in (Stratum.AUDIT, Stratum.OVERLAP)


@pytest.mark.parametrize("state", [Track.State.UNREADABLE, Track.State.MISSING])
def test_a_track_whose_file_turned_out_bad_is_not_served(library, track, ana, state):
    Track.objects.update(state=Track.State.READY)
    rank(library, track)
    good = factories.make_track(library, state=Track.State.READY)
    Track.objects.filter(pk=track.pk).update(state=state)
    assert present(ana).track_id == good.pk


def test_once_a_library_has_audio_only_that_is_served(library, track, ana):
    rank(library, track)
    with_audio = factories.make_track(library, state=Track.State.READY)
    assert [one.track_id for one in desk.next_tracks(ana, ahead=3)] == [with_audio.pk]
