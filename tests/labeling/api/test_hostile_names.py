"""A name is shown as a name, whatever it contains."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser

import pytest
from django.core.management import call_command
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from labeling.loop.importing import catalogue
from labeling.loop.importing.catalogue import ImportOptions
from labeling.models import ImportBatch, Label, Track
from labeling.views.desk.audio import disposition_of
from tests import factories
from tests.labeling.hostile import NAMES, RAW, SCRIPT, hostile_library, own_history

pytestmark = pytest.mark.django_db

PAGES = (
    "/",
    "/annotate/lib/",
    "/tracks/lib/",
    "/tracks/lib/?q=%3Cscript%3Ealert(1)%3C/script%3E",
    "/tracks/lib/?q=%22%3E%3Cimg%20src=x%20onerror=alert(2)%3E",
    "/consistency/lib/",
    "/consistency/lib/?stratum=%3Cscript%3Ealert(1)&since=%3Cimg%20src=x",
    "/models/lib/",
    "/experiments/lib/",
    "/snapshots/lib/",
    "/jobs/lib/",
    "/jobs/lib/rows/",
    "/imports/lib/",
    "/guidelines/lib/",
    "/taxonomy/lib/",
    "/accounts/password_change/",
)
ALLOWED_SCRIPTS = ("/static/labeling/",)


class Reader(HTMLParser):
    """Finds what a browser would run or load."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        is_data = given.get("type") == "application/json"
        is_ours = (given.get("src") or "").startswith(ALLOWED_SCRIPTS)
        if tag in ("script", "iframe", "object", "embed", "base") and not (is_data or is_ours):
            self.found.append((tag, given))
        if tag == "img":
            self.found.append((tag, given))
        self.found += [
            (tag, name) for name in given if name.startswith("on") or name == "style"
        ]
        for name in ("href", "src", "action", "formaction"):
            if (given.get(name) or "").strip().lower().startswith(("javascript:", "data:")):
                self.found.append((tag, given[name]))


def check(answer):
    assert answer.status_code == 200
    text = answer.content.decode()
    reader = Reader()
    reader.feed(text)
    assert reader.found == []
    for raw in RAW:
        assert raw not in text


@pytest.fixture
def library():
    return hostile_library()


@pytest.fixture
def client(library):
    user = factories.make_user(SCRIPT, library=library, role="manager")
    own_history(library, user)
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("path", PAGES)
def test_every_page_shows_names_as_names(client, path):
    check(client.get(path))


def test_every_track_and_label_has_its_page(client, library):
    for track in Track.objects.all():
        check(client.get(f"/tracks/lib/{track.pk}/"))
    for label in Label.objects.all():
        check(client.get(f"/taxonomy/lib/labels/{label.pk}/"))
        check(client.get(f"/taxonomy/lib/labels/{label.pk}/?into={label.pk + 1}"))


def test_the_report_of_an_import(client):
    batch = ImportBatch.objects.get()
    check(client.get(f"/imports/lib/{batch.pk}/"))


def test_messages_repeat_what_was_typed_as_text(client, library):
    for name in NAMES:
        facet = library.facets.first()
        added = client.post(
            "/taxonomy/lib/add/", {"facet": facet.pk, "name": name}, follow=True
        )
        check(added)


def test_the_admin_too(library):
    root = factories.make_user("root", is_superuser=True, is_staff=True)
    client = Client()
    client.force_login(root)
    for model in ("track", "label", "annotator", "annotation", "job", "library"):
        text = client.get(f"/admin/labeling/{model}/").content.decode()
        assert "<script>alert" not in text
        assert "<img src=x" not in text


def test_cells_of_a_catalogue_come_in_as_text(tmp_path, client, library):
    rows = ["filename,title,genre,mood,note"]
    for number, name in enumerate(NAMES):
        cell = '"' + name.replace('"', '""') + '"'
        rows.append(f"n{number}.mp3,{cell},{cell},{cell},{cell}")
    path = tmp_path / "c.csv"
    path.write_bytes("\n".join(rows).encode("utf-8", "replace"))
    report = catalogue.import_catalogue(library.slug, path, ImportOptions(annotator=SCRIPT))
    assert report["rows_rejected"] + report["tracks_created"] == len(NAMES)
    for page in ("/tracks/lib/", "/taxonomy/lib/", "/annotate/lib/", "/consistency/lib/"):
        check(client.get(page))


def test_the_interface_answers_json_with_the_names_in_it(client):
    answer = client.get("/api/v1/libraries/lib/tracks/")
    assert answer["Content-Type"] == "application/json"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert [row["title"] for row in answer.json()["results"]] == list(NAMES)


def test_the_commands_print_them_as_one_json_object(library):
    out = io.StringIO()
    call_command("queue", "--library", "lib", "--count", "5", "--json", stdout=out)
    assert len(json.loads(out.getvalue())["items"]) == 5


@pytest.mark.parametrize("path", ["/%ff%fe/", "/tracks/%ed%a0%80/", "/tracks/lib/%00/"])
def test_addresses_that_are_no_text(client, path):
    assert client.get(path).status_code == 404


@given(st.text(st.characters(codec=None), max_size=300))
def test_no_name_gets_out_of_its_header(name):
    header = disposition_of(name)
    header.encode("ascii")
    assert "\r" not in header
    assert "\n" not in header
    assert header.count('"') == 2
    assert header.startswith('inline; filename="')
