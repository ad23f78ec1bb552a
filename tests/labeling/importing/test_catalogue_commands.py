"""Messages of the catalogue commands when they refuse."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from labeling.models import Label, Library, Track
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


def test_the_encoding_is_chosen_and_reported(tmp_path):
    path = tmp_path / "c.csv"
    path.write_bytes("filename,genre\na.mp3,Été\n".encode("mac-roman"))
    out = io.StringIO()
    options = ("--library", "lib", "--json", "--encoding", "MacRoman")
    call_command("import_library", path, *options, stdout=out)
    report = json.loads(out.getvalue())
    assert (report["encoding"], report["rows_read_as"]) == ("mac-roman", [])
    assert Label.objects.get().name == "Été"


def test_an_export_with_a_mark_is_read_again(tmp_path):
    path, out = tmp_path / "c.csv", tmp_path / "out.csv"
    path.write_text("filename,genre\né.mp3,Été\n", encoding="utf-8")
    call_command("import_library", path, "--library", "lib")
    options = ("--library", "lib", "--format", "wide", "--out", out)
    call_command("export_annotations", *options)
    assert out.read_bytes().startswith(b"filename,")
    call_command("export_annotations", *options, "--bom")
    assert out.read_bytes().startswith(b"\xef\xbb\xbffilename,")
    said = io.StringIO()
    call_command("import_library", out, "--library", "lib", "--json", stdout=said)
    report = json.loads(said.getvalue())
    assert (report["tracks_unchanged"], report["annotations_created"]) == (1, 0)
