"""A record and its report."""

from __future__ import annotations

import pytest

from ml.evaluation.report import build_report
from tests.ml.records import history, make_record


@pytest.fixture
def record():
    return make_record(history=history())


@pytest.fixture
def report(record):
    return build_report(record, n_resamples=50)
