"""The earliest moment of an answer."""

from __future__ import annotations

from datetime import UTC, datetime

#: No catalogue has earlier answers: an earlier moment is a slip, or means "unknown".
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
