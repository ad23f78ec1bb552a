"""The Imports page: choices that survive a refusal, proposals, workbooks, and the undo."""

from __future__ import annotations

import io

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command

from labeling import jobs
from labeling.loop.importing import catalogue
from labeling.models import Annotation, ImportBatch, Job, Label, Track
from tests.factories import make_library, make_user
from workers.jobs.run import execute

pytestmark = pytest.mark.django_db
PEOPLE = ("ann", "ben", "cy")
ROWS = [f'{n}.mp3,"calm, dark",Rock,{who},{1 + n}/4/2021' for n in range(6) for who in PEOPLE]
CSV = "\n".join(["filename,feel,genre,worker,when", *ROWS]).encode()


@pytest.fixture(autouse=True)
def uploads(settings, tmp_path, monkeypatch):
    settings.UPLOAD_ROOT = tmp_path / "uploads"
    monkeypatch.setattr(jobs, "send", lambda job: True)


@pytest.fixture
def library():
    return make_library("lib")


@pytest.fixture
def manager(client, library):
    client.force_login(make_user(library=library, role="manager"))
    return client


def upload(client, content=CSV, name="catalogue.csv"):
    answer = client.post("/imports/lib/", {"file": SimpleUploadedFile(name, content)})
    assert answer.status_code == 302
    return ImportBatch.objects.order_by("-pk")[0]


def start(client, batch, **form):
    said = {"role-0": "key", "role-1": "facet:mood", "separator-1": ", "}
    said |= {"role-2": "facet:genre", "role-3": "field:annotator"}
    said |= {"role-4": "field:annotated_at", "dates": "dmy"}
    return client.post(f"/imports/lib/{batch.pk}/start/", said | form, follow=True)


def imported(client, **form):
    batch = upload(client)
    assert start(client, batch, **form).status_code == 200
    execute(Job.objects.get(kind="import").pk)
    batch.refresh_from_db()
    return batch


def shown(answer):
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_preview_names_what_the_guess_overlooks(manager):
    batch = upload(manager)
    page = shown(manager.get(f"/imports/lib/{batch.pk}/"))
    assert "12 of 18 rows name a track again" in page
    assert "&#x27;worker&#x27; looks like the person who labelled" in page
    assert "&#x27;when&#x27; looks like a date" in page
    assert page.count("18 of 18 cells contain a comma") == 1
    assert "contain a slash" not in page
    assert "01 April 2021" in page
    assert "04 January 2021" in page
    assert page.count("does not fit") == 3 * 3


def test_a_separator_is_proposed_and_not_used(manager):
    batch = upload(manager)
    answer = start(manager, batch, **{"separator-1": "", "role-0": "metadata"})
    assert answer.status_code == 400
    start(manager, batch, **{"separator-1": "", "try": "1"})
    execute(Job.objects.get().pk)
    page = shown(manager.get(f"/imports/lib/{batch.pk}/"))
    assert "18 of 18 cells contain a comma" in page
    assert "<bdi>calm, dark</bdi>" in page


@pytest.mark.parametrize(
    "wrong",
    [{"role-0": "metadata"}, {"role-2": "facet:nope"}, {"audio_root": "x"}, {"dates": "x"}],
)
def test_a_refused_mapping_keeps_every_choice(manager, wrong):
    batch = upload(manager)
    form = {
        "separator-1": " / ", "role-1": "facet:category", "role-3": "answer_metadata",
        "role-4": "ignore", "dates": "unix", "annotator": "the team", "is_strict": "on",
        "mapping_name": "ours",
    }  # fmt: skip
    answer = start(manager, batch, **(form | wrong))
    assert answer.status_code == 400
    page = answer.content.decode()
    for text in (
        'name="separator-1" value=" / "',
        '<option value="facet:category" selected>',
        '<option value="answer_metadata" selected>',
        '<option value="ignore" selected>',
        'value="the team"',
        'name="is_strict" checked',
        'name="mapping_name" maxlength="120" value="ours"',
    ):
        assert text in page
    assert ('<option value="unix" selected>' in page) == ("dates" not in wrong)
    assert not Job.objects.exists()


def test_a_workbook_is_mapped_and_imported(manager):
    book = openpyxl.Workbook()
    book.active.append(["nothing to see"])
    sheet = book.create_sheet("Tracks")
    for row in (["filename", "genre"], ["1.mp3", "Rock"]):
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    batch = upload(manager, out.getvalue(), "catalogue.xlsx")
    assert batch.stored_as.endswith(".xlsx")
    page = shown(manager.get(f"/imports/lib/{batch.pk}/"))
    assert "nothing to see" in page
    page = shown(manager.get(f"/imports/lib/{batch.pk}/?again=1&sheet=Tracks"))
    assert "sheet <bdi>Tracks</bdi>" in page
    form = {"role-0": "key", "role-1": "facet:genre", "sheet": "Tracks", "import": "1"}
    manager.post(f"/imports/lib/{batch.pk}/start/", form)
    execute(Job.objects.get().pk)
    assert list(Track.objects.values_list("key", flat=True)) == ["1.mp3"]
    assert list(Label.objects.values_list("name", flat=True)) == ["Rock"]


