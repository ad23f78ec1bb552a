"""Every page writes dates and counts in one way."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from django.utils import timezone

from labeling.templatetags.formats import day, moment, month, time_or_day, utc_day, whole

EVENING = datetime(2026, 11, 23, 23, 5, tzinfo=UTC)
ROOT = Path(__file__).parents[4]


def test_a_moment_is_a_date_and_a_time_of_the_site():
    assert moment(EVENING) == moment("2026-11-23T23:05:00+00:00") == "23 Nov 2026, 23:05"
    with timezone.override("Europe/Berlin"):
        assert moment(EVENING) == "24 Nov 2026, 00:05"
    assert moment(None) == ""


def test_a_day_has_no_time():
    assert day(EVENING) == day(date(2026, 11, 23)) == day("2026-11-23") == "23 Nov 2026"
    with timezone.override("Europe/Berlin"):
        assert day(EVENING) == "24 Nov 2026"
        assert day(date(2026, 11, 23)) == "23 Nov 2026"
    assert day(None) == day("") == ""


def test_a_utc_day_is_the_same_in_every_time_zone():
    with timezone.override("America/New_York"):
        assert utc_day("2026-06-01T00:00:00+00:00") == "1 Jun 2026"
        assert utc_day(datetime(2026, 6, 1, tzinfo=UTC)) == "1 Jun 2026"


def test_a_month_and_what_is_of_today(monkeypatch):
    assert month(2026, 11) == "Nov 2026"
    monkeypatch.setattr(timezone, "localdate", lambda: EVENING.date())
    assert time_or_day(EVENING) == "23:05"
    monkeypatch.setattr(timezone, "localdate", lambda: date(2026, 11, 24))
    assert time_or_day(EVENING) == "23 Nov 2026"


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (1_234, "1,234"), (9_876_543, "9,876,543"), (None, "")]
)
def test_a_count_has_commas_between_thousands(number, text):
    assert whole(number) == text


def test_no_page_writes_a_date_of_its_own():
    """Machine-readable dates, in `datetime` and `value` attributes, are not for people."""
    found = []
    for path in sorted((ROOT / "templates").rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"""(datetime=|value=)?"?\{\{[^}]*\|date:[^}]*\}\}""", text):
            if not match.group(1):
                found.append(f"{path.relative_to(ROOT)}: {match.group()}")
    assert found == []
