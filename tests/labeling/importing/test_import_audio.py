from __future__ import annotations

import os
import unicodedata

import pytest
from django.core.management import call_command

from labeling.errors import BadInput
from labeling.loop.importing import catalogue
from labeling.loop.importing.audio import AudioFolder
from labeling.loop.importing.catalogue import ImportOptions
from labeling.models import AudioFile, AudioRoot, Job, Track

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "audio"
    (folder / "a").mkdir(parents=True)
    for name in ("a/1.mp3", "a/2.mp3"):
        (folder / name).write_bytes(b"x" * 10)
    return folder


@pytest.fixture
def load(tmp_path):
    def run(keys, folder="", slug="lib", **options):
        path = tmp_path / f"{slug}.csv"
        path.write_text("filename\n" + "".join(f"{key}\n" for key in keys), encoding="utf-8")
        return catalogue.import_catalogue(
            slug, path, ImportOptions(audio_folder=str(folder), **options)
        )

    return run


def states():
    return dict(Track.objects.values_list("key", "state"))


def test_files_are_attached_later_and_again_changes_nothing(load, folder):
    keys = ["a/1.mp3", "a/3.mp3"]
    assert load(keys)["audio_missing"] == 0
    assert states() == {"a/1.mp3": "no_audio", "a/3.mp3": "no_audio"}
    report = load(keys, folder)
    assert (report["audio_missing"], report["tracks_updated"]) == (1, 2)
    assert states() == {"a/1.mp3": "pending", "a/3.mp3": "missing"}
    assert "no such file" in Track.objects.get(key="a/3.mp3").state_reason
    report = load(keys, folder)
    assert (report["tracks_unchanged"], AudioFile.objects.count()) == (2, 1)


def test_changed_file_waits_for_the_probe_again_also_elsewhere(load, folder):
    load(["a/1.mp3"], folder)
    load(["a/1.mp3"], folder, slug="other")
    Track.objects.update(state="ready")
    assert load(["a/1.mp3"], folder)["tracks_unchanged"] == 1
    assert set(Track.objects.values_list("state", flat=True)) == {"ready"}
    os.utime(folder / "a/1.mp3", (1_000, 1_000))
    assert load(["a/1.mp3"], folder, is_dry_run=True)["tracks_updated"] == 1
    assert load(["a/1.mp3"], folder)["tracks_updated"] == 1
    assert set(Track.objects.values_list("state", flat=True)) == {"pending"}
    assert AudioFile.objects.get().modified_at == 1_000


def test_file_that_went_away_and_came_back(load, folder):
    load(["a/1.mp3"], folder)
    (folder / "a/1.mp3").rename(folder / "away")
    load(["a/1.mp3"], folder)
    assert states() == {"a/1.mp3": "missing"}
    (folder / "away").rename(folder / "a/1.mp3")
    load(["a/1.mp3"], folder)
    assert states() == {"a/1.mp3": "pending"}


@pytest.mark.parametrize(
    "key", ["/etc/passwd", "../secret.mp3", "a/../../secret.mp3", "C:/x.mp3"]
)
def test_names_that_lead_out_of_the_folder_find_nothing(folder, key):
    (folder.parent / "secret.mp3").write_bytes(b"x")
    assert "leads out" in AudioFolder.at(str(folder)).find(key).reason


def test_links_are_followed_inside_the_folder_only(folder):
    (folder.parent / "secret.mp3").write_bytes(b"x")
    (folder / "out.mp3").symlink_to(folder.parent / "secret.mp3")
    (folder / "in.mp3").symlink_to(folder / "a/1.mp3")
    (folder / "loop.mp3").symlink_to(folder / "loop.mp3")
    found = AudioFolder.at(str(folder))
    assert "leads out" in found.find("out.mp3").reason
    assert found.find("in.mp3").size_bytes == 10
    assert found.find("loop.mp3").reason
    assert "no such file" in found.find("a").reason


@pytest.mark.parametrize(("on_disk", "in_file"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_are_found_in_another_unicode_form(load, folder, on_disk, in_file):
    name = "Café/Ü.mp3"
    path = folder / unicodedata.normalize(on_disk, name)
    path.parent.mkdir()
    path.write_bytes(b"x")
    assert load([unicodedata.normalize(in_file, name)], folder)["audio_missing"] == 0
    assert Track.objects.get().key == unicodedata.normalize("NFC", name)
    assert AudioFile.objects.get().relative_path == unicodedata.normalize(on_disk, name)


def test_folders_are_registered_once_under_free_names(load, folder, tmp_path, settings):
    other, third = tmp_path / "other", tmp_path / "third"
    other.mkdir()
    third.mkdir()
    settings.AUDIO_ROOTS = {"nas": str(third)}
    for one in (folder, folder, other, third):
        load(["a/1.mp3"], one)
    assert dict(AudioRoot.objects.values_list("name", "path")) == {
        "lib": str(folder),
        "lib-2": str(other),
        "nas": str(third),
    }


def test_folder_that_is_none_is_refused(load, tmp_path):
    with pytest.raises(BadInput, match="no audio folder"):
        load(["1.mp3"], tmp_path / "absent")


def test_command_asks_for_the_probe_once(tmp_path, folder, capsys):
    path = tmp_path / "c.csv"
    path.write_text("filename\na/1.mp3\na/2.mp3\n")
    for _ in range(2):
        call_command("import_library", path, "--audio", folder, "--library", "lib", "--json")
    job = Job.objects.get()
    out = capsys.readouterr().out
    assert (job.kind, job.state) == ("probe", "queued")
    assert out.count(f'"pending_jobs": [{job.pk}]') == 2
