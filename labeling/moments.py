"""When an answer can have been given."""

from __future__ import annotations

from datetime import UTC, datetime

#: No catalogue has answers from before; such a moment is a slip, or stands for "not known".
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
