"""One case of `benchmarks.queue`, in a process whose environment names its database.

Prints the figures as one JSON object. The web server is started as the program starts it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.db.models import Count, F  # noqa: E402

from benchmarks import queue_clients  # noqa: E402
from benchmarks.queue_clients import Client, Pair  # noqa: E402
from benchmarks.queue_seed import Seeded, seed  # noqa: E402
from labeling.models import (  # noqa: E402
    Annotation,
    CurrentAnswer,
    Judgement,
    Presentation,
    QueueItem,
)
from workers.process import commands  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--pairs", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--without-audio", action="store_true")
    asked = parser.parse_args()
    call_command("migrate", verbosity=0)
    started = time.perf_counter()
    seeded = seed(asked.items, asked.clients, has_audio=not asked.without_audio)
    seed_s = time.perf_counter() - started
    runs = run(asked, seeded)
    with connection.cursor() as cursor:
        is_sqlite = connection.vendor == "sqlite"
        cursor.execute("SELECT sqlite_version()" if is_sqlite else "SHOW server_version")
        version = cursor.fetchone()[0]
    json.dump({"seed_s": round(seed_s, 1), "database": version, "runs": runs}, sys.stdout)


def run(asked: argparse.Namespace, seeded: Seeded) -> list[dict[str, Any]]:
    """Drive the clients against the server, and compare the responses with the tables."""
    before = Annotation.objects.count()
    runs, acknowledged = [], []
    with server() as port:
        for _ in range(asked.repeats):
            clients = [Client(number, port, seeded) for number in range(asked.clients)]
            queue_clients.warm_up(clients)
            refused = queue_clients.refused_ms(clients, 20 * asked.clients)
            seconds = queue_clients.drive(clients, asked.pairs)
            runs.append(
                {
                    **queue_clients.figures(clients, seconds),
                    **queue_clients.percentiles("refused", refused, (50,)),
                    "reconnects": sum(client.reconnects for client in clients),
                }
            )
            for error in [error for client in clients for error in client.errors][:5]:
                print(error, file=sys.stderr)
            acknowledged += [pair for client in clients for pair in client.pairs]
    runs[-1] |= {"double": double(acknowledged), "lost": lost(acknowledged, before)}
    return runs


@contextlib.contextmanager
def server() -> Iterator[int]:
    """Start the web server as the program does, on a free port; stop it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    web = commands.web("127.0.0.1", port)
    log = settings.DATA / "web.log"
    with log.open("wb") as stream:
        child = subprocess.Popen(web.command, env=web.environ(), stderr=stream)
    try:
        _wait_for(f"http://127.0.0.1:{port}/accounts/login/", child)
        yield port
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(20)
        lines = log.read_text().splitlines()
        bad = [line for line in lines if " WARNING django.request: Forbidden" not in line]
        print("\n".join(bad[:40]), file=sys.stderr)


def _wait_for(url: str, child: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if child.poll() is not None:
            raise SystemExit(f"the web server ended with status {child.returncode}")
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(url, timeout=10).close()
            return
        time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def double(pairs: Sequence[Pair]) -> int:
    """Count tracks served more often than wanted, by the responses and by the tables."""
    told = Counter((pair.client, pair.track_id) for pair in pairs)
    twice = sum(n - 1 for n in told.values())
    items = QueueItem.objects.filter(presentations__isnull=False).annotate(
        given=Count("presentations"), people=Count("presentations__annotator", distinct=True)
    )
    over = (
        items.filter(given__gt=F("needed")).count()
        + items.exclude(given=F("people"), remaining=F("needed") - F("given")).count()
    )
    # A track is in one item only, so it cannot be served in another way.
    rounds = QueueItem.objects.filter(reserved_for__isnull=True).values("round", "track")
    return twice + over + rounds.annotate(n=Count("id")).filter(n__gt=1).count()


def lost(pairs: Sequence[Pair], before: int) -> int:
    """Count acknowledged answers that are not stored as sent, and stored ones never sent."""
    uids = [pair.annotation for pair in pairs]
    missing = abs(Annotation.objects.count() - before - len(set(uids)))
    said: dict[str, set[str]] = {}
    rows = Judgement.objects.filter(answer__annotation__presentation__isnull=False, value=1)
    for uid, name in rows.values_list("answer__annotation__uid", "label__name"):
        said.setdefault(str(uid), set()).add(name)
    wrong = sum(said.get(pair.annotation) != set(pair.labels) for pair in pairs)
    held = CurrentAnswer.objects.filter(answer__annotation__presentation__isnull=False).count()
    still_open = Presentation.objects.exclude(outcome=Presentation.Outcome.ANSWERED).count()
    return missing + wrong + abs(held - len(pairs)) + still_open


if __name__ == "__main__":
    main()
