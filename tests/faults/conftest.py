"""Tests here and of the containers use databases of their own, beside the test run's."""

from __future__ import annotations

import contextlib
import os

import pytest

from tests import servers
from tests.faults.house import House
from tests.faults.sound import make_recordings

_TOLLS = pytest.StashKey[list[str]]()


@pytest.fixture
def open_house(tmp_path, django_db_blocker):
    """Return a function that opens a house; all are closed when the test ends."""
    with contextlib.ExitStack() as houses, django_db_blocker.unblock():

        def open_one(profile, **how):
            if profile == "team" and (gone := servers.missing()):
                say = pytest.fail if os.environ.get("CI") else pytest.skip
                say("; ".join(gone))
            folder = tmp_path / "house"
            folder.mkdir(mode=0o700)
            return houses.enter_context(House(folder, profile, **how))

        yield open_one


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    return make_recordings(tmp_path_factory.mktemp("sound") / "recordings")


@pytest.fixture
def tolls(request):
    """Lines of the table that is printed when all tests have ended."""
    return request.config.stash.setdefault(_TOLLS, [])


def pytest_terminal_summary(terminalreporter, config):
    lines = config.stash.get(_TOLLS, [])
    if lines:
        terminalreporter.section("kills")
        terminalreporter.write_line(
            "stage       servers   kills missed course_s  jobs attempts seconds  results"
        )
        for line in lines:
            terminalreporter.write_line(line)
