"""No parameter of an address reaches the ORM by its name, and no value breaks a page."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.utils.http import urlencode

from labeling.models import ImportBatch, Job
from tests import factories
from tests.answers import say
from tests.labeling.api.test_authorization import LEAST

pytestmark = pytest.mark.django_db

LOOKUPS = {
    "owner__password": "x",
    "by__password__startswith": "a",
    "library__memberships__user__password__startswith": "a",
    "annotations__annotator__user__password__regex": "^a",
    "id__in": "1,2",
    "pk": "0",
    "__class__": "x",
    "_state": "x",
    "ordering": "annotations__annotator__user__password",
    "order_by": "-library__slug",
    "sort": "is_audit",
    "o": "-user__password",
    "fields": "library__memberships__user",
    "expand": "annotations",
    "format": "api",
}
#: Every parameter that a page or the API reads.
KNOWN = (
    *("q", "state", "labelled", "side", "after", "before", "page", "into", "mapping", "again"),
    *("strict", "cursor", "limit", "next", "annotator", "label", "facet", "stratum", "since"),
    *("until", "key"),
)
HOSTILE = (
    "9" * 5_000,
    "-1",
    "1e9",
    "owner__password",
    "\x00",
    "\ud800",
    "'\"><script>",
    "٣",
    "",
)
SKIPPED = {"accounts/logout/", "api/v1/P", "audio/S/N/", "peaks/S/N/"}
ADDRESSES = sorted(set(LEAST) - SKIPPED)
_CHANGING = re.compile(
    rb'csrfmiddlewaretoken" value="[^"]+"|name="key" value="[^"]+"|lease_expires_at"[^,]+,'
    rb'|"heartbeat_s"[^,]+,|\d+[\xc2\xa0 ](minute|second)s?'
)


@pytest.fixture
def library():
    library = factories.make_library("lib")
    labels = factories.make_labels(library)
    for number in range(3):
        track = factories.make_track(library, title=f"T{number}")
    bob = factories.make_annotator(library, "bob")
    say(bob, track, [labels[0]], offered=labels, at="2026-01-01")
    Job.objects.create(library=library, kind="probe", key="k", state="done")
    ImportBatch.objects.create(library=library, file_name="c.csv", stored_as="none.csv")
    return library


@pytest.fixture
def client(library):
    client = Client()
    client.force_login(factories.make_user("root", is_superuser=True, is_staff=True))
    return client


def rows_of(library):
    return {
        "S": "lib",
        "N": str(library.tracks.first().pk),
        "U": "00000000-0000-0000-0000-000000000001",
    }


def url_of(address, rows):
    return "/" + "/".join(rows.get(part, part) for part in address.split("/"))


def seen(client, url, query=""):
    answer = client.get(f"{url}?{query}" if query else url)
    text = answer.content.replace(query.encode(), b"").replace(b"?", b"")
    return answer.status_code, _CHANGING.sub(b"", text)


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_name_of_a_lookup_is_refused_or_ignored(client, library, address):
    url = url_of(address, rows_of(library))
    plain = seen(client, url)
    plain = seen(client, url)  # the first look may lease a track or make a row
    for name, value in LOOKUPS.items():
        status, text = seen(client, url, urlencode({name: value}))
        assert status < 500, name
        if status != 400 and not (name == "format" and address.startswith("api/")):
            assert (status, text) == plain, name


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_value_of_a_known_parameter_breaks_a_page(client, library, address):
    url = url_of(address, rows_of(library))
    for value in HOSTILE:
        sent = value.encode("utf-8", "surrogatepass")
        query = urlencode(dict.fromkeys(KNOWN, sent))
        assert client.get(f"{url}?{query}").status_code < 500, value


@pytest.mark.parametrize("name", sorted(LOOKUPS))
def test_the_interface_names_what_it_does_not_know(client, library, name):
    for tail in ("tracks/", "labels/", "models/", "consistency/"):
        url = f"/api/v1/libraries/lib/{tail}?{urlencode({name: LOOKUPS[name]})}"
        assert client.get(url).status_code in ((400, 404) if name == "format" else (400,))


@pytest.mark.parametrize("address", [one for one in ADDRESSES if "N" in one])
@pytest.mark.parametrize("number", [0, 2**63, 10**30, "9" * 5_000, "-1", "1e3", "%00"])
def test_odd_numbers_in_an_address_are_not_found(client, library, address, number):
    url = url_of(address, rows_of(library) | {"N": str(number)})
    assert client.get(url).status_code in (404, 405)
