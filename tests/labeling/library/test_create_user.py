"""create_user: a person with a role, a password that is told once, a token on demand."""

from __future__ import annotations

import io
import json

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from rest_framework.authtoken.models import Token

from labeling.models import Annotator, Library, Membership

pytestmark = pytest.mark.django_db


def create_user(*arguments):
    out = io.StringIO()
    call_command("create_user", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_it_makes_the_library_the_user_and_the_annotator():
    answer = create_user("anna", "--library", "new", "--role", "curator")
    user = User.objects.get(username="anna")
    assert set(answer) == {"user", "password"}
    assert user.check_password(answer["password"])
    assert Membership.objects.get(user=user).role == "curator"
    assert Annotator.objects.get(user=user).library == Library.objects.get(slug="new")
    assert (user.is_staff, user.is_superuser) == (False, False)


def test_a_second_call_changes_the_role_and_tells_no_password():
    first = create_user("anna", "--library", "new", "--role", "annotator")
    assert create_user("anna", "--library", "new", "--role", "manager") == {"user": "anna"}
    assert Membership.objects.get().role == "manager"
    assert User.objects.get().check_password(first["password"])


def test_a_password_comes_from_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("a long enough secret\n"))
    answer = create_user("b", "--library", "new", "--role", "annotator", "--password-stdin")
    assert answer == {"user": "b"}
    assert User.objects.get().check_password("a long enough secret")


def test_a_token_is_made_once():
    arguments = ("c", "--library", "new", "--role", "annotator", "--token")
    token = create_user(*arguments)["token"]
    assert create_user(*arguments)["token"] == token == Token.objects.get().key


def test_an_admin_may_use_the_administration():
    create_user("d", "--library", "new", "--role", "manager", "--admin")
    assert User.objects.get().is_superuser


@pytest.mark.parametrize(
    ("name", "library", "password", "words"),
    [
        ("e", "new", "short", "too short"),
        ("no blanks", "new", "a long enough secret", "valid username"),
        ("e", "No Slug", "a long enough secret", "is not a library name"),
    ],
)
def test_bad_input_writes_nothing(monkeypatch, name, library, password, words):
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    arguments = (name, "--library", library, "--role", "annotator", "--password-stdin")
    with pytest.raises(CommandError, match=words) as caught:
        create_user(*arguments)
    assert caught.value.returncode == 2
    assert not User.objects.exists()
    assert not Library.objects.exists()