def test_rows_that_were_joined_are_shown(manager):
    batch = imported(manager, **{"role-3": "metadata", "role-4": "metadata", "import": "1"})
    assert batch.report["rows_joined"] == 12
    page = shown(manager.get(f"/imports/lib/{batch.pk}/"))
    assert "Rows joined into one answer" in page
    assert "2, 3, 4" in page
    assert "Check the mapping" in page


def test_an_import_is_undone_after_a_preview(manager):
    batch = imported(manager, **{"import": "1"})
    here = f"/imports/lib/{batch.pk}/"
    assert f'href="{here}undo/"' in shown(manager.get(here))
    page = shown(manager.get(f"{here}undo/"))
    assert '<span class="value">18</span><span class="label">answers taken back' in page
    assert '<span class="value">6</span><span class="label">tracks withdrawn' in page
    assert Annotation.objects.count() == 18
    manager.post(f"{here}undo/")
    manager.post(f"{here}undo/")
    job = Job.objects.get(kind="undo_import")
    assert "the undo starts as soon" in shown(manager.get(here))
    assert "being undone" in shown(manager.get("/imports/lib/"))
    execute(job.pk)
    job.refresh_from_db()
    assert (job.state, job.result["answers"], job.by) == ("done", 18, batch.by)
    assert Annotation.objects.filter(kind="retraction", recorded_by=batch.by).count() == 18
    page = shown(manager.get(here))
    assert "What the undo took back" in page
    assert "undo/" not in page
    assert "undone" in shown(manager.get("/imports/lib/"))
    assert "0.mp3" not in shown(manager.get("/tracks/lib/"))
    track = Track.objects.first()
    assert manager.get(f"/tracks/lib/{track.pk}/").status_code == 404
    assert manager.get(f"/api/v1/libraries/lib/tracks/{track.pk}/").status_code == 404
    assert "Rock" not in shown(manager.get("/taxonomy/lib/"))
    assert ">ann<" not in shown(manager.get("/consistency/lib/"))


def test_an_undo_that_failed_is_requested_again(manager):
    batch = imported(manager, **{"import": "1"})
    manager.post(f"/imports/lib/{batch.pk}/undo/")
    Job.objects.filter(kind="undo_import").update(state="failed", reason="crashed: x")
    page = shown(manager.get(f"/imports/lib/{batch.pk}/"))
    assert "crashed: x" in page
    assert "undo/" in page
    manager.post(f"/imports/lib/{batch.pk}/undo/")
    execute(Job.objects.filter(kind="undo_import").latest("pk").pk)
    batch.refresh_from_db()
    assert batch.undone_at is not None


def test_what_was_not_imported_cannot_be_undone(manager):
    batch = upload(manager)
    answer = manager.post(f"/imports/lib/{batch.pk}/undo/", follow=True)
    assert "was not imported yet" in answer.content.decode()
    start(manager, batch, **{"try": "1"})
    answer = manager.get(f"/imports/lib/{batch.pk}/undo/", follow=True)
    assert "only tried out" in answer.content.decode()
    assert not Job.objects.filter(kind="undo_import").exists()


@pytest.mark.parametrize("role", ["annotator", "curator"])
def test_only_managers_undo(client, manager, library, role):
    batch = imported(manager, **{"import": "1"})
    client.force_login(make_user(library=library, role=role))
    for answer in (
        client.get(f"/imports/lib/{batch.pk}/undo/"),
        client.post(f"/imports/lib/{batch.pk}/undo/"),
    ):
        assert answer.status_code == 403
    assert not Job.objects.filter(kind="undo_import").exists()


def test_an_import_by_command_is_on_the_page_and_can_be_undone(manager, tmp_path):
    path = tmp_path / "c.csv"
    path.write_bytes(CSV)
    call_command("import_library", path, "--library", "lib", "--json", stdout=io.StringIO())
    batch = ImportBatch.objects.get()
    assert "imported by command" in shown(manager.get("/imports/lib/"))
    page = shown(manager.get(f"/imports/lib/{batch.pk}/"))
    assert "by command" in page
    assert "Undo this import" in page
    manager.post(f"/imports/lib/{batch.pk}/undo/")
    execute(Job.objects.get(kind="undo_import").pk)
    assert not Track.objects.in_use().exists()
    assert not catalogue.stored_path(batch).is_file()
