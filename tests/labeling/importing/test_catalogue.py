from __future__ import annotations

import csv
from datetime import UTC, datetime

import pytest
from django.db import connection

from labeling.bulk_rows import insert_rows, rarer_checkpoints
from labeling.errors import BadInput
from labeling.loop import desk
from labeling.loop.events import current_answers, record
from labeling.loop.events.answers import FacetAnswer
from labeling.loop.importing import catalogue
from labeling.loop.importing.catalogue import ImportOptions
from labeling.loop.library import taxonomy
from labeling.models import (
    Annotation,
    Annotator,
    CurrentAnswer,
    DirtyKey,
    Label,
    LabelAlias,
    LabelSet,
    Library,
    Track,
)
from labeling.models.rollups import UNKNOWN_DAY

pytestmark = pytest.mark.django_db
HEAD = ["filename", "genre1", "genre2", "mood", "annotator", "annotated_at"]


@pytest.fixture
def load(tmp_path):
    """Import rows into the library `lib` and return the report."""

    def run(rows, head=HEAD, slug="lib", **options):
        path = tmp_path / "catalogue.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([head, *rows])
        return catalogue.import_catalogue(slug, path, ImportOptions(**options))

    return run


def counts(report):
    return tuple(
        report[key] for key in ("tracks_created", "annotations_created", "labels_created")
    )


def holds(key, annotator="legacy", facet="genre"):
    """Return the current positive labels, after checking that a replay gives the same."""
    row = CurrentAnswer.objects.get(
        track__key=key, annotator__name=annotator, facet__name=facet
    )
    assert current_answers.rebuild_current_answers(Library.objects.get(slug="lib")) == 0
    return set(row.answer.judgements.filter(value=1).values_list("label__name", flat=True))


def test_row_becomes_a_track_and_an_imported_answer(load):
    report = load([["a/1.mp3", "Ambient, Chill", "R'n'B", "", "", ""]])
    assert counts(report) == (1, 1, 2)
    event = Annotation.objects.get()
    assert (event.kind, event.answered_at, event.guideline.number) == ("imported", None, 0)
    assert (event.annotator.name, event.annotator.kind) == ("legacy", "legacy")
    assert holds("a/1.mp3") == {"Ambient, Chill", "R'n'B"}
    assert DirtyKey.objects.get().day == UNKNOWN_DAY
    assert event.idempotency_key.startswith("import:")


def test_label_set_is_all_values_of_the_file_and_the_active_labels(load):
    load([["1.mp3", "Rock", "", "", "", ""]])
    load([["2.mp3", "Pop", "", "", "", ""], ["3.mp3", "Jazz", "", "", "", ""]])
    sets = [
        set(one.labels.values_list("name", flat=True))
        for one in LabelSet.objects.filter(facet__name="genre").order_by("number")
    ]
    assert sets == [{"Rock"}, {"Rock", "Pop", "Jazz"}]
    assert all(one.is_complete for a in Annotation.objects.all() for one in a.answers.all())


def test_empty_cell_is_not_judged_and_a_row_without_labels_is_only_a_track(load):
    report = load([["1.mp3", "Rock", "", "", "", ""], ["2.mp3", "", "", "", "ann", ""]])
    assert counts(report) == (2, 1, 1)
    assert {one.facet.name for one in Annotation.objects.get().answers.all()} == {"genre"}


def test_rows_of_one_look_are_united_wherever_they_stand(load):
    rows = [["far.mp3", "Rock", "", "", "ann", "2020-01-01"]]
    rows += [[f"{n}.mp3", "Pop", "", "", "ann", "2020-01-01"] for n in range(600)]
    rows += [["far.mp3", "Jazz", "", "", "ANN", "2020-01-01T00:00:00+00:00"]]
    report = load(rows)
    assert counts(report) == (601, 601, 3)
    assert holds("far.mp3", "ann") == {"Rock", "Jazz"}


def test_another_moment_is_a_repeat_and_the_newest_holds(load):
    rows = [
        ["1.mp3", "Rock", "", "Calm", "ann", "2019-05-01T10:00:00+02:00"],
        ["1.mp3", "Pop", "", "", "ann", "2021-05-01"],
        ["1.mp3", "Jazz", "", "", "ann", ""],
    ]
    assert counts(load(rows)) == (1, 3, 4)
    assert holds("1.mp3", "ann") == {"Pop"}
    assert holds("1.mp3", "ann", "mood") == {"Calm"}
    assert Annotation.objects.filter(answered_at=datetime(2019, 5, 1, 8, tzinfo=UTC)).exists()
    assert set(Annotation.objects.values_list("kind", flat=True)) == {"imported"}


