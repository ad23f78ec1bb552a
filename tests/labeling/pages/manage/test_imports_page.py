from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from labeling import jobs
from labeling.loop.importing import catalogue
from labeling.models import (
    AudioFile,
    AudioRoot,
    ImportBatch,
    ImportMapping,
    Job,
    Label,
    Library,
    Track,
)
from tests.factories import make_labels, make_library, make_track, make_user

pytestmark = pytest.mark.django_db
CSV = b'filename,feel,genre,bpm,who\n1.mp3,"calm, dark",=Rock,120,ann\n,calm,Pop,1,ann\n'


@pytest.fixture(autouse=True)
def uploads(settings, tmp_path, monkeypatch):
    settings.UPLOAD_ROOT = tmp_path / "uploads"
    monkeypatch.setattr(jobs, "send", lambda job: True)
    return settings.UPLOAD_ROOT


@pytest.fixture
def library():
    return make_library("lib")


@pytest.fixture
def manager(client, library):
    client.force_login(make_user(library=library, role="manager"))
    return client


def upload(client, content=CSV, name="catalogue.csv"):
    return client.post("/imports/lib/", {"file": SimpleUploadedFile(name, content)})


def start(client, batch, **form):
    said = {"role-0": "key", "role-1": "facet:mood", "separator-1": ", "}
    said |= {"role-2": "facet:genre", "role-3": "metadata", "role-4": "field:annotator"}
    return client.post(f"/imports/lib/{batch.pk}/start/", said | form, follow=True)


@pytest.mark.parametrize(("role", "status"), [("annotator", 403), ("curator", 403)])
def test_page_is_for_managers(client, library, role, status):
    client.force_login(make_user(library=library, role=role))
    assert client.get("/imports/lib/").status_code == status
    assert upload(client).status_code == status
    assert not ImportBatch.objects.exists()


def test_upload_is_kept_under_a_name_of_our_own_and_previewed(manager, uploads):
    answer = upload(manager, name="../../<b>é.csv")
    batch = ImportBatch.objects.get()
    assert answer["Location"] == f"/imports/lib/{batch.pk}/"
    assert [path.name for path in Path(uploads).iterdir()] == [batch.stored_as]
    page = manager.get(answer["Location"]).content.decode()
    assert "&lt;b&gt;é.csv" in page
    assert "calm, dark" in page
    assert '<option value="key" selected>' in page


def test_file_that_is_too_large_is_refused(manager, settings):
    settings.IMPORT_MAX_BYTES = 10
    assert "is larger than" in upload(manager).content.decode()
    assert not ImportBatch.objects.exists()


def test_trial_writes_nothing_then_the_import_does(manager, uploads):
    upload(manager)
    batch = ImportBatch.objects.get()
    page = start(manager, batch, **{"try": "1"}).content.decode()
    assert "No worker is running" in page
    job = Job.objects.get()
    assert (job.kind, job.arguments) == ("import", {"batch": batch.pk})
    seen = []
    catalogue.run_batch(batch.pk, lambda *at: seen.append(at))
    Job.objects.update(state="done")
    assert seen == [(1, 1)]
    assert not Track.objects.exists()
    page = manager.get(f"/imports/lib/{batch.pk}/").content.decode()
    assert "this is what would happen" in page
    assert "is empty: every row names" in page

    manager.post(f"/imports/lib/{batch.pk}/start/", {"confirm": "1", "import": "1"})
    batch.refresh_from_db()
    assert not batch.is_dry_run
    catalogue.run_batch(batch.pk)
    Job.objects.update(state="done")
    assert set(Label.objects.values_list("facet__name", "name")) == {
        ("mood", "calm"),
        ("mood", "dark"),
        ("genre", "=Rock"),
    }
    assert Track.objects.get().extra == {"bpm": "120"}
    assert list(Path(uploads).iterdir()) == []
    assert "imported" in manager.get(f"/imports/lib/{batch.pk}/").content.decode()


