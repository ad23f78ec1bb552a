"""Messages of the catalogue commands when they refuse."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from labeling.models import Library, Track
from tests.factories import make_library

pytestmark = pytest.mark.django_db


def test_an_export_into_a_folder_is_refused(tmp_path):
    make_library("lib")
    with pytest.raises(CommandError, match="is a folder") as refused:
        call_command(
            "export_annotations", "--library", "lib", "--format", "long", "--out", tmp_path
        )
    assert refused.value.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_strict_import_lists_its_errors_on_stderr(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("filename,genre\n" + ",Pop\n" * 60 + "a.mp3,Pop\n", encoding="utf-8")
    out, errors = io.StringIO(), io.StringIO()
    with pytest.raises(CommandError) as refused:
        call_command(
            "import_library", path, "--library", "lib", "--strict", "--json",
            stdout=out, stderr=errors,
        )  # fmt: skip
    assert refused.value.returncode == 2
    said = errors.getvalue().splitlines()
    assert [line.split(",")[0] for line in said[:50]] == [f"row {n}" for n in range(2, 52)]
    assert said[50] == "10 more errors are not listed"
    assert out.getvalue() == ""
    assert not Track.objects.exists()
    assert not Library.objects.exists()
