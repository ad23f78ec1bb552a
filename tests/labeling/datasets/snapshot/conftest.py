"""Fixtures of snapshots: a library, its labels and an annotator."""

from __future__ import annotations

import pytest

from tests.factories import make_annotator, make_labels, make_library


@pytest.fixture
def library():
    return make_library()


@pytest.fixture
def labels(library):
    return make_labels(library)


@pytest.fixture
def ann(library):
    return make_annotator(library, "Ann")
