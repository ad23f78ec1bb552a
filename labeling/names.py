"""Comparison of names: one spelling rule for labels, annotators, facets and keys."""

from __future__ import annotations

import unicodedata


def name_key(name: str) -> str:
    """Return the comparison form of a name (NFKC, casefolded, blanks collapsed)."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def track_key(path: str) -> str:
    """Return the stored form of a file name: NFC, forward slashes, no empty steps.

    `sub//b.mp3`, `./sub/b.mp3` and `sub/./b.mp3` are one file; a path from the root stays one.
    """
    key = unicodedata.normalize("NFC", path.strip()).replace("\\", "/")
    steps = [step for step in key.split("/") if step not in ("", ".")]
    return ("/" if key.startswith("/") else "") + "/".join(steps)
