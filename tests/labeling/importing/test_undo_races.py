"""Undoing an import while people work: no answer is lost."""

from __future__ import annotations

import threading

import pytest

from labeling.loop.events import record
from labeling.loop.events.answers import FacetAnswer
from labeling.loop.events.current_answers import rebuild_current_answers
from labeling.loop.events.record import Submission
from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.loop.importing.undo import undoing
from labeling.models import Annotation, CurrentAnswer, Facet, ImportBatch, Label, Track
from tests.at_once import all_at_once
from tests.factories import make_annotator, make_labels, make_library

pytestmark = pytest.mark.django_db(transaction=True)
N = 60


def imported(folder, who="legacy"):
    path = folder / "c.csv"
    rows = [f"{n}.mp3,Rock {n % 3},{who}" for n in range(N)]
    path.write_text("\n".join(["filename,genre,annotator", *rows]), encoding="utf-8")
    report = import_catalogue("lib", path, ImportOptions())
    return ImportBatch.objects.get(pk=report["batch"])


def answer(annotator, track, label):
    given = [FacetAnswer(label.facet_id, {label.pk: 1})]
    said = Submission(track, annotator, given, idempotency_key=f"{annotator.pk}-{track.pk}")
    return record.record_annotation(said).annotation.pk


@pytest.mark.parametrize("is_own", [False, True])
def test_what_people_answer_meanwhile_is_kept_on_tracks_in_use(tmp_path, monkeypatch, is_own):
    """`is_own`: the import brought answers of one of these people."""
    monkeypatch.setattr(undoing, "CHUNK", 4)
    library = make_library("lib")
    label = make_labels(library)[0]
    people = [make_annotator(library, name) for name in ("ana", "bob")]
    batch = imported(tmp_path, who="ana" if is_own else "legacy")
    tracks = list(Track.objects.order_by("-pk"))

    def work(person):
        if person is None:
            return undoing.undo_import(batch)
        mine = tracks if person.name == "ana" else tracks[::-1]
        return [answer(person, track, label) for track in mine[::2]]

    report, *written = all_at_once(work, [None, *people])
    assert not report["is_stopped"]
    acknowledged = {event_id for ids in written for event_id in ids}
    assert len(acknowledged) == N
    answers = CurrentAnswer.objects.filter(answer__isnull=False)
    assert acknowledged <= set(answers.values_list("answer__annotation_id", flat=True))
    answered = Track.objects.filter(annotations__in=acknowledged)
    assert not answered.filter(state="withdrawn").exists()
    assert rebuild_current_answers(library) == 0
    undone = Annotation.objects.filter(idempotency_key__startswith="undo-import:").count()
    assert undone == report["answers"]
    kept = [one for one in report["kept"] if one["what"] == "answer"]
    assert undone + len(kept) == N


def test_a_label_named_while_it_is_withdrawn_comes_back(tmp_path, monkeypatch):
    library = make_library("lib")
    ana = make_annotator(library, "ana")
    batch = imported(tmp_path)
    label, track = Label.objects.get(name="Rock 1"), Track.objects.first()
    unused = undoing.unused_labels

    def late(*given):
        found = unused(*given)
        answer(ana, track, label)
        return found

    monkeypatch.setattr(undoing, "unused_labels", late)
    report = undoing.undo_import(batch)
    assert (report["labels"], report["tracks"]) == (2, N)
    assert {"what": "label", "name": "Rock 1", "why": "it is in use"} in report["kept"]
    offered = Label.objects.filter(is_active=True).values_list("name", "name_key")
    assert list(offered) == [("Rock 1", "rock 1")]
    assert list(Track.objects.in_use()) == [track]


def test_undo_and_import_take_turns(tmp_path):
    make_library("lib")
    batch = imported(tmp_path)
    started = threading.Event()

    def work(which):
        if which == "undo":
            started.wait(10)
            return undoing.undo_import(batch)
        started.set()
        return import_catalogue("lib", tmp_path / "c.csv", ImportOptions())

    undone, again = all_at_once(work, ["undo", "import"])
    counts = {undone["answers"], again["annotations_created"]}
    assert undone["answers"] == N
    assert counts in ({N}, {N, 0})
    in_use = N if again["annotations_created"] else 0
    assert Track.objects.in_use().count() == in_use
    assert Facet.objects.count() == 4
