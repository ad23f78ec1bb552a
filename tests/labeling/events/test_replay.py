"""The rules of what holds, on histories small enough to check by hand."""

from __future__ import annotations

from datetime import UTC, datetime

from labeling.loop.events.replay import Event, holding, live_ids

GENRE, MOOD = 1, 2


def day(n: int) -> datetime:
    return datetime(2024, 1, n, tzinfo=UTC)


def look(id_, at=None, kind="judgement", track=1, answers=None, **over):
    answers = {GENRE: id_ * 10} if answers is None else answers
    return Event(id_, track, kind, answered_at=at and day(at), answers=answers, **over)


def test_the_newest_answer_holds_for_each_facet():
    events = [look(1, 1), look(2, 2, answers={MOOD: 22})]
    assert holding(events) == {1: {GENRE: 10, MOOD: 22}}


def test_an_answer_about_the_past_does_not_replace_a_later_one():
    events = [look(1, 5), look(2, 3, kind="imported")]
    assert holding(events)[1][GENRE] == 10


def test_an_unknown_time_is_the_oldest():
    assert holding([look(1, 1), look(2, None, kind="imported")])[1][GENRE] == 10
    assert holding([look(1, None), look(2, None)])[1][GENRE] == 20


def test_a_revision_replaces_what_it_revises_but_not_a_later_look():
    first, edit = look(1, 1), look(2, 9, kind="revision", revises_id=1)
    assert holding([first, edit])[1][GENRE] == 20
    assert holding([first, look(3, 5), edit])[1][GENRE] == 30


def test_undo_brings_the_state_before_back():
    events = [look(1, 1), look(2, 2), look(3, 3, kind="retraction", revises_id=2, answers={})]
    assert holding(events)[1][GENRE] == 10


def test_undo_of_a_look_takes_its_revisions_with_it():
    events = [
        look(1, 1),
        look(2, 2, kind="revision", revises_id=1),
        look(3, 3, kind="retraction", revises_id=1, answers={}),
    ]
    assert holding(events) == {}
    assert live_ids(events) == {3}


def test_undo_of_an_undo_is_a_redo():
    events = [
        look(1, 1),
        look(2, 2, kind="retraction", revises_id=1, answers={}),
        look(3, 3, kind="retraction", revises_id=2, answers={}),
    ]
    assert holding(events)[1][GENRE] == 10


def test_a_propagated_answer_gives_way_to_an_own_one_and_dies_with_its_source():
    source = look(1, 1)
    copy = look(2, 9, kind="propagated", track=2, derived_from_id=1)
    own = look(3, 2, track=2)
    assert holding([source, copy])[2][GENRE] == 20
    assert holding([source, copy, own])[2][GENRE] == 30
    gone = look(4, 9, kind="retraction", revises_id=1, answers={})
    assert holding([source, copy, gone]) == {}


def test_a_copy_of_a_copy_dies_with_the_first():
    events = [
        look(1, 1),
        look(2, 1, kind="propagated", track=2, derived_from_id=1),
        look(3, 1, kind="propagated", track=3, derived_from_id=2),
    ]
    assert set(holding(events)) == {1, 2, 3}
    events.append(look(4, 2, kind="retraction", revises_id=1, answers={}))
    assert holding(events) == {}
