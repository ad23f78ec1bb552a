"""Removes what writers that were killed left behind: files that no row names.

Only old files: a young one may be about to be named. Features, models and predictions are
swept where they are written (`featuring`, `registering`, `predicting`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings

from labeling.models import AudioFile, Library

_FORGOTTEN_AFTER_S = 3_600.0


def sweep_peaks() -> list[str]:
    """Remove waveforms of files that sound otherwise now, or are gone; return their names."""
    named = AudioFile.objects.exclude(peaks_file="").values_list("peaks_file", flat=True)
    return _sweep(Path(settings.PEAKS_ROOT), Path(settings.PEAKS_ROOT), named.iterator())


def sweep_snapshots(library: Library) -> list[str]:
    """Remove files of snapshots whose row never came; return their names."""
    root = Path(settings.SNAPSHOT_ROOT)
    return _sweep(root, root / library.slug, library.snapshots.values_list("file", flat=True))


def _sweep(root: Path, home: Path, named: Iterable[str]) -> list[str]:
    """Remove old files below `home` that are not among the names, which are below `root`."""
    before = time.time() - _FORGOTTEN_AFTER_S
    # Listed before the rows are read: what was named meanwhile counts as named.
    files = sorted(path for path in home.rglob("*") if path.is_file())
    kept, removed = set(named), []
    for path in files:
        name = path.relative_to(root).as_posix()
        if name not in kept and path.stat().st_mtime < before:
            path.unlink(missing_ok=True)
            removed.append(name)
    return removed
