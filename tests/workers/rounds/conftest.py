"""A planted library."""

from __future__ import annotations

import pytest

from tests.planted_library import plant


@pytest.fixture
def planted():
    return plant()
