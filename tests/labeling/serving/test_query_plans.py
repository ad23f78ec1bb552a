"""SQLite walks the index it was given, with the parameters bound as the program binds them.

SQLite plans without knowing sizes here, so that the plans are those of a table of any size.
PostgreSQL plans by sizes: what it does with a million rows cannot be asked of ten.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from labeling.loop import desk
from labeling.loop.events import record as event_record
from labeling.loop.events.answers import FacetAnswer
from labeling.loop.serving import leases, random_order, repeats, serve
from labeling.models import QueueItem, Track
from labeling.models.queue import Stratum
from tests import factories

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.sqlite_only,
]


@pytest.fixture
def library():
    return factories.make_library()


@pytest.fixture
def ana(library):
    factories.make_labels(library)
    return factories.make_annotator(library)


def plans(work):
    """Return (start of the statement, its plan) of each SELECT and UPDATE that is sent."""
    found = []

    def look(execute, sql, params, many, context):
        if sql.startswith(("SELECT", "UPDATE")) and not many:
            cursor = connection.connection.cursor()
            explained = "EXPLAIN QUERY PLAN " + sql.replace("%s", "?")
            steps = cursor.execute(explained, tuple(params or ())).fetchall()
            found.append((sql, [step[3] for step in steps]))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        work()
    return found


def plan_of(found, table):
    """Return the plan of the first statement that reads this table first of all."""
    name = f'FROM "labeling_{table}"'
    return next(plan for sql, plan in found if name in sql.partition("WHERE")[0])


def queue(library, n=3):
    round_ = serve.live_round(library)
    for rank in range(n):
        QueueItem.objects.create(
            round=round_,
            track=factories.make_track(library),
            rank=rank,
            stratum=Stratum.ACQUIRE,
            strategy="test",
        )
    return round_


def record(ana, presentation, **over):
    label = ana.library.facets.get(name="genre").labels.first()
    return event_record.record_annotation(
        event_record.Submission(
            track=presentation.track,
            annotator=ana,
            answers=[FacetAnswer(label.facet_id, {label.pk: 1})],
            presentation=presentation,
            **over,
        )
    )


def test_a_candidate_is_found_by_walking_the_open_ones(library, ana):
    queue(library)
    plan = plan_of(plans(lambda: desk.next_tracks(ana)), "queueitem")
    assert plan[0].endswith("queue_item_open (round_id=? AND stratum=? AND is_open=?)")
    assert not [step for step in plan if "TEMP B-TREE" in step or "SCAN" in step]
    aside = [step for step in plan if " U0 " in step]
    # Had of this item, before me, skipped, judged; and judged since the guideline changed.
    assert {step.partition("(")[2] for step in aside} == {
        "track_id=? AND annotator_id=?)",
        "annotator_id=? AND track_id=?)",
    }
    assert len(aside) == 5


def test_nothing_of_a_pair_reads_a_table_from_end_to_end(library, ana):
    queue(library)

    def pair():
        record(ana, desk.next_tracks(ana)[0])

    pair()
    steps = [step for _, plan in plans(pair) for step in plan]
    assert len(steps) > 20
    assert not [step for step in steps if step.startswith("SCAN")]


def test_open_presentations_are_found_among_the_open_ones(library, ana):
    queue(library)
    desk.next_tracks(ana)
    found = plans(lambda: list(serve.open_presentations(ana)))
    assert "presentation_one_open (annotator_id=?)" in plan_of(found, "presentation")[0]


@pytest.mark.parametrize("of_one_library", [True, False])
def test_late_leases_are_found_by_their_time(library, ana, of_one_library):
    found = plans(lambda: leases.expire_leases(library if of_one_library else None))
    assert plan_of(found, "presentation") == [
        "SEARCH labeling_presentation USING INDEX presentation_lease (lease_until<?)"
    ]


@pytest.mark.parametrize("stratum", [Stratum.AUDIT, Stratum.EXPLORE])
@pytest.mark.parametrize("state", [Track.State.READY, Track.State.NO_AUDIO])
def test_a_walk_goes_by_the_random_key(library, ana, stratum, state):
    for is_audit in (True, False):
        factories.make_track(library, is_audit=is_audit, state=state)
    round_ = serve.live_round(library)
    found = plans(lambda: random_order.extend(round_, stratum))
    walks = [plan for sql, plan in found if '"random_key" >' in sql]
    assert [len(plan) for plan in walks] == [1]  # no sorting after it
    assert walks[0][0].endswith("track_walk (library_id=? AND is_audit=? AND random_key>?)")
    places = plan_of(found, "queueitem")
    assert places[0].endswith("(track_id=?)")


def test_whether_there_is_audio_is_one_step_into_an_index(library, ana):
    factories.make_track(library)
    found = plans(lambda: random_order.library_has_audio(library))
    assert plan_of(found, "track")[0].endswith("track_state (library_id=? AND state=?)")


def test_an_old_track_is_found_without_reading_what_came_later(library, ana):
    queue(library)
    old = timezone.now() - timedelta(days=60)
    record(ana, desk.next_tracks(ana)[0], answered_at=old)
    found = plans(lambda: repeats.lay_out(serve.live_round(library), ana))
    plan = plan_of(found, "annotation")
    assert "annotation_time (annotator_id=? AND answered_at<?)" in plan[0]
    aside = [step.partition("(")[2] for step in plan if " U0 " in step]
    assert set(aside) == {"track_id=? AND annotator_id=?)", "annotator_id=? AND track_id=?)"}
