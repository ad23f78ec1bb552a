"""The sound of a track in parts, compared with slices of its bytes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from rest_framework.authtoken.models import Token

from labeling.models import AudioFile, AudioRoot
from labeling.ranges import ByteRange, Unsatisfiable, parse_range
from labeling.views.desk.audio import PART_BYTES, content_type_of, disposition_of
from tests.factories import make_library, make_track, make_user

BYTES = bytes(range(256)) * 4


# --- the header, without a file --------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=90-", 90, 99),
        ("bytes=90-500", 90, 99),
        ("bytes=-10", 90, 99),
        ("bytes=-500", 0, 99),
        ("Bytes = 1 - 2".replace(" = ", "=").replace(" - ", "-"), 1, 2),
    ],
)
def test_one_range(header, first, last):
    assert parse_range(header, 100) == ByteRange(first, last, 100)


@pytest.mark.parametrize(
    "header",
    [
        None, "", "bytes=", "bytes=-", "bytes=5-2", "bytes=a-b", "items=0-1", "bytes=0-1,5-6",
        "bytes=0-1-2", "bytes 0-1", f"bytes={'9' * 5000}-", "bytes=٣-٤",
    ],
)  # fmt: skip
def test_what_is_not_understood_means_the_whole_file(header):
    assert parse_range(header, 100) is None


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_outside_of_the_file_cannot_be_satisfied(header):
    with pytest.raises(Unsatisfiable):
        parse_range(header, 100)


def test_an_empty_file_has_no_range():
    with pytest.raises(Unsatisfiable):
        parse_range("bytes=0-", 0)


@effort(max_examples=500, deadline=None)
@given(
    size=st.integers(0, 400),
    first=st.none() | st.integers(0, 500),
    last=st.none() | st.integers(0, 500),
    most=st.none() | st.integers(1, 50),
)
def test_equals_slicing(size, first, last, most):
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    data = BYTES[:size]
    if (first is None and last is None) or (None not in (first, last) and last < first):
        assert parse_range(header, size, most=most) is None
        return
    expected = data[-last:] if first is None and last else data[first:]
    if first is not None and last is not None:
        expected = data[first : last + 1]
    if not expected or (first is None and last == 0):
        with pytest.raises(Unsatisfiable):
            parse_range(header, size, most=most)
        return
    part = parse_range(header, size, most=most)
    assert data[part.first : part.last + 1] == expected[:most]
    assert part.length == len(expected[:most])
    assert part.content_range == f"bytes {part.first}-{part.last}/{size}"


# --- the view ------------------------------------------------------------------------


@pytest.fixture
def root(db, tmp_path) -> AudioRoot:
    (tmp_path / "in").mkdir()
    return AudioRoot.objects.create(name="here", path=str(tmp_path / "in"))


@pytest.fixture
def track(root):
    library = make_library("tiny")
    Path(root.path, "a.mp3").write_bytes(BYTES)
    audio = AudioFile.objects.create(root=root, relative_path="a.mp3", container="mp3")
    return make_track(library, audio=audio, state="ready")


@pytest.fixture
def ana(client, track):
    client.force_login(make_user("ana", library=track.library))
    return client


def address(track) -> str:
    return f"/audio/{track.library.slug}/{track.pk}/"


def read(answer) -> bytes:
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def test_the_whole_file(ana, track):
    answer = ana.get(address(track))
    assert (answer.status_code, read(answer)) == (200, BYTES)
    assert answer["Content-Type"] == "audio/mpeg"
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["Content-Length"] == "1024"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"].startswith("private")


@pytest.mark.parametrize(
    ("header", "part", "content_range"),
    [
        ("bytes=0-1", BYTES[:2], "bytes 0-1/1024"),
        ("bytes=1000-", BYTES[1000:], "bytes 1000-1023/1024"),
        ("bytes=-3", BYTES[-3:], "bytes 1021-1023/1024"),
    ],
)
def test_a_part(ana, track, header, part, content_range):
    answer = ana.get(address(track), headers={"Range": header})
    assert (answer.status_code, read(answer)) == (206, part)
    assert answer["Content-Range"] == content_range
    assert answer["Content-Length"] == str(len(part))


def test_an_impossible_part(ana, track):
    answer = ana.get(address(track), headers={"Range": "bytes=5000-"})
    assert answer.status_code == 416
    assert answer["Content-Range"] == "bytes */1024"


def test_head_has_the_headers_alone(ana, track):
    answer = ana.head(address(track))
    assert (answer.status_code, read(answer)) == (200, b"")
    assert answer["Content-Length"] == "1024"
    assert answer["ETag"]


def test_a_long_file_comes_in_parts(ana, track):
    data = os.urandom(PART_BYTES + 4321)
    Path(track.audio.root.path, "a.mp3").write_bytes(data)
    got, first = b"", 0
    while first < len(data):
        answer = ana.get(address(track), headers={"Range": f"bytes={first}-"})
        assert answer.status_code == 206
        got += read(answer)
        first = len(got)
    assert got == data


def test_if_range_of_this_file_gives_a_part_of_another_the_whole(ana, track):
    etag = ana.head(address(track))["ETag"]
    same = ana.get(address(track), headers={"Range": "bytes=0-1", "If-Range": etag})
    other = ana.get(address(track), headers={"Range": "bytes=0-1", "If-Range": '"old"'})
    assert (same.status_code, other.status_code) == (206, 200)
    assert read(other) == BYTES


def test_if_range_by_date(ana, track):
    date = ana.head(address(track))["Last-Modified"]
    same = ana.get(address(track), headers={"Range": "bytes=0-1", "If-Range": date})
    odd = ana.get(address(track), headers={"Range": "bytes=0-1", "If-Range": "yesterday"})
    assert (same.status_code, odd.status_code) == (206, 200)


def test_a_file_replaced_while_playing_is_told_by_the_etag(ana, track):
    before = ana.head(address(track))["ETag"]
    file = Path(track.audio.root.path, "a.mp3")
    (file.parent / "new.mp3").write_bytes(BYTES[::-1])
    (file.parent / "new.mp3").replace(file)
    answer = ana.get(address(track), headers={"Range": "bytes=0-1", "If-Range": before})
    assert (answer.status_code, read(answer)) == (200, BYTES[::-1])


def test_known_is_not_sent_again(ana, track):
    etag = ana.head(address(track))["ETag"]
    assert ana.get(address(track), headers={"If-None-Match": etag}).status_code == 304


def test_strangers_get_nothing(client, track):
    assert client.get(address(track)).status_code == 302
    client.force_login(make_user("eve", library=make_library("elsewhere")))
    assert client.get(address(track)).status_code == 404


def token_of(user) -> dict[str, str]:
    return {"Authorization": f"Token {Token.objects.create(user=user).key}"}


@pytest.fixture
def peaks(track, settings, tmp_path):
    settings.PEAKS_ROOT = tmp_path
    (tmp_path / "a.bin").write_bytes(b"\x01\x02")
    AudioFile.objects.update(peaks_file="a.bin")
    return f"/peaks/{track.library.slug}/{track.pk}/"


def test_a_token_of_a_member_opens_sound_and_waveform(client, track, peaks):
    headers = token_of(make_user("bot", library=track.library))
    assert read(client.get(address(track), headers=headers)) == BYTES
    part = client.get(address(track), headers=headers | {"Range": "bytes=0-1"})
    assert (part.status_code, read(part)) == (206, BYTES[:2])
    assert client.get(peaks, headers=headers).content == b"\x01\x02"
    assert "sessionid" not in client.cookies


def test_a_token_of_a_stranger_opens_nothing(client, track, peaks):
    headers = token_of(make_user("eve", library=make_library("elsewhere")))
    for one in (address(track), peaks):
        assert client.get(one, headers=headers).status_code == 404


@pytest.mark.parametrize("value", ["Token 0123", "Token", "Token a b", "Token \xff"])
def test_a_wrong_token_is_refused_even_beside_a_session(ana, track, value):
    answer = ana.get(address(track), headers={"Authorization": value})
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["message"]


def test_a_token_of_a_disabled_account_is_refused(client, track):
    user = make_user("gone", library=track.library, is_active=False)
    assert client.get(address(track), headers=token_of(user)).status_code == 403


def test_a_token_opens_no_other_page(client, track):
    headers = token_of(make_user("bot", library=track.library))
    for page in (f"/tracks/tiny/{track.pk}/", "/tracks/tiny/", "/annotate/tiny/", "/"):
        assert client.get(page, headers=headers).status_code == 302


def test_a_track_of_another_library_is_not_found(ana, track):
    other = make_library("other")
    make_user("ben", library=other)
    assert ana.get(f"/audio/other/{track.pk}/").status_code == 404
    hidden = make_track(other, audio=track.audio)
    assert ana.get(f"/audio/tiny/{hidden.pk}/").status_code == 404


@pytest.mark.parametrize(
    "relative", ["../secret.mp3", "/etc/passwd", "link.mp3", "gone.mp3", "."]
)
def test_nothing_outside_of_the_root_is_sent(ana, track, relative):
    folder = Path(track.audio.root.path)
    (folder.parent / "secret.mp3").write_bytes(b"secret")
    (folder / "link.mp3").symlink_to(folder.parent / "secret.mp3")
    AudioFile.objects.filter(pk=track.audio_id).update(relative_path=relative)
    assert ana.get(address(track)).status_code == 404


def test_a_root_that_is_itself_a_link_works(ana, track, tmp_path):
    (tmp_path / "alias").symlink_to(tmp_path / "in")
    AudioRoot.objects.update(path=str(tmp_path / "alias"))
    assert ana.get(address(track)).status_code == 200


def test_a_track_without_audio_is_not_found(ana, track):
    silent = make_track(track.library)
    assert ana.get(address(silent)).status_code == 404


def test_posting_is_refused(ana, track):
    assert ana.post(address(track)).status_code == 405


@pytest.mark.parametrize(
    ("container", "name", "expected"),
    [
        ("flac", "x.mp3", "audio/flac"),
        ("", "x.WAV", "audio/wav"),
        ("text/html", "x.html", "application/octet-stream"),
        ("MP3", "x", "audio/mpeg"),
    ],
)
def test_types_come_from_a_list(container, name, expected):
    assert content_type_of(AudioFile(container=container, relative_path=name)) == expected


@pytest.mark.parametrize("name", ['a"b.mp3', "a\r\nSet-Cookie: x.mp3", "שלום.mp3", "a;b\\.mp3"])
def test_no_name_breaks_out_of_its_header(name):
    value = disposition_of(name)
    assert "\r" not in value
    assert "\n" not in value
    assert value.count('"') == 2
    assert value.isascii()


def test_odd_name_end_to_end(ana, track):
    name = 'we"ird\nname\udcff.mp3'.encode("utf-8", "replace").decode()
    Path(track.audio.root.path, name).write_bytes(b"x")
    AudioFile.objects.filter(pk=track.audio_id).update(relative_path=name)
    answer = ana.get(address(track))
    assert read(answer) == b"x"
    assert "\n" not in answer["Content-Disposition"]


# --- waveforms -----------------------------------------------------------------------


@pytest.fixture
def columns(track):
    values = np.arange(-50, 50, dtype=np.int8).reshape(50, 2)
    settings.PEAKS_ROOT.mkdir(parents=True, exist_ok=True)
    np.save(settings.PEAKS_ROOT / f"{track.pk}.npy", values)
    (settings.PEAKS_ROOT / f"{track.pk}.bin").write_bytes(values.tobytes())
    return values


@pytest.mark.parametrize("suffix", ["npy", "bin"])
def test_peaks_are_bare_numbers(ana, track, columns, suffix):
    AudioFile.objects.update(peaks_file=f"{track.pk}.{suffix}")
    answer = ana.get(f"/peaks/tiny/{track.pk}/")
    assert answer.content == columns.tobytes()
    again = ana.get(f"/peaks/tiny/{track.pk}/", headers={"If-None-Match": answer["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("peaks_file", ["", "gone.npy", "../test.sqlite3", "/etc/passwd"])
def test_no_peaks_is_a_clear_404(ana, track, peaks_file):
    AudioFile.objects.update(peaks_file=peaks_file)
    assert ana.get(f"/peaks/tiny/{track.pk}/").status_code == 404


def test_damaged_peaks_are_a_404(ana, track):
    settings.PEAKS_ROOT.mkdir(parents=True, exist_ok=True)
    (settings.PEAKS_ROOT / "bad.npy").write_bytes(b"nonsense")
    AudioFile.objects.update(peaks_file="bad.npy")
    assert ana.get(f"/peaks/tiny/{track.pk}/").status_code == 404
