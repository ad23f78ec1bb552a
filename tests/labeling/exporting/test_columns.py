"""Every cell of an export is in the column that names it."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labeling.loop import desk
from labeling.loop.events import record
from labeling.loop.events.answers import FacetAnswer
from labeling.loop.exporting import export as csv_export
from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.loop.importing.csv.columns import facet_named
from labeling.loop.library import taxonomy
from labeling.models import Annotation, Facet, Label, Library, Track
from labeling.names import name_key
from tests.factories import make_annotator, make_library, make_track

pytestmark = pytest.mark.django_db
FACETS = ("genre", "mood", "instrumentation", "category")


def load(tmp_path, text, slug="lib", name="in.csv", **options):
    """Import a catalogue that is written out here."""
    path = Path(tmp_path) / name
    path.write_text(text, encoding="utf-8")
    return import_catalogue(slug, path, ImportOptions(**options))


def export(tmp_path, form="wide", slug="lib"):
    out = Path(tmp_path) / f"{form}.csv"
    csv_export.export_annotations(Library.objects.get(slug=slug), form, out)
    return out


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def changes(report):
    return tuple(
        report[key]
        for key in ("tracks_created", "tracks_updated", "annotations_created", "labels_created")
    )


def test_a_facet_that_turns_up_first_does_not_take_the_place_of_another(tmp_path):
    load(tmp_path, "filename,mood,genre1,genre2\na.mp3,Happy,,\nb.mp3,,Rock,Pop\n")
    rows = rows_of(export(tmp_path))
    assert [(row["genre1"], row["genre2"], row["mood1"]) for row in rows] == [
        ("", "", "Happy"),
        ("Rock", "Pop", ""),
    ]
    report = import_catalogue("lib", tmp_path / "wide.csv", ImportOptions())
    assert changes(report) == (0, 0, 0, 0)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(FACETS), st.sets(st.sampled_from("ABCDE"), min_size=1, max_size=3)
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_labels_stand_under_their_facet_in_whatever_order_facets_turn_up(said):
    slug = f"lib-{Library.objects.count()}"
    head = ["filename", *(f"{facet}{n}" for facet in FACETS[::-1] for n in range(3))]
    lines = [",".join(head)]
    for number, facets in enumerate(said):
        cells = [f"{number}.mp3"]
        for facet in FACETS[::-1]:
            labels = [f"{facet} {one}" for one in sorted(facets.get(facet, ()))]
            cells += labels + [""] * (3 - len(labels))
        lines.append(",".join(cells))
    with tempfile.TemporaryDirectory() as folder:
        load(folder, "\n".join(lines), slug)
        out = export(folder, slug=slug)
        for row in rows_of(out):
            for name, cell in row.items():
                if cell and name.rstrip("0123456789") in FACETS:
                    assert cell.startswith(name.rstrip("0123456789") + " ")
        assert changes(import_catalogue(slug, out, ImportOptions())) == (0, 0, 0, 0)
    assert Label.objects.filter(facet__library__slug=slug).count() == len(
        {(facet, one) for facets in said for facet, labels in facets.items() for one in labels}
    )
    assert Track.objects.filter(library__slug=slug).count() == len(said)
    assert Annotation.objects.filter(library__slug=slug).count() == sum(map(bool, said))


@pytest.mark.parametrize(
    "names", [["tempo feel"], ["tempo", "tempo1"], ["title"], ["=x", "era 2"]]
)
def test_facets_of_ones_own_come_back_as_what_they_are(tmp_path, names):
    library = make_library("lib")
    facets = [
        Facet.objects.create(
            library=library, name=name, name_key=name_key(name), position=9 + n
        )
        for n, name in enumerate(names)
    ]
    ann = make_annotator(library, "ann")
    for number in range(2):
        track = make_track(library, f"{number}.mp3", title=f"T{number}", extra={"=bpm": "90"})
        answers = []
        for facet in facets:
            made = [
                taxonomy.get_or_create_label(facet, f"{facet.name} {n}")[0].pk
                for n in range(number + 1)
            ]
            answers.append(FacetAnswer(facet.pk, dict.fromkeys(made, 1)))
        desk.save(record.Submission(track=track, annotator=ann, answers=answers))
    out = export(tmp_path)
    assert changes(import_catalogue("lib", out, ImportOptions())) == (0, 0, 0, 0)
    assert {tuple(extra) for extra in Track.objects.values_list("extra", flat=True)} == {
        ("=bpm",)
    }
    again = (tmp_path / "wide.csv").read_bytes()
    export(tmp_path)
    assert (tmp_path / "wide.csv").read_bytes() == again


def test_a_copy_of_a_facets_column_in_the_metadata_does_not_stand_twice(tmp_path):
    library = make_library("lib")
    Facet.objects.create(library=library, name="tempo feel", name_key="tempo feel")
    make_track(library, "1.mp3", extra={"tempo feel1": "Slow", "bpm": "90"})
    assert "tempo feel1" not in rows_of(export(tmp_path))[0]


@pytest.mark.parametrize(
    ("column", "facet"),
    [
        ("tempo", "tempo"),
        ("tempo1", "tempo1"),
        ("tempo01", "tempo"),
        ("tempo12", "tempo1"),
        ("title", ""),
        ("title1", "title"),
        ("tempos", "tempo"),
        ("tempos 2", "tempo"),
        ("tempo_7", "tempo"),
        ("tempo of day", ""),
        ("7", ""),
    ],
)
def test_a_column_is_the_facets_whose_name_it_bears(column, facet):
    assert facet_named(column, {"tempo", "tempo1", "title"}) == facet
