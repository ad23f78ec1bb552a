"""The first page, the frame and the pages of an account."""

from __future__ import annotations

import pytest

from labeling.models import Membership
from tests.factories import make_library, make_track, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def library():
    return make_library("tiny", name="<script>alert(1)</script> & Søn")


@pytest.fixture
def ana(library, client):
    user = make_user("ana", library=library, role="annotator")
    client.force_login(user)
    return user


def test_it_works(client, ana, library):
    make_track(library)
    page = client.get("/").content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Søn" in page
    assert "<script>alert" not in page
    assert 'href="/annotate/tiny/"' in page
    assert "You have not labelled a track here yet" in page


def test_only_libraries_of_ones_own_are_shown(client, ana):
    make_library("secret")
    assert b"secret" not in client.get("/").content


def test_without_a_library_says_what_to_do(client):
    client.force_login(make_user("new"))
    assert b"create_user new" in client.get("/").content


def test_strangers_are_sent_to_log_in(client):
    answer = client.get("/")
    assert (answer.status_code, answer.url) == (302, "/accounts/login/?next=/")


def test_query_count_is_small(client, ana, library, django_assert_max_num_queries):
    for _ in range(30):
        make_track(library)
    with django_assert_max_num_queries(12):
        client.get("/")


def test_login_page_logs_in(client, library):
    make_user("ben", library=library)
    answer = client.post(
        "/accounts/login/", {"username": "ben", "password": "a long enough password"}
    )
    assert (answer.status_code, answer.url) == (302, "/")


def test_logout_needs_post(client, ana):
    assert client.get("/accounts/logout/").status_code == 405
    assert client.post("/accounts/logout/").status_code == 302


@pytest.mark.parametrize(
    "path", ["/accounts/password_change/", "/accounts/password_change/done/"]
)
def test_password_pages(client, ana, path):
    assert b"topbar" in client.get(path).content


@pytest.mark.parametrize(
    ("cookie", "attribute"), [("dark", b'data-theme="dark"'), ("light", b'data-theme="light"')]
)
def test_theme_comes_from_the_cookie(client, ana, cookie, attribute):
    client.cookies["theme"] = cookie
    assert attribute in client.get("/").content


def test_a_strange_theme_cookie_is_ignored(client, ana):
    client.cookies["theme"] = '"><script>'
    assert b"data-theme=" not in client.get("/").content


def test_no_page_needs_inline_code(client, ana):
    page = client.get("/").content.decode()
    assert "style=" not in page
    assert "onclick" not in page
    assert "<script>" not in page


def test_a_missing_page_has_our_frame(client, ana):
    answer = client.get("/tracks/nothing-here/")
    assert answer.status_code == 404
    assert b"Not found" in answer.content


def test_roles_see_their_areas(library, rf):
    from labeling.views.context import areas_of

    names = {}
    for role in Membership.Role.values:
        request = rf.get("/")
        request.user = make_user(role, library=library, role=role)
        names[role] = {area.name for area in areas_of(request, library)}
    assert names["annotator"] <= names["curator"] <= names["manager"]
    assert "Models" not in names["annotator"]
    assert "Experiments" not in names["curator"]
    assert "Experiments" in names["manager"]


@pytest.mark.parametrize(
    ("address", "status"), [("/settings/tiny/", 403), (f"/tracks/tiny/{2**63}/", 404)]
)
def test_refusals_within_a_library_keep_its_areas(client, ana, library, address, status):
    answer = client.get(address)
    assert answer.status_code == status
    assert 'href="/annotate/tiny/"' in answer.content.decode()
    assert 'href="/settings/tiny/"' not in answer.content.decode()
