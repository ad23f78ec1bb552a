"""Run one process of the program, for a container or a service unit."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connections

from labeling import jobs
from workers.jobs.schedules import ensure_schedules
from workers.process.commands import Process, beat, web, worker


class Command(BaseCommand):
    help = "Run the web server, a worker of one queue, or the scheduler, until stopped."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("part", choices=["web", *jobs.QUEUES, jobs.SCHEDULER])
        parser.add_argument("--host", default="127.0.0.1", help="web: address to listen on")
        parser.add_argument("--port", type=int, default=settings.PORT, help="web: its port")
        parser.add_argument("--name", default="", help="worker: another name than its queue's")

    def handle(self, *args: Any, **options: Any) -> None:
        process = self._process(options)
        connections.close_all()
        os.execve(process.command[0], process.command, process.environ())  # noqa: S606

    def _process(self, options: dict[str, Any]) -> Process:
        part = options["part"]
        if part == "web":
            return web(options["host"], options["port"])
        if part == jobs.SCHEDULER:
            ensure_schedules()
            return beat()
        return worker(part, name=options["name"])
