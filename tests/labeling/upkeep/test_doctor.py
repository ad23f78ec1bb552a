"""doctor: each check says what it found and, where that is not well, what to do."""

from __future__ import annotations

import io
import json
import socket

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from labeling import health, jobs
from labeling.models import AudioRoot, WorkerBeat

pytestmark = pytest.mark.django_db


def doctor(*arguments):
    out = io.StringIO()
    try:
        call_command("doctor", "--json", *arguments, stdout=out)
        status = 0
    except CommandError as error:
        status = error.returncode
    return {check["name"]: check for check in json.loads(out.getvalue())["checks"]}, status


def one(look):
    (check,) = look()
    return check


class TestCommand:
    def test_without_workers_it_says_how_to_start_them(self):
        checks, status = doctor("--quick")
        assert status == 1
        assert checks["worker ml"] == {
            "name": "worker ml",
            "ok": False,
            "detail": "none",
            "fix": "start the program: make run",
        }
        assert checks["database"]["ok"]
        assert checks["migrations"] == {
            "name": "migrations",
            "ok": True,
            "detail": "applied",
            "fix": "",
        }

    def test_all_is_well_with_workers(self):
        for queue in (*jobs.QUEUES, jobs.SCHEDULER):
            WorkerBeat.objects.create(name=queue, queues=queue, pid=1, beat_at=timezone.now())
        checks, status = doctor("--quick")
        assert [name for name, check in checks.items() if not check["ok"]] == []
        assert status == 0

    def test_one_check_can_be_asked_for(self):
        checks, status = doctor("--only", "database")
        assert (list(checks), status) == (["database"], 0)

    def test_a_check_that_is_not_there_is_no_success(self):
        with pytest.raises(CommandError, match="no check own worker oboe") as refused:
            call_command("doctor", "--only", "own worker oboe", stdout=io.StringIO())
        assert refused.value.returncode == 2

    @pytest.mark.parametrize(
        ("beat", "queues", "check", "status"),
        [
            ("audio@{host}", "audio", "own worker audio", 0),
            ("audio@another", "audio", "own worker audio", 1),
            ("{host}@another", "audio", "own worker audio", 1),
            ("ml@{host}", "ml", "own worker audio", 1),
            ("both@{host}", "audio,ml", "own worker ml", 0),
            ("schedule@{host}:17", "schedule", "own schedule", 0),
            ("schedule@another:17", "schedule", "own schedule", 1),
        ],
    )
    def test_a_container_looks_for_its_own_worker(self, beat, queues, check, status):
        name = beat.format(host=socket.gethostname())
        WorkerBeat.objects.create(name=name, queues=queues, pid=1, beat_at=timezone.now())
        checks, ended = doctor("--only", check)
        assert (list(checks), ended) == ([check], status)

    def test_it_prints_a_line_a_check_for_people(self):
        out = io.StringIO()
        with pytest.raises(CommandError, match="worker audio"):
            call_command("doctor", "--quick", stdout=out)
        assert "FAIL worker audio: none\n     -> start the program: make run" in out.getvalue()


class TestWebImage:
    """A process whose packages for audio and learning are in another image."""

    @pytest.fixture(autouse=True)
    def nothing_installed(self, monkeypatch, settings):
        settings.HAS_EMBEDDED_BROKER = False
        monkeypatch.setattr(health, "_is_there", lambda module: False)

    @pytest.mark.parametrize("look", [health.decoding, health.learning])
    def test_what_workers_do_is_not_needed(self, look):
        check = one(look)
        assert (check.ok, check.fix) == (True, "")
        assert check.detail.startswith("not installed, and not needed here")

    def test_only_its_own_packages_are_asked_for(self, tmp_path, settings):
        settings.BASE_DIR = tmp_path
        (tmp_path / "requirements.txt").write_text("-r requirements-web.txt\nno-such-package\n")
        (tmp_path / "requirements-web.txt").write_text("django\n")
        assert one(health.packages_here).ok
        assert not one(health.packages).ok
        settings.HAS_EMBEDDED_BROKER = True
        assert not one(health.packages_here).ok

    def test_asked_for_by_name_it_is_tried(self, monkeypatch):
        monkeypatch.setattr(health, "_TRY_LEARNING", "import no_such_module")
        checks, status = doctor("--only", "tensorflow")
        assert (checks["tensorflow"]["ok"], status) == (False, 1)

    def test_with_the_broker_in_the_data_folder_they_are_needed(self, settings, monkeypatch):
        settings.HAS_EMBEDDED_BROKER = True
        monkeypatch.setattr(health, "_TRY_DECODING", "import no_such_module")
        assert not one(health.decoding).ok