def test_other_spellings_are_the_same_label_and_are_listed(load):
    report = load(
        [["1.mp3", "Percussion", "", "", "", ""], ["2.mp3", "percussion ", "", "", "", ""]]
    )
    assert (report["labels_created"], report["labels_merged"]) == (1, 1)
    assert report["merged"] == [
        {"facet": "genre", "label": "Percussion", "spelling": "percussion"}
    ]
    assert Label.objects.get().name == "Percussion"
    assert LabelAlias.objects.get().text == "percussion"


ROWS = [
    ["1.mp3", "Rock", "Pop", "Calm", "", ""],
    ["2.mp3", "Jazz", "", "", "ann", "2020-01-01"],
]


def _rename(library):
    taxonomy.rename(Label.objects.get(name="Rock"), "Hard Rock")


def _merge(library):
    taxonomy.merge(Label.objects.get(name="Pop"), Label.objects.get(name="Rock"))


def _retire(library):
    taxonomy.set_active(Label.objects.get(name="Pop"), False)


def _retract(library):
    desk.undo(Annotation.objects.get(annotator__name="legacy"))


def _edit(library):
    """The annotator changes the imported answer on the page."""
    track = Track.objects.get(key="2.mp3")
    rock = Label.objects.get(name="Rock")
    desk.save(
        record.Submission(
            track=track,
            annotator=Annotator.objects.get(name="ann"),
            answers=[FacetAnswer(rock.facet_id, {rock.pk: 1})],
        )
    )


@pytest.mark.parametrize("between", [None, _rename, _merge, _retire, _retract, _edit])
def test_same_file_again_changes_nothing(load, between):
    load(ROWS)
    if between:
        between(Library.objects.get())
    before = (Annotation.objects.count(), Label.objects.count(), LabelSet.objects.count())
    report = load(ROWS)
    assert (report["tracks_unchanged"], report["annotations_created"]) == (2, 0)
    assert report["labels_created"] == 0
    now = (Annotation.objects.count(), Label.objects.count(), LabelSet.objects.count())
    assert now == before


def test_changed_row_is_a_revision_and_goes_back_and_forth(load):
    for genre, events in (("Rock", 1), ("Pop", 2), ("Rock", 3), ("Pop", 4), ("Pop", 4)):
        load([["1.mp3", genre, "", "Calm", "", ""]])
        assert Annotation.objects.count() == events
        assert holds("1.mp3") == {genre}
    kinds = list(Annotation.objects.order_by("id").values_list("kind", flat=True))
    assert kinds == ["imported", "revision", "revision", "revision"]
    revised = Annotation.objects.order_by("id").values_list("revises_id", flat=True)
    ids = list(Annotation.objects.order_by("id").values_list("id", flat=True))
    assert list(revised) == [None, *ids[:3]]
    assert holds("1.mp3", facet="mood") == {"Calm"}


def test_files_with_other_facets_add_up_and_each_may_come_again(load):
    genres, moods = [["1.mp3", "Rock"]], [["1.mp3", "Calm"]]
    for _ in range(2):
        load(genres, ["filename", "genre"])
        load(moods, ["filename", "mood"])
    assert Annotation.objects.count() == 2
    assert (holds("1.mp3"), holds("1.mp3", facet="mood")) == ({"Rock"}, {"Calm"})


def test_answer_that_was_taken_back_may_be_given_anew_by_a_changed_row(load):
    load(ROWS)
    _retract(None)
    load([["1.mp3", "Jazz", "", "", "", ""]])
    assert holds("1.mp3") == {"Jazz"}
    assert Annotation.objects.order_by("-id")[0].kind == "imported"


def test_existing_person_keeps_being_a_person(load):
    load([])
    library = Library.objects.get()
    Annotator.objects.create(library=library, name="Ann", name_key="ann")
    load(
        [["1.mp3", "Rock", "", "", "ANN", ""], ["2.mp3", "Rock", "", "", "", ""]],
        annotator="Old",
    )
    assert dict(Annotator.objects.values_list("name", "kind")) == {
        "Ann": "person",
        "Old": "legacy",
    }