def test_trial_lists_the_names_that_would_become_labels_the_rarest_first(manager):
    content = b"filename,genre,feel\n1.mp3,Rock,calm\n2.mp3,Rock,\n3.mp3,Rokc,\n4.mp3, rock,\n"
    make_labels(Library.objects.get(), "mood", ["Calm"])
    upload(manager, content)
    batch = ImportBatch.objects.get()
    form = {"role-1": "facet:genre", "role-2": "facet:mood", "separator-1": ""}
    start(manager, batch, **form, **{"try": "1"})
    catalogue.run_batch(batch.pk)
    Job.objects.update(state="done")
    batch.refresh_from_db()
    assert batch.report["labels_new"] == [
        {"facet": "genre", "label": "Rokc", "rows": 1},
        {"facet": "genre", "label": "Rock", "rows": 3},
    ]
    page = manager.get(f"/imports/lib/{batch.pk}/").content.decode()
    assert "Names that become labels" in page
    assert page.index("<bdi>Rokc</bdi>") < page.index("<bdi>Rock</bdi>")


def test_errors_are_downloaded_as_csv(manager):
    upload(manager)
    batch = ImportBatch.objects.get()
    start(manager, batch)
    catalogue.run_batch(batch.pk)
    answer = manager.get(f"/imports/lib/{batch.pk}/errors/")
    rows = list(csv.reader(io.StringIO(answer.content.decode())))
    assert rows[0] == ["row", "column", "message"]
    assert rows[1][:2] == ["3", "filename"]
    assert "attachment" in answer["Content-Disposition"]


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"role-0": "metadata"}, "choose the column with the file name"),
        ({"role-1": "key"}, "choose the column with the file name"),
        ({"role-2": "facet:nope"}, "no facet"),
        ({"role-3": "field:is_staff"}, "cannot be read as"),
        ({"audio_root": "/etc"}, "not on the list"),
    ],
)
def test_mapping_that_makes_no_sense_is_shown_again_with_the_reason(manager, form, words):
    upload(manager)
    answer = start(manager, ImportBatch.objects.get(), **form)
    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert not Job.objects.exists()


def test_mapping_is_saved_and_used_again(manager):
    upload(manager)
    start(manager, ImportBatch.objects.get(), mapping_name=" My  mapping ")
    mapping = ImportMapping.objects.get()
    assert (mapping.name, mapping.options["separators"]) == ("My mapping", {"feel": ", "})
    upload(manager)
    batch = ImportBatch.objects.order_by("-pk")[0]
    page = manager.get(f"/imports/lib/{batch.pk}/?mapping={mapping.pk}").content.decode()
    assert '<option value="facet:mood" selected>' in page
    assert 'name="separator-1" value=", "' in page


def test_folders_on_the_list_are_offered_by_name(manager, library, settings, tmp_path):
    settings.AUDIO_ROOTS = {"nas": str(tmp_path)}
    for name, whose in (("disk", library), ("secret", make_library("other"))):
        root = AudioRoot.objects.create(name=name, path=f"/mnt/{name}")
        audio = AudioFile.objects.create(
            root=root, relative_path="0.mp3", size_bytes=1, modified_at=1.0
        )
        make_track(whose, "0.mp3", audio=audio)
    (tmp_path / "1.mp3").write_bytes(b"x")
    upload(manager)
    batch = ImportBatch.objects.get()
    page = manager.get(f"/imports/lib/{batch.pk}/").content.decode()
    assert '<option value="nas"' in page
    assert '<option value="disk"' in page
    assert "secret" not in page
    assert start(manager, batch, audio_root="secret").status_code == 400
    assert not Job.objects.exists()
    start(manager, batch, audio_root="nas")
    catalogue.run_batch(batch.pk)
    assert Track.objects.get(key="1.mp3").state == "pending"
    assert Job.objects.filter(kind="probe").count() == 1


@pytest.mark.parametrize("content", [b"\n\n", b"a\0b,c\n"])
def test_file_that_is_no_table_says_so(manager, content):
    upload(manager, content)
    batch = ImportBatch.objects.get()
    page = manager.get(f"/imports/lib/{batch.pk}/")
    assert page.status_code == 200
    assert 'role="alert"' in page.content.decode()
    assert start(manager, batch).status_code == 400


