from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.sqlite_only
ROOT = Path(__file__).resolve().parents[3]


class Site:
    """The program in a folder of its own, on a SQLite file of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.env = {**os.environ, "AUDIOTAG_DATA": str(data)}
        self.env["AUDIOTAG_DATABASE_URL"] = f"sqlite:///{data / 'audiotag.sqlite3'}"

    def run(self, *arguments, exit_code=0):
        done = subprocess.run(
            [sys.executable, "manage.py", *map(str, arguments)],
            cwd=ROOT, env=self.env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == exit_code, done.stderr
        return json.loads(done.stdout) if "--json" in arguments and not exit_code else done

    def count(self, table):
        with sqlite3.connect(self.data / "audiotag.sqlite3") as file:
            return file.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A site with two tracks, backed up, after which a third came in."""
    folder = tmp_path_factory.mktemp("backup")
    site = Site(folder / "data")
    site.run("migrate", "--noinput")
    (folder / "a.csv").write_text("filename,genre\n1.mp3,Rock\n2.mp3,Pop\n")
    (folder / "b.csv").write_text("filename,genre\n3.mp3,Jazz\n")
    site.run("import_library", folder / "a.csv", "--library", "lib")
    (site.data / "models").mkdir()
    (site.data / "models" / "one.weights").write_bytes(b"weights")
    answer = site.run("backup", folder / "b.tar", "--json")
    assert (answer["engine"], answer["files"]) == ("sqlite", 1)
    site.run("import_library", folder / "b.csv", "--library", "lib")
    return site, folder / "b.tar"


def test_restore_asks_before_it_replaces_and_keeps_the_old_one(packed):
    site, archive = packed
    assert "--yes" in site.run("restore", archive, "--json", exit_code=2).stderr
    assert site.count("labeling_track") == 3
    answer = site.run("restore", archive, "--yes", "--json")
    assert (site.count("labeling_track"), site.count("labeling_annotation")) == (2, 2)
    assert answer["migrations_missing"] == 0
    with sqlite3.connect(answer["kept_aside"]) as file:
        assert file.execute("SELECT count(*) FROM labeling_track").fetchone() == (3,)


def test_restore_into_an_empty_folder_brings_the_files_too(packed, tmp_path):
    other = Site(tmp_path / "elsewhere")
    answer = other.run("restore", packed[1], "--json")
    assert (answer["kept_aside"], answer["files"]) == ("", 1)
    assert other.count("labeling_track") == 2
    assert (other.data / "models" / "one.weights").read_bytes() == b"weights"


def repacked(archive, out, change):
    work = out.parent / "work"
    with tarfile.open(archive) as file:
        file.extractall(work, filter="data")
    change(work)
    with tarfile.open(out, "w") as file:
        for path in sorted(work.rglob("*")):
            file.add(path, path.relative_to(work).as_posix(), recursive=False)
    shutil.rmtree(work)
    return out


def _flip(work):
    path = work / "database.sqlite3"
    content = bytearray(path.read_bytes())
    content[5_000] ^= 1
    path.write_bytes(content)


def _other_engine(work):
    manifest = json.loads((work / "manifest.json").read_text())
    (work / "manifest.json").write_text(json.dumps(manifest | {"engine": "oracle"}))


def _no_weights(work):
    (work / "files/models/one.weights").unlink()


@pytest.mark.parametrize(
    ("change", "words"),
    [(_flip, "damaged"), (_other_engine, "oracle"), (_no_weights, "damaged")],
)
def test_what_is_no_whole_backup_is_refused(packed, tmp_path, change, words):
    archive = repacked(packed[1], tmp_path / "bad.tar", change)
    refused = Site(tmp_path / "data").run("restore", archive, exit_code=2)
    assert words in refused.stderr


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "x.tar"
    path.write_bytes(b"no tar")
    assert "is not a backup" in Site(tmp_path / "data").run("restore", path, exit_code=2).stderr