def test_metadata_is_kept_and_a_blank_cell_changes_nothing(load):
    head = ["filename", "title", "bpm", "genre_tag"]
    load([["1.mp3", "One", "120", "x"], ["1.mp3", "Two", "", ""]], head)
    report = load([["1.mp3", "", "121", ""]], head)
    track = Track.objects.get()
    assert (track.title, track.extra) == ("One", {"bpm": "121", "genre_tag": "x"})
    assert (report["tracks_updated"], report["tracks_unchanged"]) == (1, 0)


def test_dry_run_says_the_same_and_writes_nothing(load):
    rows = [*ROWS, ["3.mp3", "rock", "", "", "", ""], ["", "Rock", "", "", "", ""]]
    trial = load(rows, is_dry_run=True)
    assert not Library.objects.exists()
    real = load(rows)
    assert trial | {"is_dry_run": False, "batch": real["batch"]} == real
    trial = load([*ROWS, ["4.mp3", "New", "", "", "new", ""]], is_dry_run=True)
    assert (trial["tracks_created"], trial["tracks_unchanged"]) == (1, 2)
    assert (trial["annotations_created"], trial["labels_created"]) == (1, 1)
    assert not Label.objects.filter(name="New").exists()


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        (["", "Rock", "", "", "", ""], "filename", "is empty"),
        (["1.mp3", "x" * 121, "", "", "", ""], "genre1", "longer than 120"),
        (["1.mp3", "Rock", "", "", "", "01.05.2019"], "annotated_at", "is not a date"),
        (["1.mp3", "Rock", "", "", "", "2019-13-01"], "annotated_at", "is not a date"),
        (["1.mp3", "Rock", "", "", "x" * 151, ""], "annotator", "150 are the most"),
        (["1.mp3", "a\0b", "", "", "", ""], "genre1", "NUL"),
        (["1" * 701, "Rock", "", "", "", ""], "filename", "700 are the most"),
        (["1.mp3", "Rock", "", "", "", "", "more"], "", "has 7 cells"),
    ],
)
def test_bad_row_is_listed_and_the_rest_comes_in(load, row, column, message):
    report = load([["good.mp3", "Rock", "", "", "", ""], row])
    assert (report["rows_read"], report["rows_rejected"], report["tracks_created"]) == (2, 1, 1)
    (error,) = report["errors"]
    assert (error["row"], error["column"]) == (3, column)
    assert message in error["message"]


def test_strict_import_takes_all_rows_or_none(load):
    with pytest.raises(BadInput, match="row 3, filename") as refused:
        load(
            [["good.mp3", "Rock", "", "", "", ""], ["", "Rock", "", "", "", ""]], is_strict=True
        )
    assert refused.value.report["rows_rejected"] == 1
    assert not Library.objects.exists()


def test_errors_are_listed_up_to_a_thousand(load):
    report = load([["", "Rock", "", "", "", ""]] * 1_003)
    assert (len(report["errors"]), report["errors_omitted"]) == (1_000, 3)
    assert report["rows_rejected"] == 1_003


def test_import_stops_between_chunks_and_goes_on_later(load, tmp_path, monkeypatch):
    monkeypatch.setattr("labeling.loop.importing.run.CHUNK", 2)
    path = tmp_path / "c.csv"
    path.write_text("filename,genre\n" + "".join(f"{n}.mp3,Rock\n" for n in range(5)))
    seen = []
    report = catalogue.import_catalogue(
        "lib", path, ImportOptions(), progress=lambda *at: seen.append(at),
        should_stop=lambda: len(seen) == 1,
    )  # fmt: skip
    assert (report["is_stopped"], report["tracks_created"], seen) == (True, 2, [(2, 5)])
    report = catalogue.import_catalogue("lib", path, ImportOptions())
    assert (report["tracks_created"], report["tracks_unchanged"]) == (3, 2)


@pytest.mark.sqlite_only
def test_the_log_of_sqlite_is_as_before_after_an_import():
    def pages():
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_autocheckpoint")
            return cursor.fetchone()[0]

    former = pages()
    with rarer_checkpoints():
        assert pages() > former
    assert pages() == former


def test_a_row_of_another_length_is_refused_before_anything_is_written():
    with pytest.raises(ValueError, match="rows of 2 values"):
        insert_rows(Library, ("slug", "name"), [("a", "b"), ("c",)])
    assert not Library.objects.exists()
