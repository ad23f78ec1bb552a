"""A person and a catalogue's source of one name: kept apart, and known to be the same."""

from __future__ import annotations

import pytest

from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.loop.library import libraries
from labeling.models import Annotator
from tests.factories import make_annotator, make_library, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def library():
    return make_library("lib")


def load(tmp_path, annotator="Bob"):
    path = tmp_path / "c.csv"
    path.write_text("filename,genre\n1.mp3,Pop\n", encoding="utf-8")
    return import_catalogue("lib", path, ImportOptions(annotator=annotator))


def test_the_source_that_came_first_is_linked_to_the_person(library, tmp_path):
    assert load(tmp_path)["annotators_same_as"] == []
    bob = make_user("bob", library=library)
    person = libraries.annotator_of(library, bob)
    source = Annotator.objects.get(name="Bob")
    assert (person.name, source.same_as) == (f"bob ({bob.pk})", person)
    report = load(tmp_path)
    assert report["annotators_same_as"] == [{"annotator": "Bob", "same_as": person.name}]
    assert source.annotations.count() == 1
    assert not person.annotations.exists()


def test_two_that_were_never_linked_are_linked_by_the_next_import(library, tmp_path):
    load(tmp_path)
    libraries.annotator_of(library, make_user("bob", library=library))
    Annotator.objects.update(same_as=None)
    assert len(load(tmp_path)["annotators_same_as"]) == 1


def test_a_source_is_nobody_twice_and_a_person_no_source(library, tmp_path):
    load(tmp_path)
    first, second = (
        libraries.annotator_of(library, make_user(name, library=library))
        for name in ("bob", "BOB")
    )
    assert Annotator.objects.get(name="Bob").same_as == first
    assert second.name != first.name
    make_annotator(library, "ann", kind="partner")
    libraries.annotator_of(library, make_user("ann", library=library))
    assert Annotator.objects.get(name="ann").same_as is None


@pytest.mark.parametrize("name", ["b" * 150, "ß" * 150])
def test_the_longest_user_name_finds_room_for_its_number(library, name):
    make_annotator(library, "b" * 150)
    annotator = libraries.annotator_of(library, make_user(name, library=library))
    assert max(len(annotator.name), len(annotator.name_key)) <= 150
    assert libraries.annotator_of(library, annotator.user) == annotator


def test_a_number_that_is_taken_is_passed_over(library):
    bob = make_user("bob", library=library)
    make_annotator(library, "bob")
    make_annotator(library, f"bob ({bob.pk})")
    assert libraries.annotator_of(library, bob).name == f"bob ({bob.pk}-2)"
