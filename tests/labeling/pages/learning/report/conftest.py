"""Fixtures of reports: a planted library and its curator."""

from __future__ import annotations

import pytest

from tests.factories import make_user
from tests.labeling.pages.learning.report.world import train
from tests.planted_library import plant


@pytest.fixture
def planted():
    planted = plant(n_tracks=45, n_audit=12)
    train(planted.library)
    return planted


@pytest.fixture
def curator(planted, client):
    client.force_login(make_user("carla", library=planted.library, role="curator"))
    return client
