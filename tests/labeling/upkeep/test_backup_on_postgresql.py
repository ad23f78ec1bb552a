"""A backup of PostgreSQL, by its own tools, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from labeling.loop.upkeep import backup
from labeling.models import Library
from tests.factories import make_library

pytestmark = [pytest.mark.postgres_only, pytest.mark.django_db(transaction=True)]


def test_postgresql_makes_the_round_trip(tmp_path, settings):
    settings.DATA = tmp_path
    settings.MODEL_ROOT, settings.SNAPSHOT_ROOT = tmp_path / "models", tmp_path / "snapshots"
    make_library("before")
    backup.backup(tmp_path / "b.tar")
    make_library("after")
    answer = backup.restore(tmp_path / "b.tar", is_sure=True)
    assert list(Library.objects.values_list("slug", flat=True)) == ["before"]
    assert Path(answer["kept_aside"]).stat().st_size > 0
