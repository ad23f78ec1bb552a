"""Fixtures of the API: a library and a client of it."""

from __future__ import annotations

import pytest

from tests import factories
from tests.labeling.api.contract.world import client_of


@pytest.fixture
def library():
    return factories.make_library("lib")


@pytest.fixture
def labels(library):
    return factories.make_labels(library) + factories.make_labels(
        library, "mood", ("Calm", "Dark")
    )


@pytest.fixture
def track(library):
    return factories.make_track(library, "a/1.mp3", title="One")


@pytest.fixture
def ana(library):
    return client_of(factories.make_user("ana", library=library))
