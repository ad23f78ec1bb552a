from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.errors import QueueEmpty
from labeling.loop import desk
from labeling.loop.events import record
from labeling.loop.events.answers import FacetAnswer
from labeling.loop.serving import leases, serve
from labeling.models import (
    Annotation,
    Annotator,
    Facet,
    Presentation,
    QueueItem,
    Round,
    Track,
)
from labeling.models.queue import Stratum
from tests import factories

pytestmark = pytest.mark.django_db
Outcome = Presentation.Outcome


@pytest.fixture
def library():
    return factories.make_library()


@pytest.fixture
def labels(library):
    return factories.make_labels(library)


def tracks(library, n, **over):
    return [factories.make_track(library, **over) for _ in range(n)]


def rank(library, tracks, **over):
    """Put tracks into the live round as acquisition does."""
    round_ = serve.live_round(library)
    fields = {"stratum": Stratum.ACQUIRE, "strategy": "test", "reason": "because"} | over
    return [
        QueueItem.objects.create(round=round_, track=track, rank=n, **fields)
        for n, track in enumerate(tracks)
    ]


def answer(presentation, labels, *, key=""):
    facet = labels[0].facet
    over = {"idempotency_key": key} if key else {}
    return desk.save(
        record.Submission(
            track=presentation.track,
            annotator=presentation.annotator,
            answers=[FacetAnswer(facet.pk, {labels[0].pk: 1})],
            presentation=Presentation.objects.get(pk=presentation.pk),
            **over,
        )
    )


def test_it_presents_the_open_track_again_instead_of_a_new_one(library):
    tracks(library, 3)
    ana = factories.make_annotator(library)
    first = desk.next_tracks(ana)[0]
    assert desk.next_tracks(ana)[0].pk == first.pk
    assert Presentation.objects.count() == 1


def test_the_queue_of_a_library_that_nobody_ranked_is_never_empty(library, labels):
    tracks(library, 3)
    ana = factories.make_annotator(library)
    seen = set()
    for _ in range(3):
        presentation = desk.next_tracks(ana)[0]
        seen.add(presentation.track_id)
        answer(presentation, labels)
    assert len(seen) == 3
    with pytest.raises(QueueEmpty):
        desk.next_tracks(ana)


def test_one_track_is_not_given_to_two_annotators(library):
    tracks(library, 2)
    ana, ben = factories.make_annotator(library), factories.make_annotator(library)
    a, b = desk.next_tracks(ana)[0], desk.next_tracks(ben)[0]
    assert a.track_id != b.track_id
    with pytest.raises(QueueEmpty):
        desk.next_tracks(factories.make_annotator(library))


def test_ahead_leases_more_and_counts_the_open_ones(library):
    tracks(library, 5)
    ana = factories.make_annotator(library)
    shown = desk.next_tracks(ana, ahead=2)
    again = desk.next_tracks(ana, ahead=2)
    assert [p.pk for p in shown] == [p.pk for p in again]
    assert len({p.track_id for p in shown}) == 3


def test_ranked_tracks_come_in_the_order_of_their_rank(library, labels):
    pool = tracks(library, 6)
    rank(library, [pool[3], pool[1], pool[5]])
    library.serve_audit_share = library.overlap_share = 0
    library.repeat_share = library.explore_share = 0
    library.save()
    ana = factories.make_annotator(library)
    order = []
    for _ in range(3):
        presentation = desk.next_tracks(Annotator.objects.get(pk=ana.pk))[0]
        order.append(presentation.track_id)
        assert presentation.reason == "because"
        answer(presentation, labels)
    assert order == [pool[3].pk, pool[1].pk, pool[5].pk]


def test_an_overlap_track_goes_to_as_many_annotators_as_are_wanted(library, labels):
    (track,) = tracks(library, 1)
    rank(library, [track], stratum=Stratum.OVERLAP, needed=2, remaining=2)
    people = [factories.make_annotator(library) for _ in range(3)]
    for person in people[:2]:
        assert desk.next_tracks(person)[0].track_id == track.pk
    with pytest.raises(QueueEmpty):
        desk.next_tracks(people[2])
    assert QueueItem.objects.get(stratum=Stratum.OVERLAP).remaining == 0


