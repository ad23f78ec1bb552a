"""Access to every address of the site, for every kind of visitor.

An address that is not in the table fails the test, so nobody can add one without deciding.
"""

from __future__ import annotations

import re
import uuid

import pytest
from django.test import Client
from django.urls import URLResolver, get_resolver

from labeling.models import Membership
from tests import factories

pytestmark = pytest.mark.django_db
ROLES = [role.value for role in (Membership.Role.ANNOTATOR, Membership.Role.CURATOR)] + [
    Membership.Role.MANAGER.value
]
ANYONE, USER = "anyone", "user"

#: The least that gets in: "anyone" needs no login, "user" any login, else a role.
LEAST = {
    "": USER,
    "healthz": ANYONE,
    "accounts/login/": ANYONE,
    "accounts/logout/": ANYONE,
    "accounts/password_change/": USER,
    "accounts/password_change/done/": USER,
    "api/v1/schema/": ANYONE,
    "api/v1/P": ANYONE,
    "api/v1/libraries/S/queue/next/": "annotator",
    "api/v1/libraries/S/queue/skip/": "annotator",
    "api/v1/libraries/S/queue/skip/undo/": "annotator",
    "api/v1/libraries/S/queue/release/": "annotator",
    "api/v1/libraries/S/queue/heartbeat/": "annotator",
    "api/v1/libraries/S/annotations/": "annotator",
    "api/v1/libraries/S/annotations/U/undo/": "annotator",
    "api/v1/libraries/S/tracks/": "annotator",
    "api/v1/libraries/S/tracks/N/": "annotator",
    "api/v1/libraries/S/labels/": "annotator",
    "api/v1/libraries/S/models/": "curator",
    "api/v1/libraries/S/models/N/report/": "curator",
    "api/v1/libraries/S/models/compare/": "curator",
    "api/v1/libraries/S/recipes/": "curator",
    "api/v1/libraries/S/recipes/S/train/": "manager",
    "api/v1/libraries/S/snapshots/": "curator",
    "api/v1/libraries/S/snapshots/preview/": "curator",
    "api/v1/libraries/S/snapshots/N/": "curator",
    "api/v1/libraries/S/jobs/N/": "annotator",
    "api/v1/libraries/S/consistency/": "curator",
    "annotate/S/": "annotator",
    "annotate/S/U/": "annotator",
    "annotate/S/state/": "annotator",
    "annotate/S/back/": "annotator",
    "annotate/S/guideline/N/": "annotator",
    "audio/S/N/": "annotator",
    "peaks/S/N/": "annotator",
    "tracks/S/": "annotator",
    "tracks/S/N/": "annotator",
    "jobs/S/": "annotator",
    "jobs/S/rows/": "annotator",
    "jobs/S/N/cancel/": "curator",
    "jobs/S/N/retry/": "curator",
    "guidelines/S/": "annotator",
    "guidelines/S/draft/": "curator",
    "guidelines/S/N/read/": "annotator",
    "taxonomy/S/": "annotator",
    "taxonomy/S/add/": "curator",
    "taxonomy/S/labels/N/": "curator",
    "taxonomy/S/labels/N/change/": "curator",
    "taxonomy/S/changes/N/undo/": "curator",
    "consistency/S/": "curator",
    "consistency/S/cuts/": "curator",
    "consistency/S/cuts/N/": "curator",
    "experiments/S/": "manager",
    "models/S/": "curator",
    "models/S/now/": "curator",
    "models/S/train/": "curator",
    "models/S/N/": "curator",
    "models/S/compare/": "curator",
    "models/S/evaluations/N/": "curator",
    "models/S/N/use/": "curator",
    "models/S/recipes/S/train/": "manager",
    "models/S/criteria/": "manager",
    "settings/S/": "manager",
    "settings/S/members/": "manager",
    "settings/S/members/N/": "manager",
    "snapshots/S/": "curator",
    "snapshots/S/N/": "curator",
    "imports/S/": "manager",
    "imports/S/N/": "manager",
    "imports/S/N/start/": "manager",
    "imports/S/N/undo/": "manager",
    "imports/S/N/errors/": "manager",
}
_SHORT = {"slug": "S", "int": "N", "uuid": "U", "anything": "P"}
_FILLED = {"S": "lib", "N": "999999", "U": str(uuid.UUID(int=1)), "P": "nowhere"}


def addresses(resolver=None, prefix=""):
    """Yield every address below the root (the admin guards itself), parameters as letters."""
    for pattern in (resolver or get_resolver()).url_patterns:
        path = prefix + re.sub(r"<(\w+):\w+>", lambda m: _SHORT[m[1]], str(pattern.pattern))
        if not isinstance(pattern, URLResolver):
            yield path
        elif not path.startswith("admin/"):
            yield from addresses(pattern, path)


def filled(address):
    return "/" + "/".join(_FILLED.get(part, part) for part in address.split("/"))


def test_every_address_is_in_the_table():
    assert set(addresses()) == set(LEAST)


@pytest.fixture
def visitors():
    library = factories.make_library("lib")
    factories.make_labels(library)
    people = {role: factories.make_user(role, library=library, role=role) for role in ROLES}
    people["stranger"] = factories.make_user("stranger")
    people["staff"] = factories.make_user("staff", is_staff=True)
    people["superuser"] = factories.make_user("super", is_superuser=True, is_staff=True)
    clients = {"anonymous": Client(raise_request_exception=False)}
    for name, user in people.items():
        clients[name] = Client(raise_request_exception=False)
        clients[name].force_login(user)
    return clients


def statuses(client, address):
    url = filled(address)
    return {
        client.get(url).status_code,
        client.post(url, {}, content_type="application/json").status_code,
    } - {405}


def may(name, least):
    if least == ANYONE or name == "superuser":
        return True
    if least == USER:
        return name != "anonymous"
    return name in ROLES and ROLES.index(name) >= ROLES.index(least)


def refusal(name, address):
    """Return the statuses for a refused visitor: the login, or as if nothing were there."""
    if name == "anonymous":
        return {401, 403} if address.startswith("api/") else {302}
    return {404} if name in ("stranger", "staff") else {403}


@pytest.mark.parametrize("address", sorted(LEAST))
def test_who_gets_in(visitors, address):
    for name, client in visitors.items():
        if address in ("accounts/logout/", "accounts/password_change/") and name != "anonymous":
            continue  # would end the visitor's session
        got = statuses(client, address)
        if may(name, LEAST[address]):
            assert got.isdisjoint({401, 403}), (name, got)
            assert max(got, default=200) < 500, (name, got)
        else:
            assert got <= refusal(name, address), (name, got)


def test_the_admin_is_for_staff_only(visitors):
    for name, client in visitors.items():
        status = client.get("/admin/").status_code
        assert status == (200 if name in ("staff", "superuser") else 302)
