"""Logging in, forged requests, and what a production site must have switched on."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from labeling import private_files
from tests import factories
from tests.labeling.api.test_authorization import LEAST, filled

ROOT = Path(__file__).resolve().parents[3]
PASSWORD = "a long enough password"
UNSAFE = ("post", "put", "patch", "delete")


@pytest.fixture
def ana(db):
    library = factories.make_library("lib")
    factories.make_labels(library)
    factories.make_track(library)
    return factories.make_user("ana", library=library, role="manager")


def log_in(client, password=PASSWORD, name="ana", **headers):
    return client.post("/accounts/login/", {"username": name, "password": password}, **headers)


# --- forged requests ---------------------------------------------------------------------


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize("address", sorted(set(LEAST) - {"api/v1/P", "healthz"}))
def test_an_unsafe_request_of_a_session_needs_the_token(ana, address, method):
    client = Client(enforce_csrf_checks=True)
    client.force_login(ana)
    answer = getattr(client, method)(filled(address), {}, content_type="application/json")
    assert answer.status_code in (403, 405)


def test_a_token_needs_no_csrf_and_no_session(ana):
    from rest_framework.authtoken.models import Token

    client = Client(enforce_csrf_checks=True)
    headers = {"Authorization": f"Token {Token.objects.create(user=ana).key}"}
    url = "/api/v1/libraries/lib/queue/next/"
    answer = client.post(url, {}, content_type="application/json", headers=headers)
    assert answer.status_code == 200
    assert not client.cookies


def test_another_site_cannot_send_for_one(ana):
    client = Client(enforce_csrf_checks=True)
    client.force_login(ana)
    client.get("/annotate/lib/")
    token = client.cookies["csrftoken"].value
    answer = client.post(
        "/annotate/lib/",
        {"csrfmiddlewaretoken": token},
        headers={"Origin": "https://evil.example"},
    )
    assert answer.status_code == 403


# --- logging in --------------------------------------------------------------------------


def test_five_wrong_passwords_lock_the_account_for_a_while(ana, client):
    for _ in range(4):
        assert log_in(client, "wrong").status_code == 200
    assert log_in(client, "wrong").status_code == 429
    locked = log_in(client)
    assert locked.status_code == 429
    assert b"Locked for a while" in locked.content
    assert client.get("/").status_code == 302


def test_a_lock_is_of_one_name_from_one_place(ana, client):
    for _ in range(5):
        log_in(client, "wrong")
    factories.make_user("bob")
    assert log_in(client, name="bob").status_code == 302
    assert log_in(Client(REMOTE_ADDR="10.0.0.9")).status_code == 302


def test_the_right_password_starts_the_count_again(ana, client):
    for _ in range(2):
        for _ in range(4):
            log_in(client, "wrong")
        assert log_in(client).status_code == 302
        client.logout()


def test_a_session_made_before_the_login_is_not_kept(ana, client):
    client.get("/accounts/login/")
    session = client.session
    session["planted"] = "by somebody else"
    session.save()
    before = session.session_key
    client.cookies[settings.SESSION_COOKIE_NAME] = before
    assert log_in(client).status_code == 302
    after = client.cookies[settings.SESSION_COOKIE_NAME].value
    assert after != before
    stranger = Client()
    stranger.cookies[settings.SESSION_COOKIE_NAME] = before
    assert stranger.get("/").status_code == 302


def test_a_session_of_ones_own_choice_is_not_taken(ana, client):
    client.cookies[settings.SESSION_COOKIE_NAME] = chosen = uuid.uuid4().hex
    log_in(client)
    assert client.cookies[settings.SESSION_COOKIE_NAME].value != chosen


def test_logging_out_ends_the_session_on_the_server(ana, client):
    log_in(client)
    kept = client.cookies[settings.SESSION_COOKIE_NAME].value
    client.post("/accounts/logout/")
    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = kept
    assert thief.get("/").status_code == 302


def test_a_new_password_logs_other_devices_out(ana, client):
    log_in(client)
    other = Client()
    log_in(other)
    new = {
        "old_password": PASSWORD,
        "new_password1": "quite another one",
        "new_password2": "quite another one",
    }
    assert client.post("/accounts/password_change/", new).status_code == 302
    assert client.get("/").status_code == 200
    assert other.get("/").status_code == 302


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"],
)
def test_the_login_leads_to_no_other_site(ana, client, target):
    answer = client.post(
        "/accounts/login/", {"username": "ana", "password": PASSWORD, "next": target}
    )
    assert answer["Location"] == "/"


def test_cookies_and_headers(ana, client):
    log_in(client)
    session = client.cookies[settings.SESSION_COOKIE_NAME]
    assert session["httponly"]
    assert session["samesite"] == "Lax"
    answer = client.get("/")
    policy = answer["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"


# --- production --------------------------------------------------------------------------


def manage(tmp_path, *words, **environment):
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("AUDIOTAG_")
    }
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=inherited
        | {"AUDIOTAG_DATA": str(tmp_path), "DJANGO_SETTINGS_MODULE": "audiotag_site.settings"}
        | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_production_site_has_nothing_to_mend(tmp_path):
    words = ["check", "--deploy", "--fail-level", "INFO"]
    done = manage(tmp_path, *words, AUDIOTAG_HTTPS="1", AUDIOTAG_ALLOWED_HOSTS="tags.example")
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("secret", ["short", "x" * 31, "django-insecure-" + "x" * 50])
def test_it_does_not_start_with_a_secret_that_can_be_guessed(secret):
    with pytest.raises(ValueError, match="AUDIOTAG_SECRET_KEY"):
        private_files.checked_secret(secret)


def test_the_settings_look_at_the_secret(tmp_path):
    done = manage(tmp_path, "check", AUDIOTAG_SECRET_KEY="changeme")
    assert done.returncode != 0
    assert "AUDIOTAG_SECRET_KEY" in done.stderr


def test_a_file_with_a_short_secret_is_refused(tmp_path):
    (tmp_path / "secret_key").write_text("short")
    with pytest.raises(ValueError, match="no usable secret"):
        private_files.secret_from_file(tmp_path / "secret_key")
