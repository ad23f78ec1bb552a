"""Orphans: remove files that no row names, as killed writers leave them.

Stage: upkeep. Only old files are removed, because a recent one may still get its row. Features,
models and predictions are swept by the modules that write them (`labeling.loop.features`,
`registry.models` and `predictions`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings

from labeling.models import AudioFile, Library

_FORGOTTEN_AFTER_S = 3_600.0


def sweep_peaks() -> list[str]:
    """Remove waveforms of audio files that have changed or are gone; return their names."""
    named = AudioFile.objects.exclude(peaks_file="").values_list("peaks_file", flat=True)
    return _sweep(Path(settings.PEAKS_ROOT), Path(settings.PEAKS_ROOT), named.iterator())


def sweep_snapshots(library: Library) -> list[str]:
    """Remove snapshot files that never got a row; return their names."""
    root = Path(settings.SNAPSHOT_ROOT)
    return _sweep(root, root / library.slug, library.snapshots.values_list("file", flat=True))


def _sweep(root: Path, home: Path, named: Iterable[str]) -> list[str]:
    """Remove old files below `home` that are not in `named`, which are paths below `root`."""
    before = time.time() - _FORGOTTEN_AFTER_S
    # Files are listed before the rows are read: one that got its row in between is kept.
    files = sorted(path for path in home.rglob("*") if path.is_file())
    kept, removed = set(named), []
    for path in files:
        name = path.relative_to(root).as_posix()
        if name not in kept and path.stat().st_mtime < before:
            path.unlink(missing_ok=True)
            removed.append(name)
    return removed
