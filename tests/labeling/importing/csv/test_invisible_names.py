"""Invisible characters: in catalogues, on pages, by commands, and in libraries of before."""

from __future__ import annotations

import importlib

import pytest
from django.apps import apps

from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.loop.library import libraries, taxonomy
from labeling.models import Annotation, Annotator, Facet, Label, LabelAlias, Track
from tests.factories import make_labels, make_library, make_track, make_user

pytestmark = pytest.mark.django_db


def load(tmp_path, text, **options):
    path = tmp_path / "c.csv"
    path.write_text(text, encoding="utf-8")
    return import_catalogue("lib", path, ImportOptions(**options))


def test_invisible_characters_make_no_annotator_facet_or_track(tmp_path):
    text = (
        "file\u200bname,\u2060genre,annotator\na.mp3,Rock,Jo\u200d\n"
        "a\u00ad.mp3,Rock,\u200eJo\n\ufeffa.mp3,Ro\ufe0fck,Jo\u3164\n"
    )
    report = load(tmp_path, text, annotator="\u200bjo")
    assert (report["tracks_created"], report["annotations_created"]) == (1, 1)
    assert list(Annotator.objects.values_list("name", flat=True)) == ["Jo"]
    assert list(Label.objects.values_list("name", flat=True)) == ["Rock"]
    assert Track.objects.get().key == "a.mp3"


@pytest.mark.parametrize("name", ["Rock\u200b", "\ufeffrock", "Ro\u00adck", "Ro\U000e0041ck"])
def test_a_label_of_the_page_is_found(name):
    library = make_library("lib")
    rock = make_labels(library, "genre", ["Rock"])[0]
    assert taxonomy.get_or_create_label(rock.facet, name) == (rock, False)
    assert taxonomy.clean_name(name).casefold() == "rock"


def test_a_user_whose_name_has_something_invisible_is_named_as_seen():
    library = make_library("lib")
    Annotator.objects.create(library=library, name="ann", name_key="ann", kind="person")
    user = make_user("an\u200bn")
    assert libraries.annotator_of(library, user).name == f"ann ({user.pk})"


def show_names():
    migration = importlib.import_module("labeling.migrations.0011_visible_names")
    migration.show_names(apps, None)


def test_names_of_before_are_found_by_what_people_see(tmp_path):
    library = make_library("lib")
    facet = Facet.objects.get(library=library, name="genre")
    label = Label.objects.create(facet=facet, name="Rock\u200b", name_key="rock\u200b")
    ann = Annotator.objects.create(library=library, name="Jo\u200e", name_key="jo\u200e")
    LabelAlias.objects.create(facet=facet, text="R\u00ad&R", text_key="r\u00ad&r", label=label)
    show_names()
    report = load(tmp_path, "filename,genre,annotator\na.mp3,Rock,Jo\nb.mp3,R&R,jo\n")
    assert report["labels_created"] == 0
    label.refresh_from_db()
    assert (label.name, label.name_key) == ("Rock", "rock")
    assert set(Annotation.objects.values_list("annotator", flat=True)) == {ann.pk}
    show_names()


def test_a_label_of_before_that_looks_like_another_is_merged_and_can_be_undone():
    library = make_library("lib")
    rock = make_labels(library, "genre", ["Rock"])[0]
    twin = Label.objects.create(facet=rock.facet, name="Rock\u200b", name_key="rock\u200b")
    jo = Annotator.objects.create(library=library, name="Jo", name_key="jo")
    other = Annotator.objects.create(library=library, name="Jo\u200e", name_key="jo\u200e")
    show_names()
    twin.refresh_from_db()
    assert twin.merged_into == rock
    taxonomy.undo_change(twin.changes.get())
    assert {jo.pk, other.pk} == set(Annotator.objects.values_list("pk", flat=True))


def test_a_track_of_before_is_found_and_keeps_its_key(tmp_path):
    track = make_track(make_library("lib"), "sub/a\u200b.mp3")
    report = load(tmp_path, "filename,genre\nsub/a.mp3,Rock\nsub/a\u200b.mp3,Rock\n")
    assert report["tracks_created"] == 0
    assert Annotation.objects.get().track == track
    assert Track.objects.get().key == "sub/a\u200b.mp3"


@pytest.mark.parametrize("on_disk", ["a\u200b.mp3", "a.mp3", "a\u00ad.mp3"])
def test_the_file_is_found_under_its_real_name(tmp_path, on_disk):
    folder = tmp_path / "music"
    folder.mkdir()
    (folder / on_disk).write_bytes(b"x")
    report = load(tmp_path, "filename,genre\na\u200b.mp3,Rock\n", audio_folder=str(folder))
    assert report["audio_missing"] == 0
    assert Track.objects.get().audio.relative_path == on_disk


def test_look_alikes_are_reported_and_not_merged(tmp_path):
    load(tmp_path, "filename,genre,annotator\na.mp3,Rock,Bob\n")
    text = "filename,genre,annotator\nb.mp3,Rосk,Воb\nc.mp3,Мetal,Bob\nd.mp3,Metal,Bob\n"
    text += "e.mp3,гocк,Bob\n"
    report = load(tmp_path, text)
    assert report["look_alikes"] == [
        {"column": "genre", "names": ["Rock", "Rосk", "гocк"]},
        {"column": "genre", "names": ["Мetal", "Metal"]},
        {"column": "annotator", "names": ["Bob", "Воb"]},
    ]
    assert (Label.objects.count(), Annotator.objects.count()) == (5, 2)
    assert load(tmp_path, "filename,genre\nz.mp3,Pop\n")["look_alikes"] == []
