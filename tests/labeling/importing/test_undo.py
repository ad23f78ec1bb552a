"""Undoing an import: what it added is taken back, and what others built on it is kept."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from labeling.loop.consistency import cache
from labeling.loop.events import record
from labeling.loop.events.answers import FacetAnswer
from labeling.loop.events.current_answers import rebuild_current_answers
from labeling.loop.events.record import Submission
from labeling.loop.exporting.export import export_annotations
from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.loop.importing.csv.columns import ReadingOptions
from labeling.loop.importing.undo import undoing
from labeling.loop.serving import random_order
from labeling.models import (
    Annotation,
    Annotator,
    AnswerDay,
    CurrentAnswer,
    ImportBatch,
    Label,
    LabelAlias,
    LabelDay,
    Library,
    Track,
)
from tests.factories import make_annotator, make_labels, make_library

pytestmark = pytest.mark.django_db


def written(folder, *rows, name="c.csv"):
    path = folder / name
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def brought(slug, path, **how):
    reading = ReadingOptions(**{k: v for k, v in how.items() if k in vars(ReadingOptions())})
    report = import_catalogue(slug, path, ImportOptions(reading=reading))
    return report, ImportBatch.objects.get(pk=report["batch"])


def exported(slug, tmp_path):
    rows = {}
    for form in ("long", "wide", "consensus"):
        out = tmp_path / f"{slug}-{form}.csv"
        export_annotations(Library.objects.get(slug=slug), form, out)
        with out.open(encoding="utf-8", newline="") as file:
            found = list(csv.DictReader(file))
        for row in found:
            row.pop("recorded_at", None)
            row.pop("annotation", None)
        rows[form] = sorted(json.dumps(row) for row in found)
    return rows


def offered(slug):
    labels = Label.objects.filter(facet__library__slug=slug, is_active=True)
    return list(labels.order_by("facet", "position").values_list("facet__name", "name"))


def current(slug):
    rows = CurrentAnswer.objects.filter(track__library__slug=slug, answer__isnull=False)
    found = {}
    for key, who, facet, label in rows.values_list(
        "track__key", "annotator__name", "facet__name", "answer__judgements__label__name"
    ):
        found.setdefault((key, who, facet), set()).add(label)
    return found


def answer(library, who, key, name, *, facet="genre"):
    track = Track.objects.get(library=library, key=key)
    row = library.facets.get(name=facet)
    label = Label.objects.in_use().get(facet=row, name=name)
    given = [FacetAnswer(row.pk, {label.pk: 1})]
    said = Submission(track, who, given, idempotency_key=f"{who.pk}-{key}-{name}")
    return record.record_annotation(said).annotation


def counted(slug):
    """The answers and labels of each annotator and day that consistency counts."""
    library = Library.objects.get(slug=slug)
    cache.refresh(library)
    days = AnswerDay.objects.filter(annotator__library=library).exclude(n=0)
    labels = LabelDay.objects.filter(annotator__library=library).exclude(yes=0)
    return (
        sorted(days.values_list("annotator__name", "label_set__facet__name", "day", "n")),
        sorted(labels.values_list("annotator__name", "label__name", "day", "yes")),
    )


@pytest.fixture
def curated(shared_data, tmp_path) -> Path:
    """The real catalogue, each track labelled by two of five people."""
    with (shared_data / "production_catalogue_sample.csv").open(encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    people = ["Ana", "Ben", "Cleo", "Dai", "Eve"]
    rows = [
        [*row, people[(number + turn) % 5], f"2021-0{1 + turn}-05"]
        for number, row in enumerate(rows)
        for turn in range(2)
    ]
    return written(tmp_path, [*header, "curator", "on"], *rows)


WRONG = {"facets": {"feel": "mood", "instruments": "instrumentation"}}
RIGHT = {
    **WRONG,
    "separators": {"feel": ", ", "instruments": ", "},
    "fields": {"curator": "annotator", "on": "annotated_at"},
}


@pytest.mark.shared_data
def test_undo_and_the_right_mapping_equal_a_fresh_import(curated, tmp_path):
    report, batch = brought("lib", curated, **WRONG)
    assert counted("lib")[0]
    n_answers, n_tracks = report["annotations_created"], report["tracks_created"]
    assert 240 < n_answers <= n_tracks
    undone = undoing.undo_import(batch)
    assert undone == {
        "answers": n_answers, "labels": report["labels_created"], "tracks": n_tracks,
        "annotators": 1,
        "facts": 0, "kept": [], "kept_omitted": 0, "is_dry_run": False,
        "is_stopped": False,
    }  # fmt: skip
    assert offered("lib") == []
    assert current("lib") == {}
    assert counted("lib") == ([], [])
    assert all(not rows for rows in exported("lib", tmp_path).values())
    again, _ = brought("lib", curated, **RIGHT)
    fresh, _ = brought("fresh", curated, **RIGHT)
    same = ("tracks_created", "tracks_updated", "annotations_created", "labels_created")
    assert [again[name] for name in same] == [fresh[name] for name in same]
    assert fresh["annotations_created"] == 500
    assert offered("lib") == offered("fresh")
    assert current("lib") == current("fresh")
    assert counted("lib") == counted("fresh")
    assert exported("lib", tmp_path) == exported("fresh", tmp_path)
    facts = ("key", "title", "extra", "isrc", "split_group", "is_audit", "state")
    tracks = [
        list(Track.objects.filter(library__slug=slug).order_by("key").values_list(*facts))
        for slug in ("lib", "fresh")
    ]
    assert tracks[0] == tracks[1]
    assert rebuild_current_answers(Library.objects.get(slug="lib")) == 0


@pytest.mark.shared_data
def test_the_preview_has_the_numbers_of_the_undo_and_writes_nothing(curated):
    report, batch = brought("lib", curated, **RIGHT)
    events = Annotation.objects.count()
    seen = undoing.preview_undo(batch)
    assert Annotation.objects.count() == events
    assert Track.objects.in_use().count() == report["tracks_created"] == seen["tracks"]
    assert undoing.undo_import(batch) | {"is_dry_run": True} == seen
    assert seen["annotators"] == 5


def test_an_undo_that_was_stopped_goes_on_and_counts_all_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(undoing, "CHUNK", 10)
    rows = [[f"{n}.mp3", "Rock"] for n in range(35)]
    _, batch = brought("lib", written(tmp_path, ["filename", "genre"], *rows))
    turns = iter([False, False, True])
    stopped = undoing.undo_import(batch, should_stop=lambda: next(turns, False))
    # The first look is that of the lock, where it has to wait.
    assert stopped["is_stopped"]
    assert 0 < stopped["answers"] < 35
    assert batch.undone_at is None
    whole = undoing.undo_import(batch)
    assert (whole["answers"], whole["tracks"], whole["labels"]) == (35, 35, 1)
    assert batch.undone_at is not None
    events = Annotation.objects.count()
    assert undoing.undo_import(batch) == whole
    assert Annotation.objects.count() == events == 70


def test_later_work_is_kept_and_listed(tmp_path):
    path = written(
        tmp_path,
        ["filename", "genre", "mood"],
        ["1.mp3", "Rock", "calm"], ["2.mp3", "Pop", "calm"], ["3.mp3", "Jazz", "dark"],
    )  # fmt: skip
    library = make_library("lib")
    _, batch = brought("lib", path)
    ana = make_annotator(library, "ana")
    answer(library, ana, "1.mp3", "Rock")
    report = undoing.undo_import(batch)
    assert report["kept"] == [
        {"what": "track", "name": "1.mp3", "why": "it has answers of ana"},
        {"what": "label", "name": "Rock", "why": "it is in use"},
    ]
    assert (report["answers"], report["tracks"], report["labels"]) == (3, 2, 4)
    assert offered("lib") == [("genre", "Rock")]
    assert current("lib") == {("1.mp3", "ana", "genre"): {"Rock"}}
    assert list(Track.objects.in_use().values_list("key", flat=True)) == ["1.mp3"]


def test_an_answer_that_was_revised_later_is_kept(tmp_path):
    library = make_library("lib")
    make_labels(library)
    bob = make_annotator(library, "bob")
    head = ["filename", "genre", "annotator"]
    _, batch = brought(
        "lib", written(tmp_path, head, ["1.mp3", "Rock", "bob"], ["2.mp3", "Rock", "bob"])
    )
    edit = answer(library, bob, "1.mp3", "Drone")
    assert edit.kind == "revision"
    report = undoing.undo_import(batch)
    assert report["answers"] == 1
    assert report["kept"] == [
        {"what": "track", "name": "1.mp3", "why": "it has answers of bob"},
        {"what": "answer", "name": "1.mp3, bob", "why": "it was revised or copied later"},
    ]
    assert current("lib") == {("1.mp3", "bob", "genre"): {"Drone"}}


def test_only_the_second_import_is_undone(tmp_path):
    head = ["filename", "genre", "title", "bpm"]
    first = written(tmp_path, head, ["1.mp3", "Rock", "One", "90"], ["2.mp3", "Pop", "", ""])
    brought("lib", first)
    before = (current("lib"), offered("lib"), exported("lib", tmp_path))
    second = written(
        tmp_path, [*head, "key sign"], ["1.mp3", "ROCK", "Uno", "91", "C"],
        ["2.mp3", "Metal", "Two", "100", ""], ["3.mp3", "Pop", "Three", "", ""],
    )  # fmt: skip
    report, batch = brought("lib", second)
    assert report["tracks_updated"] == 2
    undone = undoing.undo_import(batch)
    assert (undone["answers"], undone["labels"], undone["tracks"], undone["facts"]) == (
        2,
        1,
        1,
        2,
    )
    assert undone["kept"] == []
    assert (current("lib"), offered("lib"), exported("lib", tmp_path)) == before
    assert not LabelAlias.objects.filter(text="ROCK").exists()
    assert Annotator.objects.in_use().get().name == "legacy"


def test_facts_that_changed_again_stay(tmp_path):
    head = ["filename", "title", "bpm"]
    brought("lib", written(tmp_path, head, ["1.mp3", "One", "90"]))
    _, batch = brought("lib", written(tmp_path, head, ["1.mp3", "Uno", "91"]))
    brought("lib", written(tmp_path, head, ["1.mp3", "Un", ""]))
    undone = undoing.undo_import(batch)
    track = Track.objects.get()
    assert (track.title, track.extra) == ("Un", {"bpm": "90"})
    assert undone["kept"] == [
        {"what": "facts", "name": "1.mp3", "why": "title changed again since"}
    ]


def test_importing_the_same_file_again_brings_everything_back(tmp_path):
    path = written(tmp_path, ["filename", "genre"], ["1.mp3", "Rock"], ["2.mp3", ""])
    _, batch = brought("lib", path)
    ids = set(Track.objects.values_list("id", flat=True))
    undoing.undo_import(batch)
    library = Library.objects.get()
    assert not random_order.servable_tracks(library).exists()
    report, again = brought("lib", path)
    assert (report["tracks_created"], report["annotations_created"]) == (2, 1)
    assert set(Track.objects.in_use().values_list("id", flat=True)) == ids
    assert current("lib") == {("1.mp3", "legacy", "genre"): {"Rock"}}
    assert undoing.undo_import(again)["answers"] == 1


def test_an_answer_on_its_way_brings_a_withdrawn_track_back(tmp_path):
    library = make_library("lib")
    make_labels(library)
    _, batch = brought("lib", written(tmp_path, ["filename", "title"], ["1.mp3", "One"]))
    undoing.undo_import(batch)
    answer(library, make_annotator(library, "ana"), "1.mp3", "Rock")
    track = Track.objects.get()
    assert (track.state, track.title) == ("no_audio", "One")
    assert current("lib") == {("1.mp3", "ana", "genre"): {"Rock"}}
