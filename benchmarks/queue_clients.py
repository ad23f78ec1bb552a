"""Simulated annotators: next, submit, next, submit, each on its own connection."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.queue_seed import Seeded

LABELS_AN_ANSWER = 2


@dataclass
class Pair:
    """One track that was served and the answer that was acknowledged."""

    client: int
    track_id: int
    token: str
    annotation: str
    labels: list[str]


@dataclass
class Client:
    """One annotator's connection, with its times and the responses it got."""

    number: int
    port: int
    seeded: Seeded
    next_ms: list[float] = field(default_factory=list)
    submit_ms: list[float] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    reconnects: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.number)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def post(
        self, tail: str, body: dict[str, Any], *, is_known: bool = True
    ) -> tuple[int, dict[str, Any]]:
        """Send one request; send it again if the server had closed an idle connection."""
        headers = {"Content-Type": "application/json"}
        if is_known:
            headers["Authorization"] = f"Token {self.seeded.tokens[self.number]}"
        path = f"/api/v1/libraries/{self.seeded.slug}/{tail}"
        try:
            return self._send(path, json.dumps(body), headers)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.reconnects += 1
            self.connection.close()
            return self._send(path, json.dumps(body), headers)

    def _send(
        self, path: str, text: str, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        self.connection.request("POST", path, text, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return answer.status, json.loads(content) if is_json and content else {}

    def pair(self) -> bool:
        """Take a track and answer it; return False if either was refused."""
        started = time.perf_counter()
        status, shown = self.post("queue/next/", {})
        taken = time.perf_counter()
        if status != 200:
            self.errors.append(f"next {status}: {shown}")
            return False
        labels = self.random.sample(self.seeded.labels, LABELS_AN_ANSWER)
        body = {
            "track": shown["track"]["id"],
            "presentation": shown["presentation"],
            "labels": {"genre": labels},
            "idempotency_key": uuid.uuid4().hex,
            "decision_time_s": 5.0,
        }
        begun = time.perf_counter()
        status, answer = self.post("annotations/", body)
        self.next_ms.append((taken - started) * 1e3)
        self.submit_ms.append((time.perf_counter() - begun) * 1e3)
        if status != 201 or answer["labels"] != {"genre": sorted(labels)}:
            self.errors.append(f"submit {status}: {answer}")
            return False
        self.pairs.append(
            Pair(self.number, body["track"], body["presentation"], answer["annotation"], labels)
        )
        return True


def drive(clients: Sequence[Client], pairs: int) -> float:
    """Let all clients work until together they have done `pairs`; return the seconds."""
    left = iter(range(pairs))
    lock = threading.Lock()

    def work(client: Client) -> None:
        while True:
            with lock:
                if next(left, None) is None:
                    return
            client.pair()

    started = time.perf_counter()
    with ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(work, clients))
    return time.perf_counter() - started


def warm_up(clients: Sequence[Client], pairs_each: int = 3) -> None:
    """Let every thread of the server open its connection; these are checked, not timed."""
    drive(clients, pairs_each * len(clients))
    for client in clients:
        client.next_ms.clear()
        client.submit_ms.clear()


def refused_ms(clients: Sequence[Client], requests: int) -> list[float]:
    """Time requests that are refused before any query: the server's own cost."""
    times: list[float] = []

    def work(client: Client) -> None:
        for _ in range(requests // len(clients)):
            started = time.perf_counter()
            status, _ = client.post("queue/next/", {}, is_known=False)
            times.append((time.perf_counter() - started) * 1e3)
            if status != 403:
                client.errors.append(f"a stranger got {status}")

    with ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(work, clients))
    return times


def figures(clients: Sequence[Client], seconds: float) -> dict[str, Any]:
    """Return rates and times over all clients, in milliseconds."""
    next_ms = [ms for client in clients for ms in client.next_ms]
    submit_ms = [ms for client in clients for ms in client.submit_ms]
    return {
        "pairs_s": len(submit_ms) / seconds,
        **percentiles("next", next_ms, (50, 95, 99, 100)),
        **percentiles("submit", submit_ms, (50, 95)),
        "errors": sum(len(client.errors) for client in clients),
    }


def percentiles(name: str, times: list[float], which: tuple[int, ...]) -> dict[str, float]:
    found = np.percentile(times, which) if times else [float("nan")] * len(which)
    return {
        f"{name}_{'max' if p == 100 else f'p{p}'}": round(float(v), 2)
        for p, v in zip(which, found, strict=True)
    }
