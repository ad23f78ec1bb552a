"""Check this installation and say what to do about problems."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from labeling import health
from labeling.errors import BadInput
from labeling.management.base import AudiotagCommand


class Command(AudiotagCommand):
    help = "Check that everything that the program needs is there; exit 1 if it is not."
    needs_library = False
    requires_system_checks = ()
    _failed: tuple[str, ...] | list[str] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--only", action="append", metavar="NAME", help="run only this check (repeatable)"
        )
        parser.add_argument(
            "--quick", action="store_true", help="skip checks that start other processes"
        )

    def answer(self, **options: Any) -> dict[str, Any]:
        checks = self._checks(options)
        self._failed = [check.name for check in checks if not check.ok]
        return {"checks": [check.as_json() for check in checks]}

    def _checks(self, options: dict[str, Any]) -> list[health.Check]:
        if not options["only"]:
            looks = health.QUICK if options["quick"] else health.QUICK + health.SLOW
            return list(health.checks(looks))
        checks = health.named(options["only"])
        unknown = set(options["only"]) - {check.name for check in checks}
        if unknown:
            raise BadInput(f"there is no check {', '.join(sorted(unknown))}")
        return checks

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)
        if self._failed:
            raise CommandError(f"failed checks: {', '.join(self._failed)}", returncode=1)

    def tell(self, answer: dict[str, Any]) -> None:
        for check in answer["checks"]:
            mark = "ok  " if check["ok"] else "FAIL"
            self.stdout.write(f"{mark} {check['name']}: {check['detail']}")
            if check["fix"]:
                self.stdout.write(f"     -> {check['fix']}")