class TestChecks:
    def test_decoding_is_tried_in_a_child(self):
        check = one(health.decoding)
        assert check.ok, check.detail
        assert check.detail.endswith("reads wav, flac and mp3")

    def test_a_child_that_dies_is_a_finding(self):
        check = health.in_child("x", "import os; os.kill(os.getpid(), 11)", "mend it")
        assert (check.ok, check.detail, check.fix) == (
            False,
            "ended with status -11",
            "mend it",
        )

    def test_a_child_that_fails_tells_its_last_line(self):
        check = health.in_child("x", "import no_such_module", "install it")
        assert check.detail == "ModuleNotFoundError: No module named 'no_such_module'"

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("no-such-package>=1", "no-such-package is not installed"),
            ("django>=99", r"django \S+ is not >=99"),
        ],
    )
    def test_wrong_packages_are_named(self, tmp_path, settings, line, words):
        settings.BASE_DIR = tmp_path
        (tmp_path / "requirements.txt").write_text("-r more.txt\nnumpy  # here\n")
        (tmp_path / "more.txt").write_text(f'{line}\nx; platform_system == "None"\n')
        check = one(health.packages)
        assert not check.ok
        assert __import__("re").search(words, check.detail)
        assert "x is" not in check.detail

    def test_a_data_folder_open_to_others(self, tmp_path, settings):
        settings.DATA = tmp_path
        tmp_path.chmod(0o755)
        folder, disk = health.data_folder()
        assert not folder.ok
        assert folder.fix == f"chmod 700 {tmp_path}, owned by who runs the program"
        tmp_path.chmod(0o700)
        assert next(iter(health.data_folder())).ok
        assert "MB free" in disk.detail

    def test_a_secret_that_others_can_read(self, tmp_path, settings):
        settings.DATA = tmp_path
        assert one(health.secret).ok
        (tmp_path / "secret_key").write_text("x" * 50)
        (tmp_path / "secret_key").chmod(0o644)
        assert not one(health.secret).ok

    def test_a_short_secret(self, settings):
        settings.SECRET_KEY = "short"
        assert not one(health.secret).ok

    def test_an_audio_root_that_is_not_there(self, tmp_path, settings):
        settings.AUDIO_ROOTS = {"here": str(tmp_path)}
        assert one(health.audio_roots).detail == "1 readable"
        AudioRoot.objects.create(name="gone", path=str(tmp_path / "gone"))
        assert f"gone ({tmp_path / 'gone'})" in one(health.audio_roots).detail

    def test_a_broker_that_does_not_answer(self, settings):
        settings.HAS_EMBEDDED_BROKER = False
        settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
        check = one(health.broker)
        assert not check.ok
        assert "does not answer" in check.detail

    @pytest.mark.sqlite_only
    def test_a_database_without_its_log(self, settings, monkeypatch):
        health.connection.ensure_connection()

        class Cursor:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

            def execute(self, sql):
                assert sql == "PRAGMA journal_mode"

            def fetchone(self):
                return ("delete",)

        monkeypatch.setattr(health.connection, "cursor", Cursor)
        check = one(health.database)
        assert (check.ok, check.detail) == (False, "SQLite, journal mode delete")
