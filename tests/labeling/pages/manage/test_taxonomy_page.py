from __future__ import annotations

import re

import pytest
from django.urls import reverse

from labeling.loop.events.current_answers import project
from labeling.loop.library import taxonomy_preview
from labeling.models import Facet, Judgement, Label, TaxonomyChange
from tests.factories import make_annotator, make_labels, make_library, make_track, make_user
from tests.labeling.histories import offer, say

pytestmark = pytest.mark.django_db


class World:
    def __init__(self, client):
        self.client = client
        self.library = make_library("studio")
        self.ambient, self.drone, self.rock = make_labels(self.library)
        self.user = make_user(library=self.library, role="curator")
        client.force_login(self.user)
        ana, ben = make_annotator(self.library, "ana"), make_annotator(self.library, "ben")
        offered, one, two = offer([self.ambient, self.drone]), *self.tracks(2)
        say(ana, one, [self.ambient, self.drone], offered=offered)
        say(ana, two, [self.drone], offered=offered)
        say(ben, two, [], unsure=[self.drone], offered=offered)
        for annotator in (ana, ben):
            project(annotator.pk, [one.pk, two.pk])

    def tracks(self, n):
        return [make_track(self.library) for _ in range(n)]

    def change(self, label, **data):
        address = reverse("taxonomy_change", args=["studio", label.pk])
        return self.client.post(address, data, follow=True).content.decode()

    def body(self, name, *args, **query):
        return self.client.get(reverse(name, args=["studio", *args]), query).content.decode()


@pytest.fixture
def world(client):
    return World(client)


def test_usage_counts_the_answers_that_hold(world):
    usage = taxonomy_preview.usage_of(world.drone)
    assert (usage.tracks, usage.annotators, usage.yes, usage.unsure) == (2, 2, 2, 1)
    assert taxonomy_preview.answers_with_both(world.drone, world.ambient) == 1
    assert taxonomy_preview.yes_by_label(world.library) == {
        world.ambient.pk: 1,
        world.drone.pk: 2,
    }


def test_page_shows_facets_labels_keys_and_definitions(world):
    taxonomy_preview.describe(world.drone, definition="One <held> sound.", hotkey="D")
    body = world.body("taxonomy")
    assert "<kbd>d</kbd>" in body
    # The page gives the others theirs, the same ones as on the desk.
    assert re.findall(r"<kbd class=\"muted\"[^>]*>(.)</kbd>", body) == ["a", "r"]
    assert "One &lt;held&gt; sound." in body
    assert "instrumentation" in body


def test_merge_is_previewed_done_and_undone(world):
    body = world.body("taxonomy_label", world.drone.pk, into=world.ambient.pk)
    assert "2 current answers with Drone will count as Ambient, which has 1 now" in body
    assert "1 of them have both labels" in body
    world.drone.refresh_from_db()
    assert world.drone.merged_into is None
    before = Judgement.objects.count()
    assert "No answer was changed" in world.change(
        world.drone, action="merge", into=world.ambient.pk
    )
    world.drone.refresh_from_db()
    assert (world.drone.merged_into, Judgement.objects.count()) == (world.ambient, before)
    assert "counts as Ambient" in world.body("taxonomy")
    change = TaxonomyChange.objects.get(kind="merge")
    world.client.post(reverse("taxonomy_undo", args=["studio", change.pk]))
    world.drone.refresh_from_db()
    assert world.drone.merged_into is None


def test_rename_keeps_the_old_name_as_a_spelling(world):
    assert "is called Dark Drone now" in world.change(
        world.drone, action="rename", name="Dark Drone"
    )
    assert "Other spellings" in world.body("taxonomy_label", world.drone.pk)
    assert world.drone.aliases.get().text == "Drone"
    assert "merge" in world.change(world.drone, action="rename", name="Rock")
    world.drone.refresh_from_db()
    assert world.drone.name == "Dark Drone"


def test_label_is_taken_off_the_page_and_brought_back(world):
    world.change(world.rock, action="deactivate")
    assert not Label.objects.get(pk=world.rock.pk).is_active
    assert "already not offered" in world.change(world.rock, action="deactivate")
    world.change(world.rock, action="reactivate")
    assert Label.objects.get(pk=world.rock.pk).is_active


def test_added_label_is_new_once(world):
    facet = Facet.objects.get(library=world.library, name="mood")
    address = reverse("taxonomy_add", args=["studio"])
    data = {"facet": facet.pk, "name": " Calm "}
    assert "is offered from" in world.client.post(address, data, follow=True).content.decode()
    data["name"] = "CALM"
    assert "already exists as" in world.client.post(address, data, follow=True).content.decode()
    assert [label.name for label in facet.labels.all()] == ["Calm"]
    assert TaxonomyChange.objects.get(kind="create").by == world.user


@pytest.mark.parametrize("key", ["ab", "!", " - "])
def test_key_is_one_letter_or_digit(world, key):
    assert "one letter or digit" in world.change(world.rock, action="describe", hotkey=key)


def test_key_belongs_to_one_label_of_a_facet(world):
    world.change(world.drone, action="describe", hotkey="d", definition="")
    assert "belongs to" in world.change(world.rock, action="describe", hotkey="D")
    assert Label.objects.get(pk=world.rock.pk).hotkey == ""
    world.change(world.drone, action="describe", hotkey="d", definition="again")
    assert Label.objects.get(pk=world.drone.pk).definition == "again"


@pytest.mark.parametrize("data", [{"action": "burn"}, {}, {"action": "merge", "into": "x"}])
def test_nonsense_changes_nothing(world, data):
    before = list(Label.objects.values())
    world.change(world.drone, **data)
    assert list(Label.objects.values()) == before


def test_annotators_read_but_do_not_change(world):
    world.client.force_login(make_user(library=world.library))
    body = world.body("taxonomy")
    assert "Ambient" in body
    assert "New label" not in body
    address = reverse("taxonomy_change", args=["studio", world.drone.pk])
    assert world.client.post(address, {"action": "deactivate"}).status_code == 403
    assert Label.objects.get(pk=world.drone.pk).is_active


def test_labels_of_other_libraries_are_not_found(world):
    (stranger,) = make_labels(make_library("other"), names=["Other"])
    address = reverse("taxonomy_change", args=["studio", stranger.pk])
    assert world.client.post(address, {"action": "deactivate"}).status_code == 404


def test_a_key_of_the_page_itself_is_refused_by_its_name(world):
    said = world.change(world.rock, action="describe", hotkey="s")
    assert "the key S acts on the annotation page itself" in said
    assert Label.objects.get(pk=world.rock.pk).hotkey == ""
