"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path


def put(path: Path, content: bytes) -> str:
    """Write a file durably under its name in one step and return the sha256 of its bytes.

    A process killed at any moment leaves the old file, the new one, or a name with a dot.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.new")
    try:
        with fresh.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    return hashlib.sha256(content).hexdigest()