def test_a_skipped_track_goes_to_others_and_not_to_the_same_person(library):
    (track,) = tracks(library, 1)
    rank(library, [track])
    ana, ben = factories.make_annotator(library), factories.make_annotator(library)
    leases.skip(desk.next_tracks(ana)[0], "cannot hear it")
    with pytest.raises(QueueEmpty):
        desk.next_tracks(ana)
    assert desk.next_tracks(ben)[0].track_id == track.pk
    assert Presentation.objects.get(annotator=ana).skip_reason == "cannot hear it"


def test_a_released_track_may_come_back_to_the_same_person(library):
    rank(library, tracks(library, 1))
    ana = factories.make_annotator(library)
    leases.release(desk.next_tracks(ana)[0])
    assert desk.next_tracks(ana)[0].outcome == Outcome.OPEN


def expire(presentation):
    past = timezone.now() - timedelta(minutes=1)
    Presentation.objects.filter(pk=presentation.pk).update(lease_until=past)


def test_an_expired_lease_is_handed_out_once_and_the_late_answer_is_kept(library, labels):
    (track,) = tracks(library, 1)
    rank(library, [track])
    ana, ben, cay = (factories.make_annotator(library) for _ in range(3))
    late = desk.next_tracks(ana)[0]
    expire(late)
    assert desk.next_tracks(ben)[0].track_id == track.pk
    with pytest.raises(QueueEmpty):
        desk.next_tracks(cay)
    assert answer(late, labels).is_new
    assert Annotation.objects.filter(annotator=ana, track=track).count() == 1
    assert Presentation.objects.get(pk=late.pk).outcome == Outcome.ANSWERED


def test_a_late_answer_takes_the_place_that_nobody_took(library, labels):
    rank(library, tracks(library, 1))
    ana = factories.make_annotator(library)
    late = desk.next_tracks(ana)[0]
    expire(late)
    assert leases.expire_leases() == 1
    assert QueueItem.objects.get().remaining == 1
    answer(late, labels)
    assert QueueItem.objects.get().remaining == 0


def test_a_late_answer_closes_the_newer_presentation_of_the_same_track(library, labels):
    rank(library, tracks(library, 1))
    ana = factories.make_annotator(library)
    late = desk.next_tracks(ana)[0]
    expire(late)
    leases.expire_leases()
    newer = desk.next_tracks(ana)[0]
    assert newer.pk != late.pk
    answer(late, labels)
    outcomes = dict(Presentation.objects.values_list("pk", "outcome"))
    assert outcomes == {late.pk: Outcome.ANSWERED, newer.pk: Outcome.RELEASED}
    assert QueueItem.objects.get().remaining == 0


def test_undo_puts_the_track_before_its_annotator_again(library, labels):
    tracks(library, 3)
    ana = factories.make_annotator(library)
    first = desk.next_tracks(ana)[0]
    recorded = answer(first, labels)
    second = desk.next_tracks(ana)[0]
    desk.undo(recorded.annotation)
    assert [p.pk for p in desk.next_tracks(ana, ahead=1)] == [first.pk, second.pk]


def test_a_library_with_audio_serves_only_what_is_ready(library):
    ready = factories.make_track(library, state=Track.State.READY)
    for state in (Track.State.PENDING, Track.State.UNREADABLE, Track.State.MISSING):
        factories.make_track(library, state=state)
    ana = factories.make_annotator(library)
    assert [p.track_id for p in desk.next_tracks(ana, ahead=3)] == [ready.pk]


