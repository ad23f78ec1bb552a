from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from labeling.templatetags.durations import ago, took

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (2.34, "2.3 s"),
        (42.4, "42 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3_600, "1 h"),
        (5_000, "1 h 23 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_span_in_two_units_at_most(seconds, words):
    assert took(START, START + timedelta(seconds=seconds)) == words


def test_what_is_not_over_took_nothing_yet():
    assert took(START, None) == took(None, None) == ""


def test_ago(monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: START)
    assert ago(START) == "just now"
    assert ago(START - timedelta(minutes=3, seconds=1)) == "3 min 1 s ago"
    assert ago(None) == ""
