"""Base of all commands: `--json`, `--library`, exit codes, one place for bad input."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, ProgrammingError, connection
from django.db.migrations.executor import MigrationExecutor

from labeling.errors import BadInput
from labeling.models import Library


class AudiotagCommand(BaseCommand, ABC):
    """A command that answers one JSON object on stdout, or a few lines for people.

    Exit 0 even if single rows or files were rejected, 1 on failure, 2 on bad input (nothing was
    written). Everything but the answer goes to stderr.
    """

    needs_library = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
        if self.needs_library:
            parser.add_argument("--library", required=True, metavar="SLUG")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            answer = self.answer(**options)
        except BadInput as error:
            raise CommandError(str(error), returncode=2) from error
        except (OperationalError, ProgrammingError) as error:
            if not _is_behind():
                raise
            raise CommandError(_BEHIND, returncode=2) from error
        if options["json"]:
            self.stdout.write(json.dumps(answer, default=str))
        else:
            self.tell(dict(answer))

    @abstractmethod
    def answer(self, **options: Any) -> Mapping[str, Any]:
        """Do the work and return what `--json` prints."""

    def tell(self, answer: dict[str, Any]) -> None:
        """Print the answer for a person: a line a key."""
        for key, value in answer.items():
            self.stdout.write(f"{key.replace('_', ' ')}: {_plain(value)}")

    def say(self, text: str) -> None:
        """Report progress on stderr."""
        self.stderr.write(text)

    def library(self, slug: str) -> Library:
        """Return the library, or refuse with exit 2."""
        found = Library.objects.filter(slug=slug).first()
        if found is None:
            known = ", ".join(Library.objects.values_list("slug", flat=True)) or "none yet"
            raise BadInput(f"there is no library {slug!r} (known: {known})")
        return found


_BEHIND = "the database is not set up for this version: run `python manage.py migrate` first"


def _is_behind() -> bool:
    """Say whether migrations are missing, as on a fresh clone or after an upgrade."""
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _plain(value: Any) -> str:
    if isinstance(value, list | dict):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def read_password() -> str:
    """Read a password from standard input (one line)."""
    return sys.stdin.readline().rstrip("\n")
