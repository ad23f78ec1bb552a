"""Create a user, or change their role in a library."""

from __future__ import annotations

import secrets
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from rest_framework.authtoken.models import Token

from labeling.errors import BadInput
from labeling.loop.library.libraries import annotator_of, get_or_create_library
from labeling.management.base import AudiotagCommand, read_password
from labeling.models import Library, Membership


class Command(AudiotagCommand):
    help = "Create a user who is a member of a library (created if it does not exist)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name")
        parser.add_argument("--role", required=True, choices=Membership.Role.values)
        parser.add_argument("--token", action="store_true", help="also create an API token")
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help="read the password from standard input; else one is made and printed once",
        )
        parser.add_argument(
            "--admin", action="store_true", help="may also use /admin/ and see every library"
        )

    def answer(self, **options: Any) -> dict[str, Any]:
        given = read_password() if options["password_stdin"] else None
        with transaction.atomic():
            library, _ = get_or_create_library(options["library"])
            user, is_new = self._user(options["name"])
            answer: dict[str, Any] = {"user": user.get_username()}
            if given is not None:
                self._set_password(user, given)
            elif is_new:
                answer["password"] = secrets.token_urlsafe(12)
                self._set_password(user, answer["password"])
            self._give_role(user, library, options)
            if options["token"]:
                answer["token"] = Token.objects.get_or_create(user=user)[0].key
        return answer

    def _user(self, name: str) -> tuple[User, bool]:
        found = User.objects.filter(username=name).first()
        if found is not None:
            return found, False
        user = User(username=name)
        user.set_unusable_password()
        try:
            user.full_clean(exclude=["password"])
        except ValidationError as error:
            raise BadInput(f"{name!r}: {' '.join(error.messages)}") from error
        user.save()
        return user, True

    def _set_password(self, user: User, password: str) -> None:
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise BadInput(" ".join(error.messages)) from error
        user.set_password(password)
        user.save(update_fields=["password"])

    def _give_role(self, user: User, library: Library, options: dict[str, Any]) -> None:
        Membership.objects.update_or_create(
            user=user, library=library, defaults={"role": options["role"]}
        )
        annotator_of(library, user)
        if options["admin"]:
            user.is_staff = user.is_superuser = True
            user.save(update_fields=["is_staff", "is_superuser"])
