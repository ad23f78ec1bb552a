from __future__ import annotations

import pytest

from labeling.errors import BadInput
from labeling.loop.library import taxonomy
from labeling.models import Label, LabelAlias, LabelSet, TaxonomyChange
from tests.factories import make_labels, make_library

pytestmark = pytest.mark.django_db


@pytest.fixture
def facet():
    return make_library().facets.get(name="genre")


@pytest.fixture
def labels(facet):
    return make_labels(facet.library)


def names(label_set: LabelSet) -> set[str]:
    return set(label_set.labels.values_list("name", flat=True))


def test_name_is_found_by_any_spelling_and_the_first_one_stays(facet):
    label, is_new = taxonomy.get_or_create_label(facet, "Ambient,  Chill")
    again, is_new_again = taxonomy.get_or_create_label(facet, "ＡＭＢＩＥＮＴ, chill ")
    assert (label.name, is_new, again.pk, is_new_again) == (
        "Ambient, Chill", True, label.pk, False,
    )  # fmt: skip
    assert LabelAlias.objects.get().text == "ＡＭＢＩＥＮＴ, chill"


@pytest.mark.parametrize("name", ["", "   ", "x" * 121, "a\0b", "\ufdfa" * 20])
def test_name_that_cannot_be_kept_is_refused(facet, name):
    with pytest.raises(BadInput):
        taxonomy.get_or_create_label(facet, name)
    assert not Label.objects.exists()


def test_label_set_is_the_same_until_the_labels_change(facet, labels):
    first = taxonomy.label_set_of(facet)
    assert taxonomy.label_set_of(facet).pk == first.pk
    assert (first.number, names(first)) == (1, {"Ambient", "Drone", "Rock"})
    taxonomy.set_active(labels[2], False)
    second = taxonomy.label_set_of(facet)
    assert (second.number, names(second)) == (2, {"Ambient", "Drone"})
    assert names(first) == {"Ambient", "Drone", "Rock"}
    assert taxonomy.label_set_of(facet, also=[labels[2].pk]).pk == first.pk


def test_merged_label_is_not_on_offer_and_resolves_over_two_hops(facet, labels):
    ambient, drone, rock = labels
    taxonomy.merge(rock, drone)
    taxonomy.merge(drone, ambient)
    assert taxonomy.find_label(facet, "rock") == ambient
    assert taxonomy.resolutions(facet.library) == {rock.pk: ambient.pk, drone.pk: ambient.pk}
    assert names(taxonomy.label_set_of(facet)) == {"Ambient"}
    assert taxonomy.index(facet) == dict.fromkeys(("ambient", "drone", "rock"), ambient.pk)


def test_merge_goes_into_what_the_target_stands_for_and_never_round(facet, labels):
    ambient, drone, rock = labels
    taxonomy.merge(drone, ambient)
    taxonomy.merge(rock, drone)
    assert Label.objects.get(pk=rock.pk).merged_into_id == ambient.pk
    with pytest.raises(BadInput, match="itself"):
        taxonomy.merge(ambient, drone)
    with pytest.raises(BadInput, match="already"):
        taxonomy.merge(drone, rock)


def test_labels_of_two_facets_cannot_be_merged(facet, labels):
    mood = make_labels(facet.library, "mood", ["Calm"])[0]
    with pytest.raises(BadInput, match="one facet"):
        taxonomy.merge(labels[0], mood)


def test_merge_is_undone(facet, labels):
    change = taxonomy.merge(labels[1], labels[0])
    taxonomy.undo_change(change)
    assert taxonomy.find_label(facet, "Drone") == labels[1]
    assert TaxonomyChange.objects.get(pk=change.pk).undone_at is not None
    with pytest.raises(BadInput, match="already"):
        taxonomy.undo_change(change)


def test_old_name_still_finds_a_renamed_label_and_the_new_one_after_undo(facet, labels):
    change = taxonomy.rename(labels[0], "Atmosphere")
    assert taxonomy.find_label(facet, "AMBIENT").name == "Atmosphere"
    taxonomy.undo_change(change)
    assert taxonomy.find_label(facet, "atmosphere").name == "Ambient"
    assert Label.objects.count() == 3


def test_rename_to_a_name_in_use_proposes_to_merge(facet, labels):
    with pytest.raises(BadInput, match="merge 'Ambient' into it"):
        taxonomy.rename(labels[0], "drone")
    taxonomy.rename(labels[1], "Dark")
    with pytest.raises(BadInput, match="another spelling of 'Dark'"):
        taxonomy.rename(labels[0], "Drone")


def test_undo_waits_for_what_came_later(labels):
    first = taxonomy.rename(labels[0], "A")
    taxonomy.rename(labels[0], "B")
    with pytest.raises(BadInput, match="renamed again"):
        taxonomy.undo_change(first)


def test_split_retires_the_label_and_offers_the_parts(facet, labels):
    change = taxonomy.split(labels[2], ["Hard Rock", "Soft Rock"])
    assert names(taxonomy.label_set_of(facet)) == {"Ambient", "Drone", "Hard Rock", "Soft Rock"}
    taxonomy.undo_change(change)
    assert "Rock" in names(taxonomy.label_set_of(facet))
    with pytest.raises(BadInput, match="two or more"):
        taxonomy.split(labels[2], ["rock", "Hard Rock"])


def test_merging_into_a_label_that_is_not_offered_is_refused():
    ambient, drone, _ = make_labels(make_library())
    taxonomy.set_active(drone, False)
    with pytest.raises(BadInput, match="no longer offered"):
        taxonomy.merge(ambient, drone)
    taxonomy.set_active(drone, True)
    taxonomy.merge(ambient, drone)
    ambient.refresh_from_db()
    assert ambient.merged_into == drone