def test_a_folder_that_is_no_longer_offered_is_not_confirmed(manager, settings, tmp_path):
    settings.AUDIO_ROOTS = {"nas": str(tmp_path)}
    upload(manager)
    batch = ImportBatch.objects.get()
    start(manager, batch, audio_root="nas", **{"try": "1"})
    Job.objects.update(state="done")
    settings.AUDIO_ROOTS = {}
    answer = start(manager, batch, confirm="1")
    assert answer.status_code == 400
    assert "not on the list" in answer.content.decode()


def test_another_librarys_import_is_not_there(client, library, manager):
    upload(manager)
    batch = ImportBatch.objects.get()
    other = make_library("other")
    client.force_login(make_user(library=other, role="manager"))
    assert client.get(f"/imports/other/{batch.pk}/").status_code == 404
    assert client.get(f"/imports/lib/{batch.pk}/").status_code == 404


def test_refused_file_says_why_and_fails_no_worker(manager):
    upload(manager)
    batch = ImportBatch.objects.get()
    start(manager, batch, is_strict="on")
    assert "nothing was imported" in catalogue.run_batch(batch.pk)["refused"]
    Job.objects.update(state="done")
    page = manager.get(f"/imports/lib/{batch.pk}/").content.decode()
    assert "refused" in page
    assert "Nothing was written" in page


MAC = "filename,genre\né.mp3,Électronique\nb.mp3,Musique française\nc.mp3,Fête\n".encode(
    "mac-roman"
)


def test_the_encoding_is_chosen_with_a_preview_and_is_in_the_report(manager):
    upload(manager, MAC)
    batch = ImportBatch.objects.get()
    page = manager.get(f"/imports/lib/{batch.pk}/?again=1&encoding=cp1252").content.decode()
    assert "Musique franaise" not in page
    assert "Fête" not in page
    assert '<option value="cp1252" selected>' in page
    page = manager.get(f"/imports/lib/{batch.pk}/?again=1&encoding=mac-roman").content.decode()
    assert "Fête" in page
    assert '<input type="hidden" name="encoding" value="mac-roman">' in page
    form = {"role-0": "key", "role-1": "facet:genre", "encoding": "mac-roman", "import": "1"}
    manager.post(f"/imports/lib/{batch.pk}/start/", form)
    catalogue.run_batch(batch.pk)
    Job.objects.update(state="done")
    assert set(Label.objects.values_list("name", flat=True)) == {
        "Électronique",
        "Musique française",
        "Fête",
    }
    assert "Read as mac-roman." in manager.get(f"/imports/lib/{batch.pk}/").content.decode()


def test_an_encoding_that_is_not_on_the_list_is_refused_with_the_list(manager):
    upload(manager)
    batch = ImportBatch.objects.get()
    page = manager.get(f"/imports/lib/{batch.pk}/?encoding=punycode&again=1").content.decode()
    assert "there is no encoding" in page
    form = {"role-0": "key", "encoding": "rot13", "import": "1"}
    assert manager.post(f"/imports/lib/{batch.pk}/start/", form).status_code == 400
    assert not Job.objects.exists()


def test_what_to_check_in_a_file_is_on_its_page(manager):
    rows = 'a.mp3,Rock,"see\nx.mp3,Pop,y"\nb.mp3,Rосk,\nfilename,genre,note\nc.mp3,Caf'
    upload(manager, f"filename,genre,note\nd.mp3,Été,\n{rows}".encode() + b"\xe9,\n")
    batch = ImportBatch.objects.get()
    form = {"role-0": "key", "role-1": "facet:genre", "import": "1"}
    manager.post(f"/imports/lib/{batch.pk}/start/", form)
    catalogue.run_batch(batch.pk)
    Job.objects.update(state="done")
    page = manager.get(f"/imports/lib/{batch.pk}/").content.decode()
    assert "A cell holds lines that look like rows" in page
    assert "Names that look alike" in page
    assert "1 repeated header was left out" in page
    assert "1 row has cells in cp1252 (row 6)" in page
