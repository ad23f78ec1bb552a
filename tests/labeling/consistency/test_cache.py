"""Figures that are kept: those computed now, and never taken for newer than they are."""

from __future__ import annotations

import pytest

from labeling.loop.consistency import agreement, cache, rollups
from labeling.loop.consistency.label_rates import Filters
from labeling.models import AgreementFigures
from tests.factories import make_annotator, make_labels, make_library, make_track
from tests.labeling.histories import offer, say

pytestmark = pytest.mark.django_db


class World:
    def __init__(self):
        self.library = make_library("studio")
        self.labels = make_labels(self.library)
        self.moods = make_labels(self.library, "mood", ("Calm", "Dark"))
        self.genres, self.feelings = offer(self.labels), offer(self.moods)
        self.people = [make_annotator(self.library, name) for name in ("ana", "ben", "cora")]
        for n in range(9):
            track = make_track(self.library)
            for place, person in enumerate(self.people):
                yes = [self.labels[(n + place * (n % 2)) % 3]]
                say(person, track, yes, offered=self.genres)
            say(self.people[0], track, [self.labels[n % 3]], offered=self.genres)
            other = make_track(self.library)
            for person in self.people:
                say(person, other, [self.moods[n % 2]], offered=self.feelings)

    def say_more(self):
        say(self.people[0], make_track(self.library), [self.labels[0]], offered=self.genres)


@pytest.fixture
def world():
    return World()


@pytest.mark.parametrize("narrow", ["", "facet", "label", "annotators"])
def test_what_is_kept_is_what_is_computed(world, narrow):
    cache.refresh(world.library)
    filters = {
        "": Filters(),
        "facet": Filters(facet_id=world.moods[0].facet_id),
        "label": Filters(facet_id=world.labels[1].facet_id, label_id=world.labels[1].pk),
        "annotators": Filters(annotator_ids=frozenset(one.pk for one in world.people[:2])),
    }[narrow]
    kept, report = cache.kept_figures(world.library), agreement.report(world.library, filters)
    assert [{k: v for k, v in row.items() if k != "both"} for row in kept.pairs(filters)] == (
        report["pairs"]
    )
    assert kept.with_self(filters) == report["self"]
    assert kept.drift(world.library, filters) == report["drift"]
    # The order is that of reliability, which is kept for all facets together.
    assert {row["annotator"] for row in kept.people(filters)} == {
        row["annotator"] for row in report["annotators"]
    }
    assert report["pairs"]
    assert report["self"] or narrow == "facet"


def test_an_empty_library_waits_for_nothing():
    kept = cache.kept_figures(make_library())
    assert (kept.is_current, kept.computed_at, kept.figures) == (True, None, {})


def test_new_answers_outdate_what_is_kept_until_it_is_computed_anew(world):
    cache.refresh(world.library)
    assert cache.kept_figures(world.library).is_current
    world.say_more()
    assert not cache.kept_figures(world.library).is_current
    cache.refresh(world.library)
    assert cache.kept_figures(world.library).is_current


def test_counting_alone_does_not_make_figures_current(world):
    """The command counts too: no dirty key is left then, but the figures are the old ones."""
    cache.refresh(world.library)
    world.say_more()
    rollups.measure(world.library)
    assert not cache.kept_figures(world.library).is_current


def test_figures_of_an_earlier_count_never_pass_for_later_ones(world, monkeypatch):
    computed = cache._figures

    def overtaken(library):
        found = computed(library)
        world.say_more()
        rollups.measure(library)
        return found

    monkeypatch.setattr(cache, "_figures", overtaken)
    cache.refresh(world.library)
    assert not cache.kept_figures(world.library).is_current
    monkeypatch.setattr(cache, "_figures", computed)
    cache.refresh(world.library)
    kept = cache.kept_figures(world.library)
    assert kept.is_current
    assert {row["answers"] for row in kept.people(Filters())} == {28, 18}


def test_later_figures_are_not_overwritten_by_earlier_ones(world, monkeypatch):
    def overtaken(library):
        AgreementFigures.objects.update(counted=9, figures_of=9, figures={"people": []})
        return {"people": ["old"]}

    monkeypatch.setattr(cache, "_figures", overtaken)
    cache.refresh(world.library)
    assert AgreementFigures.objects.get().figures == {"people": []}


def test_a_new_name_makes_new_figures(world):
    cache.refresh(world.library)
    world.people[0].name = "Anna"
    world.people[0].save()
    assert not cache.kept_figures(world.library).is_current
    cache.refresh(world.library)
    people = cache.kept_figures(world.library).people(Filters())
    assert {row["annotator"] for row in people} == {"Anna", "ben", "cora"}
