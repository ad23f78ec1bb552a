"""The sweep of leftover files: what it removes, and what it must not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from django.conf import settings

from labeling.loop.upkeep import orphans
from labeling.models import AudioFile, AudioRoot
from tests.factories import make_library

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folders(tmp_path, settings):
    settings.PEAKS_ROOT = tmp_path / "peaks"
    settings.SNAPSHOT_ROOT = tmp_path / "snapshots"


def leave(root, name, *, hours_ago=0.0):
    path = Path(root) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"something")
    then = time.time() - 3_600 * hours_ago
    os.utime(path, (then, then))
    return path


def test_waveforms_that_no_file_names_go_when_they_are_old():
    root = AudioRoot.objects.create(name="root", path="/nowhere")
    AudioFile.objects.create(root=root, relative_path="a.mp3", peaks_file="01/1-aa.npy")
    AudioFile.objects.create(root=root, relative_path="b.mp3")
    home = settings.PEAKS_ROOT
    kept = [leave(home, "01/1-aa.npy", hours_ago=9), leave(home, "01/1-bb.npy")]
    leave(home, "01/1-cc.npy", hours_ago=2)
    leave(home, "02/.2-dd.npy.0a1b.new", hours_ago=2)
    assert orphans.sweep_peaks() == ["01/1-cc.npy", "02/.2-dd.npy.0a1b.new"]
    assert sorted(path for path in home.rglob("*") if path.is_file()) == kept


def test_snapshots_of_other_libraries_stay():
    library = make_library("mine")
    leave(settings.SNAPSHOT_ROOT, "mine/a.npz", hours_ago=2)
    other = leave(settings.SNAPSHOT_ROOT, "other/a.npz", hours_ago=2)
    assert orphans.sweep_snapshots(library) == ["mine/a.npz"]
    assert other.exists()


def test_where_nothing_was_written_nothing_is_swept():
    assert orphans.sweep_peaks() == []
    assert orphans.sweep_snapshots(make_library()) == []
