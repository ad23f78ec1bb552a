"""Eight annotators at once: `POST queue/next/` and `POST annotations/` over HTTP.

    python -m benchmarks.queue [--items 48411,1000000] [--engine sqlite,postgres]
                               [--clients 8] [--pairs 2000] [--repeats 2]

Against the web server as the program starts it (gunicorn with threads: 1 x 8 on SQLite, 2 x 4
on PostgreSQL), on a database of its own that is dropped afterwards. Clients and server share
the machine. Baselines in the same run: the smallest size, and `refused` (a request that is
refused before any query of the database: the server's own cost). Bars: 0 double, 0 lost,
0 errors; the 95th percentiles at 1,000,000 items within twice those at 48,411.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2
from psycopg2 import sql

from benchmarks import report

POSTGRES = "postgres://postgres@127.0.0.1:5432/postgres"
SIZES = "48411,1000000"
MOST_TIMES = 2.0
SHOWN = (
    *("pairs_s", "next_p50", "next_p95", "next_p99", "next_max", "submit_p50", "submit_p95"),
    *("refused_p50", "double", "lost", "errors"),
)


def main() -> int:
    asked = _arguments()
    cases = []
    for engine in asked.engine.split(","):
        for items in map(int, asked.items.split(",")):
            print(f"{engine}, {items:,} items ...", file=sys.stderr, flush=True)
            found = _case(engine, items, asked)
            cases += [{"engine": engine, "items": items, **found}]
    rows = [
        {"engine": case["engine"], "items": case["items"]}
        | {name: run.get(name, "") for name in SHOWN}
        for case in cases
        for run in case["runs"]
    ]
    print(report.table(rows))
    ratios = list(_ratios(cases))
    if ratios:
        print("\n" + report.table(ratios))
    report.write("queue", {"asked": vars(asked), "cases": cases, "ratios": ratios})
    return 0 if _holds(cases) and all(ratio["holds"] for ratio in ratios) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--items", default=SIZES, help="sizes of the queue, by commas")
    parser.add_argument("--engine", default="sqlite,postgres")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=2_000, help="of all clients together")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--without-audio", action="store_true", help="a metadata-only library")
    return parser.parse_args()


def _case(engine: str, items: int, asked: argparse.Namespace) -> dict[str, Any]:
    """Run one case in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.queue_case", "--items", str(items)]
    for name in ("clients", "pairs", "repeats"):
        command += [f"--{name}", str(getattr(asked, name))]
    command += ["--without-audio"] * asked.without_audio
    with tempfile.TemporaryDirectory() as data, _database(engine, data) as url:
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "audiotag_site.settings",
            "AUDIOTAG_DATA": data,
            "AUDIOTAG_DATABASE_URL": url,
        }
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


@contextmanager
def _database(engine: str, data: str) -> Iterator[str]:
    """Yield the address of an empty database; drop it afterwards."""
    if engine == "sqlite":
        yield f"sqlite:///{data}/bench.sqlite3"
        return
    address = os.environ.get("AUDIOTAG_TEST_POSTGRES_URL", POSTGRES)
    name = f"audiotag_bench_{os.getpid()}"
    _administer(address, "CREATE DATABASE {}", name)
    try:
        yield urlunsplit(urlsplit(address)._replace(path=f"/{name}"))
    finally:
        _administer(address, "DROP DATABASE {} WITH (FORCE)", name)


def _administer(address: str, statement: str, name: str) -> None:
    connection = psycopg2.connect(address)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL(statement).format(sql.Identifier(name)))
    finally:
        connection.close()


def _ratios(cases: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Compare each size with the smallest of its engine, by the best run of each."""
    for case in cases:
        base = min(
            (one for one in cases if one["engine"] == case["engine"]), key=lambda c: c["items"]
        )
        if base is case:
            continue
        times = {
            f"{name}_times": _best(case, name) / _best(base, name)
            for name in ("next_p95", "submit_p95")
        }
        holds = all(value <= MOST_TIMES for value in times.values())
        yield {"engine": case["engine"], "items": case["items"], **times, "holds": holds}


def _best(case: dict[str, Any], name: str) -> float:
    return float(min(run[name] for run in case["runs"]))


def _holds(cases: list[dict[str, Any]]) -> bool:
    runs = [run for case in cases for run in case["runs"]]
    return not any(run.get(name, 0) for run in runs for name in ("double", "lost", "errors"))


if __name__ == "__main__":
    sys.exit(main())
