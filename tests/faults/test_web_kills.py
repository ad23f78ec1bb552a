"""The web server killed amid answers: every answer that was acknowledged is in the database."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
import urllib.error
import urllib.request
import uuid

import pytest

from labeling.models import Annotation
from tests.faults.house import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
SUBMITS = 200
KILLS = 5


class Client:
    """A curator's program that asks again, under the same key, until it gets an answer."""

    def __init__(self, port, token):
        self.base = f"http://127.0.0.1:{port}/api/v1/libraries/house/"
        self.token = token
        self.failures = 0

    def once(self, path, body):
        """Ask once; return status and body, or None where nobody answered."""
        request = urllib.request.Request(
            self.base + path,
            data=json.dumps(body).encode(),
            headers={
                "Authorization": f"Token {self.token}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read()[:500]!r}") from error
        except (OSError, ValueError):
            self.failures += 1
            return None

    def ask(self, path, body):
        return until(lambda: self.once(path, body), 60, f"an answer to {path}")


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize("profile", ["embedded", "team"])
def test_every_acknowledged_answer_is_there(open_house, tolls, profile, port):
    house, begun = open_house(profile), time.monotonic()
    table = house.folder / "tracks.csv"
    rows = [f"track {n}.mp3,{('Rock', 'Drone')[n % 2]}" for n in range(SUBMITS + 50)]
    table.write_text("\n".join(["filename,genre", *rows]))
    house.manage("import_library", str(table), "--library", "house", "--json")
    arguments = ("anna", "--library", "house", "--role", "annotator", "--token", "--json")
    client = Client(port, json.loads(house.manage("create_user", *arguments))["token"])
    web = Web(house, port)
    rng = random.Random(profile)
    moments = {n * SUBMITS // KILLS + rng.randrange(5, 35) for n in range(KILLS)}
    acknowledged = {}
    for n in range(SUBMITS):
        if n in moments:
            web.kill_in(rng.uniform(0.0, 0.05))
        acknowledged |= submit_next(client)
    web.stop()
    assert web.kills == KILLS
    assert len(acknowledged) == SUBMITS
    stored = Annotation.objects.using(house.alias).filter(annotator__name="anna")
    keys = dict(stored.values_list("idempotency_key", "uid"))
    assert {key: str(uid) for key, uid in keys.items()} == acknowledged
    assert stored.count() == SUBMITS
    tolls.append(
        f"{'Web':<11} {profile:<9} {web.kills:>5} {0:>6} {'':>7} {'':>5} "
        f"{SUBMITS + client.failures:>8} {time.monotonic() - begun:>8.0f}  "
        f"{SUBMITS} answers, {client.failures} requests asked again"
    )


def submit_next(client):
    _, shown = client.ask("queue/next/", {})
    key = str(uuid.uuid4())
    body = {
        "track": shown["track"]["id"],
        "presentation": shown["presentation"],
        "labels": {"genre": ["Rock"]},
        "idempotency_key": key,
    }
    status, answer = client.ask("annotations/", body)
    assert status in (200, 201)
    return {key: answer["annotation"]}


class Web:
    """The web server, started again by a thread whenever it was killed."""

    def __init__(self, house, port):
        self.house = house
        self.command = ("web", "--port", str(port))
        self.kills = 0
        self._thread = None
        self._process = house.work(*self.command)

    def kill_in(self, seconds):
        self._join()
        self._thread = threading.Thread(target=self._kill, args=(seconds,))
        self._thread.start()

    def _kill(self, seconds):
        threading.Event().wait(seconds)
        self.house.kill(self._process)
        self.kills += 1
        self._process = self.house.work(*self.command)

    def _join(self):
        if self._thread is not None:
            self._thread.join()

    def stop(self):
        self._join()
        self.house.kill(self._process)