def test_the_strata_are_served_in_their_shares(library, labels):
    tracks(library, 120, is_audit=True)
    rank(library, tracks(library, 200))
    tracks(library, 100)
    ana = factories.make_annotator(library)
    for _ in range(100):
        answer(desk.next_tracks(ana)[0], labels)
    served = Counter(Presentation.objects.values_list("stratum", flat=True))
    # No old tracks of her own to repeat: those four turns go to acquisition.
    assert served == {"acquire": 70, "explore": 10, "audit": 12, "overlap": 8}


def test_audit_tracks_come_in_the_order_of_the_random_key(library, labels):
    audit = tracks(library, 30, is_audit=True)
    library.overlap_share = 0
    library.save()
    ana = factories.make_annotator(library)
    order = []
    for _ in range(30):
        presentation = desk.next_tracks(ana)[0]
        order.append(presentation.track.random_key)
        answer(presentation, labels)
    assert order == sorted(track.random_key for track in audit)


def old_judgement(annotator, track, *, days):
    return Annotation.objects.create(
        library=annotator.library,
        track=track,
        annotator=annotator,
        kind="judgement",
        guideline=annotator.library.guidelines.get(number=0),
        answered_at=timezone.now() - timedelta(days=days),
        idempotency_key=f"old{track.pk}",
        request_hash="",
    )


def with_old_tracks(library, ana, labels, *, days):
    for track in tracks(library, 4):
        row = old_judgement(ana, track, days=days)
        record.write_answers(row, [FacetAnswer(labels[0].facet_id, {labels[0].pk: 1})])
        record.project(ana.pk, [track.pk])
    library.serve_audit_share = library.overlap_share = library.explore_share = 0
    library.repeat_share = 1
    library.save()


def test_own_old_tracks_come_back_each_once(library, labels):
    ana = factories.make_annotator(library)
    with_old_tracks(library, ana, labels, days=60)
    seen = []
    for _ in range(4):
        presentation = desk.next_tracks(ana)[0]
        assert presentation.stratum == Stratum.REPEAT
        seen.append(presentation.track_id)
        recorded = answer(presentation, labels)
        assert recorded.annotation.kind == Annotation.Kind.JUDGEMENT
    assert len(set(seen)) == 4
    with pytest.raises(QueueEmpty):
        desk.next_tracks(ana)


def test_own_tracks_do_not_come_back_too_soon_nor_to_others(library, labels):
    ana = factories.make_annotator(library)
    with_old_tracks(library, ana, labels, days=10)
    with pytest.raises(QueueEmpty):
        desk.next_tracks(ana)
    with pytest.raises(QueueEmpty):
        desk.next_tracks(factories.make_annotator(library))


def test_preview_leases_nothing_and_shows_what_is_served(library):
    tracks(library, 20, is_audit=True)
    rank(library, tracks(library, 20))
    ana = factories.make_annotator(library)
    previewed = [item.track_id for item in serve.preview_queue(library, annotator=ana, count=4)]
    assert Presentation.objects.count() == 0
    assert [p.track_id for p in desk.next_tracks(ana, ahead=3)] == previewed


def test_what_was_answered_stays_out_of_the_walk_of_the_next_round(library, labels):
    tracks(library, 4, is_audit=True)
    library.overlap_share = 0
    library.save()
    ana, ben = factories.make_annotator(library), factories.make_annotator(library)
    done = desk.next_tracks(ana)[0]
    answer(done, labels)
    Round.objects.update(state=Round.State.RETIRED)
    shown = {desk.next_tracks(ben)[0].track_id, desk.next_tracks(ana)[0].track_id}
    assert done.track_id not in shown


def test_facets_exist_for_every_new_library(library):
    names = Facet.objects.filter(library=library).values_list("name", flat=True)
    assert list(names) == ["genre", "mood", "instrumentation", "category"]


def test_after_a_skipped_repeat_another_old_track_comes(library, labels):
    ana = factories.make_annotator(library)
    with_old_tracks(library, ana, labels, days=60)
    first = desk.next_tracks(ana)[0]
    leases.skip(first, "not again")
    assert desk.next_tracks(ana)[0].track_id != first.track_id
