"""An installation of its own for a test: database, broker, folder, real processes.

The test reads its database through a second connection (`house.jobs`); everything else goes
through the program's own commands and processes. Every process carries the mark of the house
in its environment, by which the test finds what was left behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import environ
import psycopg2
import redis
from celery import Celery
from django.db import connections

from labeling import jobs
from labeling.models import Job, Library, Track
from tests import servers

ROOT = Path(__file__).resolve().parents[2]
_REDIS_LOCK = 0x61756469
LEASE = {"AUDIOTAG_HEARTBEAT_S": "0.3", "AUDIOTAG_STALE_AFTER_S": "2"}


def until(condition, seconds=60.0, what="it", *, pause_s=0.05):
    """Wait until a condition holds and return what it gave; fail when it never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(pause_s)
    raise AssertionError(f"{what} did not come true in {seconds} s")


class House:
    """SQLite with the folder broker (`embedded`), or PostgreSQL with Redis (`team`)."""

    def __init__(self, folder, profile, *, is_migrated=True):
        self._is_migrated = is_migrated
        self.folder = Path(folder)
        self.profile = profile
        self.alias = f"house-{uuid.uuid4().hex[:8]}"
        self.mark = f"AUDIOTAG_HOUSE={self.alias}"
        self._started = []
        self._has_redis = None
        self.environment = {}

    def __enter__(self):
        self.database_url = self._make_database()
        self.environment = {
            "AUDIOTAG_DATA": str(self.folder),
            "AUDIOTAG_HOUSE": self.alias,
            "DJANGO_SETTINGS_MODULE": "audiotag_site.settings",
            "PYTHONPATH": str(ROOT),
            **LEASE,
        }
        if self.profile == "team":
            self.environment["AUDIOTAG_DATABASE_URL"] = self.database_url
            self.environment["AUDIOTAG_BROKER_URL"] = servers.REDIS_URL
            self._take_redis()
        connections.databases[self.alias] = self._connection_settings()
        try:
            if self._is_migrated:
                self.manage("migrate", "-v0")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self._started:
            self.kill(process)
        connections[self.alias].close()
        del connections.databases[self.alias]
        if self.profile == "team":
            self._on_server(f'DROP DATABASE IF EXISTS "{self.alias}" WITH (FORCE)')
        if self._has_redis is not None:
            self._has_redis.close()

    # --- where it lives -----------------------------------------------------------------
    def _make_database(self):
        if self.profile == "embedded":
            return f"sqlite:///{self.folder / 'audiotag.sqlite3'}"
        self._on_server(f'CREATE DATABASE "{self.alias}"')
        return urlunsplit(urlsplit(servers.POSTGRES_URL)._replace(path=f"/{self.alias}"))

    def _take_redis(self):
        """Be the only house on the Redis server, and begin with an empty one.

        Another run of the tests waits here; when a run is killed, its lock goes with it.
        """
        self._has_redis = psycopg2.connect(servers.POSTGRES_URL)
        self._has_redis.autocommit = True
        with self._has_redis.cursor() as cursor:
            cursor.execute("SET lock_timeout = '250s'")
            cursor.execute("SELECT pg_advisory_lock(%s)", [_REDIS_LOCK])
        redis.Redis.from_url(servers.REDIS_URL).flushdb()

    def _on_server(self, sql):
        with contextlib.closing(psycopg2.connect(servers.POSTGRES_URL)) as server:
            server.autocommit = True
            server.cursor().execute(sql)

    def _connection_settings(self):
        found = environ.Env.db_url_config(self.database_url)
        if self.profile == "embedded":
            found["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 20}
        defaults = connections.databases["default"]
        return {
            **defaults,
            "OPTIONS": {},
            **found,
            "CONN_MAX_AGE": 0,
            "TEST": {**defaults["TEST"]},
        }

    # --- processes ----------------------------------------------------------------------
    def environ(self, **more):
        """Return the environment of this house's processes, with nothing of the test run's."""
        ours = ("AUDIOTAG_", "DJANGO_")
        clean = {key: text for key, text in os.environ.items() if not key.startswith(ours)}
        return clean | self.environment | more

    def manage(self, *arguments):
        """Run one command to its end and return what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environ(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *command, **more):
        """Start a process in a group of its own; its output goes to a log in the folder."""
        with open(self.folder / "processes.log", "a") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environ(**more),
                stdout=log,
                stderr=log,
                process_group=0,
            )
        self._started.append(process)
        return process

    def work(self, *arguments):
        """Start one of the program's processes, as a container would."""
        return self.start(sys.executable, "manage.py", "work", *arguments)

    def kill(self, process):
        """Kill a process with its whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def left_behind(self):
        """Return the ids of living processes of this house."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if (
                    entry.name.isdigit()
                    and self.mark.encode() in (entry / "environ").read_bytes()
                ):
                    found.append(int(entry.name))
        return found

    # --- its rows -----------------------------------------------------------------------
    @property
    def jobs(self):
        return Job.objects.using(self.alias)

    @property
    def tracks(self):
        return Track.objects.using(self.alias)

    def library(self, slug="house"):
        return Library.objects.using(self.alias).get_or_create(
            slug=slug, defaults={"name": slug}
        )[0]

    def ask(self, kind, **fields):
        """Make a job and send its message, as the web process does."""
        fields.setdefault("library", self.library())
        job = self.jobs.create(kind=kind, key=uuid.uuid4().hex, **fields)
        name, queue = jobs.TASKS[kind]
        with self._sender() as app:
            app.send_task(name, args=[job.pk], queue=queue, ignore_result=True)
        return job

    @contextlib.contextmanager
    def _sender(self):
        app = Celery("house", set_as_current=False)
        app.conf.broker_url = self.environment.get("AUDIOTAG_BROKER_URL", "filesystem://")
        if self.profile == "embedded":
            folder = str(self.folder / "broker")
            control = str(self.folder / "broker-control")
            app.conf.broker_transport_options = {
                "data_folder_in": folder,
                "data_folder_out": folder,
                "control_folder": control,
            }
        try:
            yield app
        finally:
            app.close()

    def ended(self, asked, seconds=120.0):
        """Wait until these jobs have ended; return their rows in order."""
        wanted = [job.pk for job in asked]
        open_jobs = self.jobs.filter(pk__in=wanted, state__in=Job.OPEN)
        until(lambda: not open_jobs.exists(), seconds, f"the end of jobs {wanted}")
        return list(self.jobs.filter(pk__in=wanted).order_by("pk"))
