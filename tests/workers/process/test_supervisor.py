"""The supervisor: restarts what dies, stops all in order, and leaves no process behind."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labeling.errors import BadInput
from workers.process import commands, guard, startup
from workers.process.commands import Process
from workers.process.supervisor import (
    STOP_WITHIN_S,
    Child,
    Guard,
    Supervisor,
    cut_log,
    open_log,
)

ROOT = Path(__file__).resolve().parents[3]
#: A process whose child ignores SIGTERM, as a stuck decoder would.
STUBBORN = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print("up", flush=True)
signal.pause()
"""
SUPERVISE = """
import sys
from workers.process.commands import Process
from workers.process.supervisor import Supervisor
supervisor = Supervisor([Process("child", (sys.executable, "-c", sys.argv[1]))], print)
with supervisor.signals_caught():
    supervisor.start()
    print("started", flush=True)
    supervisor.watch()
    supervisor.stop()
"""


def until(condition, seconds=60.0):
    """Wait until a condition holds; say so when it never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    return pytest.fail(f"{condition} did not come true in {seconds} s")


def marked(mark):
    """Return the ids of the processes that have this mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                found += [int(entry.name)] if state != "Z" else []
        except OSError:
            continue
    return found


pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks into /proc")


@pytest.fixture
def mark(request):
    return f"AUDIOTAG_MARK={os.getpid()}-{request.node.name}"


@pytest.fixture
def supervised(mark):
    """Start a supervisor of one stubborn child in a process of its own."""
    name, value = mark.split("=")
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, STUBBORN],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {name: value, "PYTHONPATH": str(ROOT)},
        process_group=0,
    )
    assert process.stdout.readline() == "started\n"
    assert process.stdout.readline() == "up\n"
    until(lambda: len(marked(mark)) == 4)  # supervisor, guard, child, grandchild
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


class TestNoOrphans:
    def test_a_killed_supervisor_takes_all_with_it(self, supervised, mark):
        supervised.kill()
        until(lambda: not marked(mark))

    def test_a_second_signal_kills_at_once(self, supervised, mark):
        supervised.send_signal(signal.SIGINT)
        supervised.send_signal(signal.SIGTERM)
        assert supervised.wait(timeout=STOP_WITHIN_S - 1) == 0
        until(lambda: not marked(mark))  # what was killed is gone a moment later


class TestChild:
    @pytest.fixture
    def guard_(self):
        watcher = Guard()
        yield watcher
        watcher.close()

    def test_it_starts_again_after_pauses_that_double(self, guard_, monkeypatch):
        child = Child(Process("x", (sys.executable, "-c", "raise SystemExit(7)")), guard_)
        clock = [0.0]
        monkeypatch.setattr("workers.process.supervisor.time.monotonic", lambda: clock[0])
        child.start()
        pauses = []
        for _ in range(8):
            child._running.wait()
            assert child.look() == 7
            pauses.append(child.pause_s)
            assert child.look() is None  # the pause is not over
            clock[0] += child.pause_s
            child.look()
        assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]
        assert child.restarts == 8
        child.kill()

    def test_what_lived_long_starts_again_soon(self, guard_, monkeypatch):
        child = Child(Process("x", (sys.executable, "-c", "")), guard_)
        clock = [0.0]
        monkeypatch.setattr("workers.process.supervisor.time.monotonic", lambda: clock[0])
        child._pause_s = 16.0
        child.start()
        child._running.wait()
        clock[0] = 61.0
        assert child.look() == 0
        assert child.pause_s == 0.5

    def test_a_gentle_stop_is_enough_where_it_is_heeded(self, guard_):
        child = Child(
            Process("x", (sys.executable, "-c", "import signal; signal.pause()")), guard_
        )
        child.start()
        child.ask_to_stop()
        until(child.has_ended)
        assert child.status == -signal.SIGTERM


class TestRunOnce:
    @pytest.mark.parametrize("status", [0, 3])
    def test_it_returns_the_status(self, status):
        supervisor = Supervisor([], print)
        command = (sys.executable, "-c", f"raise SystemExit({status})")
        assert supervisor.run_once(Process("x", command)) == status
        supervisor.stop()

    def test_a_signal_ends_it(self):
        supervisor = Supervisor([], print)
        supervisor._on_signal()
        command = (sys.executable, "-c", "import signal; signal.pause()")
        assert supervisor.run_once(Process("x", command)) == -1
        supervisor.stop()


class TestGuard:
    @pytest.mark.parametrize(
        ("lines", "left"),
        [([], set()), (["+5\n", "+7\n", "-5\n"], {7}), (["+x\n", "\n", "-1\n", "*3\n"], set())],
    )
    def test_it_keeps_what_was_not_taken_off(self, lines, left):
        assert guard.groups_left(lines) == left


