"""Files are found by their closest name on disk, or the reason is true."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from labeling.loop.importing.audio import AudioFolder
from labeling.loop.importing.catalogue import ImportOptions, import_catalogue
from labeling.models import AudioFile, Track
from tests.factories import make_library, make_track

pytestmark = pytest.mark.django_db
NFC, NFD = (unicodedata.normalize(form, "é.mp3") for form in ("NFC", "NFD"))


@pytest.fixture
def music(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    return folder


@pytest.fixture
def find(tmp_path, music):
    """Import one file name with these files on disk; return the path found, or the reason."""

    def run(key, *on_disk, folder=None):
        for name in on_disk:
            path = music / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        catalogue = tmp_path / "c.csv"
        catalogue.write_text(f'filename\n"{key}"\n', encoding="utf-8")
        import_catalogue("lib", catalogue, ImportOptions(audio_folder=str(folder or music)))
        track = Track.objects.get()
        return track.audio.relative_path if track.audio else track.state_reason

    return run


@pytest.mark.parametrize(
    ("key", "on_disk", "found"),
    [
        ("SONG.mp3", ["song.mp3"], "song.mp3"),
        ("album/song.MP3", ["Album/Song.mp3"], "Album/Song.mp3"),
        ("a/x.mp3", ["A/x.mp3", "a/y.mp3"], "A/x.mp3"),  # two folders, one file
        ("song.mp3", ["song.mp3", "Song.mp3"], "song.mp3"),  # exactly
        ("straße.mp3", ["STRASSE.mp3"], "STRASSE.mp3"),
        (" song.mp3 ", ["song.mp3"], "song.mp3"),
        ("song.mp3", [" song.mp3"], " song.mp3"),
        ("my  song.mp3", ["my song.mp3"], "my song.mp3"),
        (" song.mp3", ["song.mp3", " song.mp3"], " song.mp3"),  # as it is written
        ("a\\b.mp3", ["a/b.mp3"], "a/b.mp3"),
        ("a\\b.mp3", ["a\\b.mp3"], "a\\b.mp3"),
        (NFC, [NFD], NFD),
        (NFD, [NFC], NFC),
        (NFC, [NFC, NFD], NFC),
        (NFD, [NFC, NFD], NFD),
        ("É.mp3", [NFD], NFD),
        ("Symphony: No 1.mp3", ["Symphony: No 1.mp3"], "Symphony: No 1.mp3"),
        ("a/./b.mp3", ["a/b.mp3"], "a/b.mp3"),
        ("file://{music}/my%20song.mp3", ["my song.mp3"], "my song.mp3"),
        ("FILE://localhost{music}/a/b.mp3", ["a/B.mp3"], "a/B.mp3"),
    ],
)
def test_the_closest_name_is_found(find, music, key, on_disk, found):
    assert find(key.replace("{music}", str(music)), *on_disk) == found


@pytest.mark.parametrize(("key", "on_disk"), [("x².mp3", "x2.mp3"), ("①.mp3", "1.mp3")])
def test_another_name_is_not_close(find, key, on_disk):
    assert "no such file" in find(key, on_disk)


@pytest.mark.parametrize(
    ("key", "on_disk", "named"),
    [
        ("SONG.mp3", ["song.mp3", "Song.mp3"], ["'Song.mp3'", "'song.mp3'"]),
        ("a/X.mp3", ["A/x.mp3", "a/x.mp3"], ["'A/x.mp3'", "'a/x.mp3'"]),
        ("É.mp3", [NFC, NFD], [f"'{NFC}'", f"'{NFD}' (decomposed)"]),
        ("my song.mp3", ["my  song.mp3", " my song.mp3"], ["'my  song.mp3'", "' my song.mp3'"]),
    ],
)
def test_several_files_that_are_as_close_are_named(find, key, on_disk, named):
    reason = find(key, *on_disk)
    assert reason.startswith("several files fit and none exactly")
    assert all(name in reason for name in named)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("D:\\Music\\song.mp3", "without D:"),
        ("/elsewhere/song.mp3", "without /"),
        ("file:///music/song.mp3", "without file:"),
        ("other.mp3", "no such file"),
        ("song.mp3.mp3", "no such file"),
    ],
)
def test_the_reason_is_true(find, key, words):
    assert words in find(key, "song.mp3")


def test_twins_that_the_catalogue_names_both_are_not_mixed_up(tmp_path, music):
    for name in (NFC, NFD):
        (music / name).write_bytes(b"x")
    path = tmp_path / "c.csv"
    path.write_text(f"filename,genre\n{NFC},Rock\n{NFD},Pop\n", encoding="utf-8")
    import_catalogue("lib", path, ImportOptions(audio_folder=str(music)))
    assert "(decomposed)" in Track.objects.get().state_reason
    assert not AudioFile.objects.exists()


def test_a_path_from_the_root_is_stored_as_one_in_the_folder(find, tmp_path, music):
    assert find(f"{music}/sub//song.mp3", "sub/song.mp3") == "sub/song.mp3"
    assert Track.objects.get().key == "sub/song.mp3"
    path = tmp_path / "d.csv"
    path.write_text(f"filename,genre\n{music}/sub/song.mp3,Rock\n", encoding="utf-8")
    assert import_catalogue("lib", path, ImportOptions())["tracks_created"] == 0


def test_the_folder_may_be_given_through_a_link(find, tmp_path, music):
    link = tmp_path / "link"
    link.symlink_to(music)
    assert find(f"{link}/song.mp3", "song.mp3", folder=link) == "song.mp3"
    assert find(f"{music}/song.mp3", "song.mp3", folder=link) == "song.mp3"
    assert Track.objects.get().key == "song.mp3"


def test_a_track_stored_under_a_path_from_the_root_is_found(find, music):
    track = make_track(make_library("lib"), f"{music}/song.mp3")
    assert find(f"{music}/song.mp3", "song.mp3") == "song.mp3"
    assert find("song.mp3") == "song.mp3"
    assert Track.objects.get().pk == track.pk


def test_a_path_from_the_root_does_not_lead_out_again(music):
    (music.parent / "secret.mp3").write_bytes(b"x")
    for written in (f"{music}/../secret.mp3", "../secret.mp3", f"{music.parent}/secret.mp3"):
        found = AudioFolder.at(str(music)).find(written, [written])
        assert "leads out" in found.reason


def test_names_on_disk_that_are_not_text_are_passed_over(find, music):
    (Path(os.fsdecode(os.fsencode(music) + b"/caf\xe9.mp3"))).write_bytes(b"x")
    assert "no such file" in find("café.mp3")


def test_a_folder_named_like_the_file_is_not_the_file(find, music):
    (music / "Song.mp3").mkdir()
    assert find("song.mp3", "SONG.mp3") == "SONG.mp3"
