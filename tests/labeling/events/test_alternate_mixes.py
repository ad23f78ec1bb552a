from __future__ import annotations

import pytest

from labeling.errors import BadInput
from labeling.loop import desk
from labeling.loop.events import record
from labeling.loop.events.alternate_mixes import propagate
from labeling.loop.events.answers import FacetAnswer, current_states
from labeling.models import Label
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def library():
    return factories.make_library()


@pytest.fixture
def label(library):
    return factories.make_labels(library)[0]


@pytest.fixture
def judged(library, label):
    return desk.save(
        record.Submission(
            track=factories.make_track(library),
            annotator=factories.make_annotator(library),
            answers=[FacetAnswer(label.facet_id, {label.pk: 1})],
        )
    ).annotation


def state(judged, track):
    states = current_states(
        judged.library, annotator_id=judged.annotator_id, track_ids=[track.pk]
    )
    return next(iter(states.get(track.pk, {}).values()), None)


def test_a_label_that_came_later_was_asked_on_neither(library, label, judged):
    (later,) = factories.make_labels(library, names=("Later",))
    mix = factories.make_track(library)
    propagate(judged, [mix])
    assert state(judged, mix).value_of(label.pk) == 1
    assert state(judged, mix).value_of(later.pk) is None
    assert Label.objects.filter(pk=later.pk, is_active=True).exists()


def test_carrying_twice_is_once_and_after_an_undo_it_works_again(library, judged):
    mix = factories.make_track(library)
    (copy,) = propagate(judged, [mix])
    assert propagate(judged, [mix]) == []
    desk.undo(copy)
    assert state(judged, mix) is None
    assert len(propagate(judged, [mix])) == 1
    assert state(judged, mix) is not None


def test_nothing_is_carried_to_what_measures_nor_out_of_the_library(library, judged):
    assert propagate(judged, [factories.make_track(library, is_audit=True)]) == []
    foreign = factories.make_track(factories.make_library())
    with pytest.raises(BadInput, match="own library"):
        propagate(judged, [foreign])
