"""One command: tables, demo, web, workers, schedule; one Ctrl-C stops them all."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from labeling.errors import BadInput
from labeling.private_files import private_folder
from workers.process import startup
from workers.process.commands import beat, web, worker
from workers.process.supervisor import Supervisor


class Command(BaseCommand):
    help = "Run everything on this machine until Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument(
            "--no-demo", action="store_true", help="do not create a demo library"
        )

        parser.add_argument(
            "--with-parent",
            action="store_true",
            help="stop when the process that started it ends",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["host"], options["port"]
        try:
            startup.check_ground()
            startup.check_port(host, port)
        except BadInput as error:
            raise CommandError(str(error), returncode=2) from error
        processes = [web(host, port), *map(worker, ("audio", "ml", "default")), beat()]
        logs = private_folder(settings.DATA / "logs")
        supervisor = Supervisor(processes, self._say, logs)
        supervisor.parent = os.getppid() if options["with_parent"] else None
        with supervisor.signals_caught():
            try:
                self._prepare(supervisor, has_demo=not options["no_demo"])
                if not supervisor.is_asked_to_stop:
                    supervisor.start()
                    self._greet(host, port)
                    supervisor.watch()
            finally:
                self._say("stopping ...")
                supervisor.stop()
        self._say("stopped")

    def _prepare(self, supervisor: Supervisor, *, has_demo: bool) -> None:
        self._say("preparing the database ...")
        startup.prepare_tables()
        if has_demo:
            startup.prepare_demo(supervisor.run_once, self._say)
        connections.close_all()

    def _greet(self, host: str, port: int) -> None:
        name = "localhost" if host in ("127.0.0.1", "0.0.0.0", "::") else host  # noqa: S104
        self.stdout.write(f"\naudiotag is at http://{name}:{port}/ (Ctrl-C stops it)")
        for user, password in startup.demo_logins():
            self.stdout.write(f"  log in as {user}, password {password}")
        self.stdout.write(f"  logs are in {settings.DATA / 'logs'}")
        self.stdout.flush()

    def _say(self, text: str) -> None:
        self.stderr.write(text, self.style.NOTICE)
