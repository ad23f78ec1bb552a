"""Fixtures for all tests: a folder of their own, a seeded generator, the shared data."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import numpy as np
import pytest
from django.core.management import CommandError
from django.core.management.commands import flush
from django.db import OperationalError, connections

from labeling import append_only
from tests import in_flight

# The time that an example takes is not tested.
hypothesis.settings.register_profile("audiotag", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("audiotag")
DATABASE_FIXTURES = {"db", "transactional_db", "django_db_serialized_rollback", "live_server"}
DATABASE_FIXTURES |= {"open_house"}
WITH_SERVERS = (
    "tests/e2e/",
    "tests/workers/process/test_compose.py",
    "tests/workers/process/test_supervisor.py",
)
SHARED_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def pytest_collection_modifyitems(config, items):
    """Put those with servers last, leave out the other engine, skip what lacks shared data.

    CI runs the suite on both engines and has the data, so that nothing is skipped there.
    """
    # They start servers, workers and browsers, and wait for them most of the time.
    items.sort(key=lambda item: item.nodeid.startswith(WITH_SERVERS))
    if connections["default"].vendor == "sqlite":
        left_out = [item for item in items if "postgres_only" in item.keywords]
    else:
        left_out = [item for item in items if not _is_about_postgresql(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    if SHARED_DATA.is_dir():
        return
    skip = pytest.mark.skip(reason=f"the shared test data is not at {SHARED_DATA}")
    for item in items:
        if "shared_data" in item.keywords:
            item.add_marker(skip)


def _is_about_postgresql(item) -> bool:
    """Say whether a test uses the database; any other says the same on every engine."""
    if "sqlite_only" in item.keywords:
        return False
    uses = item.get_closest_marker("django_db") or "postgres_only" in item.keywords
    return bool(uses) or not DATABASE_FIXTURES.isdisjoint(item.fixturenames)


@pytest.fixture
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the shared test data is not at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20_261_122)


def _flushed(flush, tries=5):
    """Flush behind the last request of a browser, again if one came after all (a deadlock)."""
    in_flight.wait_for_none()
    for left in range(tries - 1, -1, -1):
        try:
            return flush()
        except (CommandError, OperationalError):
            if not left:
                raise
            connections["default"].close()
    return None


def _flush_without_triggers(flush):
    """Let the flush after a transactional test empty the append-only tables too.

    PostgreSQL truncates, which no trigger sees; SQLite deletes row by row.
    """

    def handle(self, **options):
        connection = connections[options["database"]]
        if connection.vendor != "sqlite":
            return _flushed(lambda: flush(self, **options))
        append_only.drop_triggers(connection)
        try:
            return _flushed(lambda: flush(self, **options))
        finally:
            append_only.create_triggers(connection)

    return handle


in_flight.watch()
flush.Command.handle = _flush_without_triggers(flush.Command.handle)
