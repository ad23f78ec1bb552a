"""PostgreSQL and Redis servers for the tests; `python -m tests.servers` fails without."""

from __future__ import annotations

import os
import sys

import psycopg2
import redis

POSTGRES_URL = os.environ.get(
    "AUDIOTAG_TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres"
)
REDIS_URL = os.environ.get("AUDIOTAG_TEST_REDIS_URL", "redis://127.0.0.1:6379/9")


def missing() -> list[str]:
    """Return what does not answer, with its address."""
    found = []
    try:
        psycopg2.connect(POSTGRES_URL, connect_timeout=3).close()
    except psycopg2.OperationalError as error:
        found.append(f"PostgreSQL at {POSTGRES_URL}: {str(error).strip()}")
    try:
        redis.Redis.from_url(REDIS_URL, socket_connect_timeout=3).ping()
    except redis.RedisError as error:
        found.append(f"Redis at {REDIS_URL}: {error}")
    return found


if __name__ == "__main__":
    gone = missing()
    for line in gone:
        print("not there:", line, file=sys.stderr)
    sys.exit(bool(gone))