class TestGround:
    def test_a_port_in_use_is_said(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(BadInput, match=f"port {port} is in use.*AUDIOTAG_PORT"):
                startup.check_port("127.0.0.1", port)
        startup.check_port("127.0.0.1", port)

    def test_an_address_of_another_machine(self):
        with pytest.raises(BadInput, match="cannot be listened on"):
            startup.check_port("192.0.2.1", 8000)

    def test_the_logins_come_from_the_demo(self, tmp_path):
        assert startup.demo_logins(tmp_path) == []
        note = tmp_path / startup.DEMO_NOTE
        note.write_text('{"users": [{"user": "anna", "password": "p", "role": "curator"}]}')
        assert startup.demo_logins(tmp_path) == [("anna (curator)", "p")]
        note.write_text("half a no")
        assert startup.demo_logins(tmp_path) == []

    def test_a_large_log_makes_room(self, tmp_path, monkeypatch):
        monkeypatch.setattr("workers.process.supervisor._LOG_BYTES", 3)
        for line in ("first", "second"):
            with open_log(tmp_path / "web.log") as log:
                log.write(line)
        assert (tmp_path / "web.log.1").read_text() == "first"
        assert (tmp_path / "web.log").read_text() == "second"
        assert (tmp_path / "web.log").stat().st_mode & 0o777 == 0o600

    def test_a_log_is_cut_while_its_process_writes(self, tmp_path, monkeypatch):
        monkeypatch.setattr("workers.process.supervisor._LOG_BYTES", 10_000)
        monkeypatch.setattr("workers.process.supervisor._LOGS_EVERY_S", 0.0)
        command = "while True: print('x' * 99, flush=True)"
        process = Process("chatter", (sys.executable, "-c", command))
        supervisor = Supervisor([process], print, tmp_path)
        log, older = tmp_path / "chatter.log", tmp_path / "chatter.log.1"
        supervisor.start()
        looks, watching = [], supervisor.children[0].make_room

        def make_room():
            watching()
            looks.append(log.stat().st_size)
            if len(looks) == 20:
                supervisor._on_signal()

        monkeypatch.setattr(supervisor.children[0], "make_room", make_room)
        supervisor.watch()
        (child,) = supervisor.children
        assert child.restarts == 0
        supervisor.stop()
        assert older.stat().st_size > 10_000
        assert older.stat().st_mode & 0o777 == 0o600
        assert set(older.read_text().splitlines()[1:-1]) == {"x" * 99}
        assert min(looks[1:]) < older.stat().st_size
        assert b"\0" not in log.read_bytes()

    def test_a_log_that_cannot_be_copied_is_emptied(self, tmp_path, monkeypatch):
        monkeypatch.setattr("workers.process.supervisor._LOG_BYTES", 3)
        log = tmp_path / "web.log"
        log.write_text("a full disk")
        (tmp_path / "web.log.1").mkdir()
        cut_log(log)
        assert log.read_text() == ""
        cut_log(tmp_path / "none.log")


class TestProcesses:
    def test_sqlite_gets_one_web_process_with_threads(self, settings):
        settings.IS_SQLITE = True
        one = " ".join(commands.web("127.0.0.1", 8000).command)
        assert "--workers 1 --threads 8 --bind 127.0.0.1:8000" in one
        settings.IS_SQLITE = False
        assert "--workers 2 --threads 4" in " ".join(commands.web("::", 1).command)

    def test_the_ml_worker_is_spawned_and_single(self):
        command = commands.worker("ml").command
        assert command[command.index("-c") + 1] == "1"
        assert command[-2:] == ("--", "worker.pool_start_method=spawn")

    def test_the_audio_worker_has_one_thread_a_process(self, settings):
        settings.AUDIO_PROCESSES = 3
        audio = commands.worker("audio", name="audio2")
        assert audio.command[audio.command.index("-c") + 1] == "3"
        assert audio.environment["OMP_NUM_THREADS"] == "1"
        assert "audio2@%h" in audio.command


@pytest.mark.sqlite_only
def test_one_signal_stops_web_workers_and_schedule(mark, tmp_path):
    """The real command: everything answers, one SIGINT, nothing is left."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    name, value = mark.split("=")
    ours = ("AUDIOTAG_", "DJANGO_")
    clean = {key: text for key, text in os.environ.items() if not key.startswith(ours)}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "run_audiotag", "--no-demo", "--port", str(port)],
        cwd=ROOT,
        env=clean | {name: value, "AUDIOTAG_DATA": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    try:
        until(lambda: healthy(port), seconds=180)
        assert len(marked(mark)) >= 12
        process.send_signal(signal.SIGINT)
        output = io.StringIO(process.communicate(timeout=60)[0]).read()
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert f"audiotag is at http://localhost:{port}/" in output
    assert "stopped" in output
    until(lambda: not marked(mark))
    assert (tmp_path / "logs" / "worker-ml.log").exists()


def healthy(port):
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz?strict=1", timeout=5) as answer:
            return answer.status == 200
    except (URLError, OSError):
        return False
