"""The list of tracks and the page of one: finding, paging, and who sees whose answers."""

from __future__ import annotations

import pytest

from labeling.loop import desk
from labeling.loop.events import record
from labeling.loop.events.answers import Vocabulary, parse_answers
from labeling.loop.library import libraries
from labeling.models import AudioFile, AudioRoot, Label, Track
from labeling.views import paging
from tests.factories import make_labels, make_library, make_track, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def library():
    library = make_library("tiny")
    make_labels(library, "genre", ("Ambient", "Drone", "Rock"))
    return library


@pytest.fixture
def ana(client, library):
    user = make_user("ana", library=library)
    client.force_login(user)
    return user


@pytest.fixture
def clara(library):
    return make_user("clara", library=library, role="curator")


def answer(library, user, track, **said):
    return desk.save(
        record.Submission(
            track=track,
            annotator=libraries.annotator_of(library, user),
            answers=parse_answers(Vocabulary.of(library), **{"labels": [], **said}),
        )
    ).annotation


def listed(client, query="") -> list[str]:
    page = client.get(f"/tracks/tiny/{query}")
    assert page.status_code == 200
    return [track.title for track, _ in page.context["rows"]]


def test_it_works(client, ana, library):
    track = make_track(library, title="Wind", artist="Ana", state="ready")
    page = client.get("/tracks/tiny/").content.decode()
    assert f'href="/tracks/tiny/{track.pk}/"' in page
    assert "not labelled by you" in page


def test_every_word_has_to_be_somewhere(client, ana, library):
    make_track(library, "deep/wind.mp3", title="One", artist="Mills")
    make_track(library, "deep/rain.mp3", title="Two", album="Mills")
    assert listed(client, "?q=mills+WIND") == ["One"]
    assert listed(client, "?q=mills") == ["One", "Two"]
    assert listed(client, "?q=%25") == []


def test_by_state(client, ana, library):
    make_track(library, title="A", state="ready")
    make_track(library, title="B", state="unreadable")
    assert listed(client, "?state=unreadable") == ["B"]
    assert listed(client, "?state=owner__password") == ["A", "B"]


def test_by_answers(client, ana, clara, library):
    mine = make_track(library, title="mine")
    hers = make_track(library, title="hers")
    answer(library, ana, mine, labels=["Rock"])
    answer(library, clara, hers, labels=["Rock"])
    assert listed(client, "?labelled=mine") == ["mine"]
    assert listed(client, "?labelled=not-mine") == ["hers"]
    client.force_login(clara)
    make_track(library, title="nobody's")
    assert listed(client, "?labelled=yes") == ["mine", "hers"]
    assert listed(client, "?labelled=no") == ["nobody's"]


def test_annotators_cannot_ask_what_others_judged_or_what_is_audit(client, ana, clara, library):
    answer(library, clara, make_track(library, title="A"), labels=["Rock"])
    make_track(library, title="B", is_audit=True)
    assert listed(client, "?labelled=yes") == ["A", "B"]
    assert listed(client, "?side=audit") == ["A", "B"]
    assert b"audit" not in client.get("/tracks/tiny/").content
    client.force_login(clara)
    assert listed(client, "?side=audit") == ["B"]


def test_labels_in_the_list_are_ones_own_for_annotators_and_counted_for_curators(
    client, ana, clara, library
):
    track = make_track(library, title="A")
    answer(library, ana, track, labels=["Rock"])
    answer(library, clara, track, labels=["Rock", "Drone"])
    assert client.get("/tracks/tiny/").context["rows"][0][1] == [("Rock", 1)]
    client.force_login(clara)
    assert client.get("/tracks/tiny/").context["rows"][0][1] == [("Rock", 2), ("Drone", 1)]


def test_merged_labels_show_what_they_became(client, ana, library):
    answer(library, ana, make_track(library), labels=["Drone"])
    Label.objects.filter(name="Drone").update(merged_into=Label.objects.get(name="Ambient"))
    assert client.get("/tracks/tiny/").context["rows"][0][1] == [("Ambient", 1)]


def walk(client, query=""):
    """Follow next to the end and previous back; return the titles of both ways."""
    pages, there, back = [], [], []
    address = f"/tracks/tiny/{query}"
    while True:
        page = client.get(address)
        pages.append([track.title for track, _ in page.context["rows"]])
        if not page.context["next"]:
            break
        address = f"/tracks/tiny/{page.context['next']}"
    there = [title for titles in pages for title in titles]
    while page.context["previous"]:
        page = client.get(f"/tracks/tiny/{page.context['previous']}")
        back = [track.title for track, _ in page.context["rows"]] + back
    return there, back


@pytest.mark.parametrize("n", [0, 50, 51, 120])
def test_paging_shows_every_track_once(client, ana, library, n):
    for number in range(n):
        make_track(library, title=f"T{number:03d}")
    there, _ = walk(client)
    assert there == [f"T{number:03d}" for number in range(n)]


