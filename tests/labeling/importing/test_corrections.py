"""A catalogue that is put right holds, whatever people do and undo in between."""

from __future__ import annotations

import pytest

from labeling.loop import desk
from labeling.loop.datasets.read import read_answer_table
from labeling.loop.datasets.selection import Selection
from labeling.loop.events import current_answers, record
from labeling.loop.events.answers import FacetAnswer
from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.loop.library import taxonomy
from labeling.models import Annotation, Annotator, CurrentAnswer, Track
from tests.factories import make_annotator, make_library

pytestmark = pytest.mark.django_db


@pytest.fixture
def library():
    library = make_library("lib")
    make_annotator(library, "ann")
    return library


@pytest.fixture
def load(library, tmp_path):
    def run(label):
        path = tmp_path / "c.csv"
        path.write_text(f"filename,genre\n1.mp3,{label}\n", encoding="utf-8")
        return import_catalogue("lib", path, ImportOptions(annotator="ann"))

    return run


def edit(library, label):
    """Change the answer on the page."""
    made, _ = taxonomy.get_or_create_label(library.facets.get(name="genre"), label)
    return desk.save(
        record.Submission(
            track=Track.objects.get(),
            annotator=Annotator.objects.get(),
            answers=[FacetAnswer(made.facet_id, {made.pk: 1})],
        )
    ).annotation


def holds(library):
    assert current_answers.rebuild_current_answers(library) == 0
    row = CurrentAnswer.objects.filter(answer__isnull=False).first()
    return row and row.answer.judgements.get().label.name


def test_a_correction_outlives_the_edit_that_came_before_it(library, load):
    load("A")
    edited = edit(library, "B")
    load("C")
    assert holds(library) == "C"
    desk.undo(edited)
    assert holds(library) == "C"
    assert load("C")["annotations_created"] == 0


def test_a_correction_revises_the_word_of_the_catalogue(library, load):
    load("A")
    edit(library, "B")
    load("C")
    first, _, third = Annotation.objects.order_by("id")
    assert (third.kind, third.revises_id) == ("revision", first.pk)


def test_what_fell_with_an_edit_may_be_said_again(library, load):
    load("A")
    taken_back = Annotation.objects.get()
    load("C")
    desk.undo(taken_back)
    assert holds(library) is None
    assert load("C")["annotations_created"] == 1
    assert holds(library) == "C"
    assert load("C")["annotations_created"] == 0


def test_what_the_annotator_took_back_does_not_return_with_the_same_file(library, load):
    load("A")
    load("C")
    desk.undo(Annotation.objects.order_by("-id")[0])
    assert holds(library) == "A"
    assert load("C")["annotations_created"] == 0
    assert load("D")["annotations_created"] == 1
    assert holds(library) == "D"


@pytest.mark.parametrize("since", ["", "2000-01-01"])
@pytest.mark.parametrize("negatives", ["closed", "open"])
def test_a_row_put_right_means_no_more_by_its_blanks_than_before(
    library, tmp_path, since, negatives
):
    """A correction does not show which labels the catalogue's author knew."""
    path = tmp_path / "dated.csv"
    for label in ("A", "B"):
        path.write_text(f"filename,genre,annotated_at\n1.mp3,{label},2020-01-01\n")
        import_catalogue("lib", path, ImportOptions(annotator="ann"))
    assert Annotation.objects.latest("id").kind == Annotation.Kind.REVISION
    table = read_answer_table(library, Selection(since=since, negatives=negatives))
    judged = {
        column.name: bool(mask)
        for column, mask in zip(table.columns, table.matrix.label_mask[0], strict=True)
    }
    assert judged == {"A": negatives == "closed", "B": True}
