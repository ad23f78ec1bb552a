"""Eight clients at once: nothing is given twice, nothing is lost, nothing fails."""

from __future__ import annotations

import pytest

from labeling.errors import BadInput, QueueEmpty
from labeling.loop import desk
from labeling.loop.events import record
from labeling.loop.events.answers import FacetAnswer
from labeling.loop.library import taxonomy
from labeling.loop.serving import leases, serve
from labeling.models import (
    Annotation,
    Annotator,
    CurrentAnswer,
    Label,
    Presentation,
    QueueItem,
)
from labeling.models.queue import Stratum
from tests import factories
from tests.at_once import all_at_once

pytestmark = pytest.mark.django_db(transaction=True)
CLIENTS = 8


@pytest.fixture
def library():
    return factories.make_library(retrain_after=0)


@pytest.fixture
def label(library):
    return factories.make_labels(library)[0]


def submit(presentation, label, **over):
    return desk.save(
        record.Submission(
            track=presentation.track,
            annotator=presentation.annotator,
            answers=[FacetAnswer(label.facet_id, {label.pk: 1})],
            presentation=presentation,
            **over,
        )
    )


def test_the_whole_queue_is_labelled_once_by_eight_annotators(library, label):
    n = 120
    pool = [factories.make_track(library) for _ in range(n)]
    round_ = serve.live_round(library)
    overlap = 20
    for rank, track in enumerate(pool):
        needed = 2 if rank < overlap else 1
        QueueItem.objects.create(
            round=round_,
            track=track,
            rank=rank,
            stratum=Stratum.OVERLAP if needed == 2 else Stratum.ACQUIRE,
            strategy="test",
            reason="",
            needed=needed,
            remaining=needed,
        )
    people = [factories.make_annotator(library) for _ in range(CLIENTS)]

    def label_all(person):
        done = 0
        while True:
            try:
                shown = desk.next_tracks(Annotator.objects.get(pk=person.pk), ahead=1)
            except QueueEmpty:
                return done
            submit(shown[0], label)
            done += 1

    done = all_at_once(label_all, people)
    assert sum(done) == n + overlap
    assert QueueItem.objects.filter(remaining__gt=0).count() == 0
    assert Annotation.objects.count() == CurrentAnswer.objects.count() == n + overlap
    assert not Presentation.objects.filter(outcome="open").exists()


def test_two_windows_of_one_annotator_get_the_same_track(library):
    for _ in range(5):
        factories.make_track(library)
    ana = factories.make_annotator(library)

    def look(_):
        return desk.next_tracks(Annotator.objects.get(pk=ana.pk))[0].pk

    seen = all_at_once(look, range(CLIENTS))
    assert len(set(seen)) == 1
    assert Presentation.objects.count() == 1


def test_the_same_request_eight_times_is_one_event(library, label):
    factories.make_track(library)
    shown = desk.next_tracks(factories.make_annotator(library))[0]
    recorded = all_at_once(
        lambda _: submit(shown, label, idempotency_key="once"), range(CLIENTS)
    )
    assert Annotation.objects.count() == 1
    assert {one.annotation.pk for one in recorded} == {Annotation.objects.get().pk}
    assert sum(one.is_new for one in recorded) == 1


def test_the_last_track_goes_to_one_of_eight(library):
    factories.make_track(library)
    people = [factories.make_annotator(library) for _ in range(CLIENTS)]

    def try_it(person):
        try:
            return desk.next_tracks(person)[0].pk
        except QueueEmpty:
            return None

    assert sum(one is not None for one in all_at_once(try_it, people)) == 1


def test_one_expired_lease_is_given_back_once(library, label):
    (track,) = [factories.make_track(library)]
    round_ = serve.live_round(library)
    QueueItem.objects.create(
        round=round_,
        track=track,
        rank=0,
        stratum=Stratum.OVERLAP,
        strategy="",
        reason="",
        needed=3,
        remaining=3,
    )
    late = desk.next_tracks(factories.make_annotator(library))[0]
    Presentation.objects.filter(pk=late.pk).update(lease_until=late.presented_at)
    expired = all_at_once(lambda _: leases.expire_leases(), range(CLIENTS))
    assert sum(expired) == 1
    assert QueueItem.objects.get().remaining == 3


def test_two_windows_that_answer_one_question_are_one_look_and_an_edit(library, label):
    """Else the second would count as a repeat, and the annotator as one who disagrees."""
    factories.make_track(library)
    shown = desk.next_tracks(factories.make_annotator(library))[0]
    windows = [Presentation.objects.get(pk=shown.pk) for _ in range(2)]
    kinds = [submit(window, label).annotation.kind for window in windows]
    assert kinds == [Annotation.Kind.JUDGEMENT, Annotation.Kind.REVISION]


def test_two_that_merge_into_each_other_merge_once(library):
    one, other, _ = factories.make_labels(library)

    def merge(pair):
        try:
            return taxonomy.merge(*pair).kind
        except BadInput:
            return "refused"

    for _ in range(4):
        Label.objects.update(merged_into=None)
        said = all_at_once(merge, [(one, other), (other, one)])
        assert sorted(said) == ["merge", "refused"]
