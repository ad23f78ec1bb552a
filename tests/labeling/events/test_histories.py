"""Random histories: what the program keeps always equals a replay by a second, naive rule book.

The rule book below shares no code with the program: it keeps the whole history as a list and
works the state out by recursion, with merged labels resolved at the end.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from labeling.loop import desk
from labeling.loop.events import alternate_mixes, current_answers, record
from labeling.loop.events.answers import FacetAnswer, current_states
from labeling.loop.library import taxonomy
from labeling.models import Annotation, CurrentAnswer, Facet, Label
from tests import factories

START = datetime(2024, 1, 1, tzinfo=UTC)
FACETS = ("genre", "mood")

answer = st.fixed_dictionaries(
    {
        "facet": st.sampled_from(FACETS),
        "values": st.dictionaries(st.integers(0, 3), st.sampled_from([1, 0, -1]), max_size=3),
        "complete": st.booleans(),
    }
)
step = st.one_of(
    st.fixed_dictionaries(
        {
            "do": st.sampled_from(["judge", "revise", "judge"]),
            "who": st.integers(0, 1),
            "track": st.integers(0, 2),
            "answers": st.lists(answer, min_size=1, max_size=2, unique_by=lambda a: a["facet"]),
            "minutes": st.integers(0, 10_000),
        }
    ),
    st.fixed_dictionaries({"do": st.just("undo"), "which": st.integers(0, 50)}),
    st.fixed_dictionaries(
        {"do": st.just("propagate"), "which": st.integers(0, 50), "track": st.integers(0, 2)}
    ),
    st.fixed_dictionaries(
        {
            "do": st.sampled_from(["merge", "unmerge"]),
            "facet": st.sampled_from(FACETS),
            "a": st.integers(0, 3),
            "b": st.integers(0, 3),
        }
    ),
)


class RuleBook:
    """The naive second opinion: a list of dicts and recursion."""

    def __init__(self):
        self.events = []
        self.merged = {}

    def is_live(self, n):
        event = self.events[n]
        if any(
            other["kind"] == "retraction" and other["of"] == n and self.is_live_retraction(m)
            for m, other in enumerate(self.events)
        ):
            return False
        if event["kind"] in ("revision", "propagated"):
            return self.is_live(event["of"])
        return True

    def is_live_retraction(self, n):
        return not any(
            other["kind"] == "retraction" and other["of"] == n and self.is_live_retraction(m)
            for m, other in enumerate(self.events)
        )

    def root(self, n):
        while self.events[n]["kind"] == "revision":
            n = self.events[n]["of"]
        return n

    def end(self, label):
        while label in self.merged:
            label = self.merged[label]
        return label

    def state(self, who, track):
        held = {}
        for n, event in enumerate(self.events):
            if event["who"] != who or event["track"] != track or event["kind"] == "retraction":
                continue
            if not self.is_live(n):
                continue
            root = self.events[self.root(n)]
            order = (root["kind"] != "propagated", root["at"], n)
            for said in event["answers"]:
                if said["facet"] not in held or held[said["facet"]][0] < order:
                    held[said["facet"]] = (order, said)
        return {facet: self._resolved(said) for facet, (_, said) in held.items()}

    def _resolved(self, said):
        values = {}
        for label, value in said["values"].items():
            end = self.end((said["facet"], label))
            values[end] = max(value, values.get(end, value))
        return values, said["complete"]


class Histories(TestCase):
    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(steps=st.lists(step, min_size=1, max_size=18))
    def test_current_state_equals_a_replay(self, steps):
        world = World()
        for one in steps:
            getattr(world, one["do"])(one)
            world.compare()
        before = sorted(
            CurrentAnswer.objects.values_list("annotator", "track", "facet", "answer")
        )
        assert current_answers.rebuild_current_answers(world.library) == 0
        CurrentAnswer.objects.all().delete()
        current_answers.rebuild_current_answers(world.library)
        after = sorted(
            CurrentAnswer.objects.values_list("annotator", "track", "facet", "answer")
        )
        assert after == [row for row in before if row[3] is not None]


class World:
    def __init__(self):
        self.library = factories.make_library()
        self.labels = {}
        for facet in FACETS:
            names = [f"{facet} {n}" for n in range(4)]
            for n, label in enumerate(factories.make_labels(self.library, facet, names)):
                self.labels[facet, n] = label
        self.facets = {
            facet.name: facet for facet in Facet.objects.filter(library=self.library)
        }
        self.people = [factories.make_annotator(self.library) for _ in range(2)]
        self.tracks = [factories.make_track(self.library) for _ in range(3)]
        self.book = RuleBook()
        self.rows = []
        self.changes = []

    def compare(self):
        for w, person in enumerate(self.people):
            states = current_states(
                self.library,
                annotator_id=person.pk,
                track_ids=[track.pk for track in self.tracks],
            )
            for t, track in enumerate(self.tracks):
                expected = {
                    self.facets[facet].pk: (
                        {self.labels[label].pk: value for label, value in values.items()},
                        complete,
                    )
                    for facet, (values, complete) in self.book.state(w, t).items()
                }
                actual = {
                    facet_id: (dict(state.values), state.is_complete)
                    for facet_id, state in states.get(track.pk, {}).items()
                }
                assert actual == expected

    def judge(self, one):
        self._record(one, Annotation.Kind.JUDGEMENT, None)

    def revise(self, one):
        """Edit through the front door: the program itself finds what is edited."""
        person, track = self.people[one["who"]], self.tracks[one["track"]]
        answers = self._answers(one)
        at = START + timedelta(minutes=one["minutes"])
        row = desk.save(
            record.Submission(track=track, annotator=person, answers=answers, answered_at=at)
        ).annotation
        of = self.rows.index(row.revises) if row.revises else None
        self._note(one, row, of)

    def _record(self, one, kind, of):
        person, track = self.people[one["who"]], self.tracks[one["track"]]
        row = Annotation.objects.create(
            library=self.library,
            track=track,
            annotator=person,
            kind=kind,
            guideline=self.library.guidelines.get(number=0),
            answered_at=START + timedelta(minutes=one["minutes"]),
            idempotency_key=f"k{len(self.rows)}",
            request_hash="",
        )
        record.write_answers(row, self._answers(one))
        current_answers.project(person.pk, [track.pk])
        self._note(one, row, of)

    def _answers(self, one):
        return [
            FacetAnswer(
                self.facets[said["facet"]].pk,
                {self.labels[said["facet"], n].pk: v for n, v in said["values"].items()},
                said["complete"],
            )
            for said in one["answers"]
        ]

    def _note(self, one, row, of):
        self.rows.append(row)
        self.book.events.append(
            {
                "who": one["who"],
                "track": one["track"],
                "kind": row.kind,
                "of": of,
                "at": row.answered_at,
                "answers": one["answers"],
            }
        )

    def undo(self, one):
        candidates = [
            n
            for n, event in enumerate(self.book.events)
            if event["kind"] not in ("retraction", "propagated")
        ]
        if not candidates:
            return
        n = candidates[one["which"] % len(candidates)]
        known = {row.pk for row in self.rows}
        row = desk.undo(self.rows[n])
        if row.pk in known:
            return
        event = self.book.events[n]
        self.rows.append(row)
        self.book.events.append(
            {**event, "kind": "retraction", "of": n, "at": row.answered_at, "answers": []}
        )

    def propagate(self, one):
        sources = [
            n
            for n, event in enumerate(self.book.events)
            if event["kind"] in ("judgement", "revision")
        ]
        if not sources:
            return
        n = sources[one["which"] % len(sources)]
        for row in alternate_mixes.propagate(self.rows[n], [self.tracks[one["track"]]]):
            event = self.book.events[n]
            self._note(
                {"who": event["who"], "track": one["track"], "answers": event["answers"]},
                row,
                n,
            )

    def merge(self, one):
        source, target = (one["facet"], one["a"]), (one["facet"], one["b"])
        ends = self.book.merged
        if source == target or source in ends or self.book.end(target) == source:
            return
        change = taxonomy.merge(
            Label.objects.get(pk=self.labels[source].pk),
            Label.objects.get(pk=self.labels[target].pk),
        )
        ends[source] = target
        self.changes.append((change, source))

    def unmerge(self, one):
        if self.changes:
            change, source = self.changes.pop()
            taxonomy.undo_change(change)
            del self.book.merged[source]


pytestmark = pytest.mark.django_db