def test_paging_back_shows_the_same(client, ana, library):
    for number in range(120):
        make_track(library, title=f"T{number:03d}")
    there, back = walk(client)
    assert back == there[:100]


def test_a_search_looks_at_a_bounded_number_of_rows(client, ana, library, monkeypatch):
    monkeypatch.setattr(paging, "WINDOW", 10)
    for number in range(35):
        make_track(library, title="needle" if number in (3, 31) else "hay")
    there, _ = walk(client, "?q=needle")
    assert there == ["needle", "needle"]
    page = client.get("/tracks/tiny/?q=nothing")
    assert b"Nothing found so far" in page.content
    assert "q=nothing" in page.context["next"]


@pytest.mark.parametrize(
    "query", ["?after=abc", "?after=-1", "?after=" + "9" * 40, "?before=0"]
)
def test_odd_addresses_do_no_harm(client, ana, library, query):
    make_track(library)
    assert client.get(f"/tracks/tiny/{query}").status_code == 200


def test_the_list_costs_few_queries(client, ana, library, django_assert_max_num_queries):
    for _ in range(50):
        answer(library, ana, make_track(library), labels=["Rock"])
    with django_assert_max_num_queries(18):
        client.get("/tracks/tiny/?q=track")


def test_names_are_escaped(client, ana, library):
    track = make_track(library, "<script>1.mp3", title="<script>2", artist='"><img src=x>')
    for path in ("/tracks/tiny/", f"/tracks/tiny/{track.pk}/"):
        page = client.get(path).content.decode()
        assert "<script>1" not in page
        assert "<script>2" not in page
        assert "<img" not in page


# --- one track -----------------------------------------------------------------------


@pytest.fixture
def track(library):
    root = AudioRoot.objects.create(name="main", path="/nowhere")
    audio = AudioFile.objects.create(
        root=root, relative_path="a.mp3", container="mp3", length_s=61.2, bit_rate=192_000,
        loudness_db=-14.26, sample_rate_hz=44_100, channels=2,
    )  # fmt: skip
    return make_track(library, "a.mp3", title="Wind", audio=audio, state="ready", is_audit=True)


def detail(client, track):
    return client.get(f"/tracks/tiny/{track.pk}/")


def test_the_file_is_described(client, ana, track):
    page = detail(client, track).content.decode()
    for fact in ("1:01", "192 kbit/s", "44,100 Hz, 2 channels", "-14.3 dB"):
        assert fact in page


def test_annotators_see_their_own_answers_only(client, ana, clara, library, track):
    answer(library, ana, track, labels=["Rock"])
    answer(library, clara, track, labels=["Drone"], unsure=["Ambient"])
    page = detail(client, track)
    assert [row.said.yes for row in page.context["holding"]] == [["Rock"]]
    assert [past.annotation.annotator.name for past in page.context["history"]] == ["ana"]
    assert b"Drone" not in page.content
    assert b"audit" not in page.content
    client.force_login(clara)
    rows = detail(client, track).context["holding"]
    assert [(row.annotation.annotator.name, row.said.yes, row.said.unsure) for row in rows] == [
        ("ana", ["Rock"], []),
        ("clara", ["Drone"], ["Ambient"]),
    ]


def test_the_history_tells_what_was_undone(client, ana, library, track):
    desk.undo(answer(library, ana, track, labels=["Rock"]))
    page = detail(client, track)
    assert page.context["holding"] == []
    kinds = [(past.annotation.kind, past.is_undone) for past in page.context["history"]]
    assert kinds == [("retraction", False), ("judgement", True)]


def test_an_incomplete_answer_says_so(client, ana, library, track):
    answer(library, ana, track, labels=["Rock"], completed_facets=[])
    assert b"not all judged" in detail(client, track).content


@pytest.mark.parametrize(
    ("state", "words"),
    [("no_audio", "no audio file"), ("pending", "not read the file"),
     ("missing", "Put it back"), ("unreadable", "ends after 3 s")],
)  # fmt: skip
def test_a_track_without_sound_says_why(client, ana, library, state, words):
    track = make_track(library, state=state, state_reason="the file ends after 3 s")
    page = detail(client, track).content.decode()
    assert words in page
    assert "listen.js" not in page


def test_a_track_of_another_library_is_not_found(client, ana):
    foreign = make_track(make_library("other"))
    assert detail(client, foreign).status_code == 404


def test_a_long_history_costs_few_queries(
    client, ana, clara, library, track, django_assert_max_num_queries
):
    for user in (ana, clara):
        for _ in range(10):
            answer(library, user, track, labels=["Rock", "Drone"])
    client.force_login(clara)
    with django_assert_max_num_queries(20):
        detail(client, track)


def test_ten_thousand_tracks_page_by_index(ana, library, client, django_assert_max_num_queries):
    Track.objects.bulk_create(
        [Track(library=library, key=f"{n}.mp3", title=f"T{n}") for n in range(10_000)],
        batch_size=500,
    )
    last = Track.objects.order_by("-id").first()
    with django_assert_max_num_queries(18):
        assert len(listed(client, f"?after={last.pk - 10}")) == 10
