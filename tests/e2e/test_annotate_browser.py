"""The annotation page in a real Chromium, by keyboard, against a running server."""

from __future__ import annotations

import re
import wave
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from playwright.sync_api import expect

from labeling.loop import desk
from labeling.loop.events import record
from labeling.loop.events.answers import Vocabulary, parse_answers
from labeling.loop.library import libraries
from labeling.models import (
    Annotation,
    AudioFile,
    AudioRoot,
    Judgement,
    LabelAlias,
    Presentation,
    Track,
)
from tests.factories import make_labels, make_library, make_track, make_user

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PASSWORD = "a long enough password"
LENGTH_S, RATE_HZ = 150, 8_000
#: Counts what must never happen: a policy violation, and decoding for the waveform.
WATCH = """
window.watched = {violations: [], decoded: 0};
document.addEventListener("securitypolicyviolation",
  (event) => window.watched.violations.push(event.violatedDirective + " " + event.blockedURI));
const decode = BaseAudioContext.prototype.decodeAudioData;
BaseAudioContext.prototype.decodeAudioData = function (...args) {
  window.watched.decoded += 1;
  return decode.apply(this, args);
};
"""


@pytest.fixture(scope="module")
def sound_folder(tmp_path_factory) -> Path:
    """A tone of 150 s, longer than one part of the Range view, and its waveform."""
    folder = tmp_path_factory.mktemp("sound")
    seconds = np.arange(LENGTH_S * RATE_HZ) / RATE_HZ
    tone = (127 + 60 * np.sin(2 * np.pi * 220 * seconds)).astype(np.uint8)
    with wave.open(str(folder / "tone.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(RATE_HZ)
        file.writeframes(tone.tobytes())
    settings.PEAKS_ROOT.mkdir(parents=True, exist_ok=True)
    peaks = np.tile(np.array([[-60, 60]], np.int8), (800, 1))
    np.save(settings.PEAKS_ROOT / "tone.npy", peaks)
    return folder


@pytest.fixture
def library(transactional_db, sound_folder):
    library = make_library("tiny", audit_share=0)
    make_labels(library, "genre", ("Ambient", "Drone", "Rock"))
    make_labels(library, "mood", ("Calm", "Dark"))
    root = AudioRoot.objects.create(name="tones", path=str(sound_folder))
    audio = AudioFile.objects.create(
        root=root,
        relative_path="tone.wav",
        container="wav",
        length_s=LENGTH_S,
        peaks_file="tone.npy",
    )
    for number in range(8):
        make_track(
            library, title=f"Title {number}", artist="Somebody", audio=audio, state="ready"
        )
    return library


@pytest.fixture
def ana(library):
    return make_user("ana", library=library)


@pytest.fixture
def errors() -> list[str]:
    """Errors in the pages; a test that goes offline empties the list."""
    return []


@pytest.fixture
def context(browser, errors, live_server):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(15_000)
    context.add_init_script(WATCH)
    context.on("weberror", lambda error: errors.append(str(error.error)))
    context.on("console", lambda line: line.type == "error" and errors.append(line.text))
    context.on("dialog", lambda dialog: errors.append(f"dialog {dialog.message}"))
    yield context
    context.close()


@pytest.fixture
def page(context, live_server, ana, errors):
    session = Client()
    session.force_login(ana)
    cookie = session.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}]
    )
    page = context.new_page()
    page.goto(f"{live_server.url}/annotate/tiny/")
    ready(page)
    yield page
    assert page.evaluate("window.watched") == {"violations": [], "decoded": 0}
    assert errors == []


def log_in(page, live_server):
    page.goto(f"{live_server.url}/accounts/login/")
    page.fill("[name=username]", "ana")
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/$"))


def ready(page):
    """Wait until scripts run and the tracks after this one have come."""
    page.wait_for_selector("html[data-ready]")
    page.wait_for_load_state("networkidle")


def until(page, truth: str):
    """Wait until an expression is true; Playwright's own way needs eval, which we forbid."""
    for _ in range(300):
        if page.evaluate(truth):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never true: {truth}")


def name_of(page) -> str:
    return page.inner_text("#track-name")


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def answer(page, *keys):
    """Press keys and Enter, and wait for another track."""
    before = name_of(page)
    press(page, *keys, "Enter")
    expect(page.locator("#track-name")).not_to_have_text(before)
    return before


def all_saved(page):
    expect(page.locator("#status")).to_have_text("All saved")


def waiting(page) -> int:
    return page.evaluate(
        "Object.keys(localStorage).filter((key) => key.startsWith('audiotag/outbox/')).length"
    )


def said(title: str) -> dict[str, int]:
    """Return what the newest answer on a track says: label -> value."""
    newest = Annotation.objects.filter(track__title=title).exclude(kind="retraction").last()
    rows = Judgement.objects.filter(answer__annotation=newest)
    return dict(rows.values_list("label__name", "value"))


def playing_time(page) -> float:
    minutes, seconds = page.inner_text("#time").split(":")
    return int(minutes) * 60 + int(seconds)


def test_several_tracks_by_keyboard_alone(page):
    names = [answer(page, "d", "ArrowDown", "c") for _ in range(6)]
    all_saved(page)
    assert len(set(names)) == 6
    for name in names:
        assert said(name) == {"Drone": 1, "Calm": 1}
    annotations = Annotation.objects.all()
    assert annotations.count() == 6
    assert {one.presentation.outcome for one in annotations} == {"answered"}
    assert all(one.decision_time_s is not None for one in annotations)
    expect(page.locator("#figure-session")).to_have_text("6")


def test_three_states_and_off(page):
    name = answer(page, "d", "Shift+a", "Alt+r", "ArrowDown", "c", "c", "x")
    all_saved(page)
    assert said(name) == {"Drone": 1, "Ambient": 0, "Rock": -1}
    facets = Annotation.objects.get().answers.values_list("facet__name", "is_complete")
    assert sorted(facets) == [("genre", True), ("mood", True)]


def test_nothing_chosen_is_not_sent(page):
    before = name_of(page)
    press(page, "Enter")
    expect(page.locator("#alert")).to_contain_text("Choose a label")
    press(page, "d")
    expect(page.locator("#alert")).to_be_hidden()
    assert name_of(page) == before


def test_a_label_is_found_by_another_name(page, library):
    drone = library.facets.get(name="genre").labels.get(name="Drone")
    LabelAlias.objects.create(facet=drone.facet, text="Dröhn", text_key="dröhn", label=drone)
    page.reload()
    ready(page)
    press(page, "/")
    page.keyboard.type("drohn")
    press(page, "Enter")
    expect(page.locator("[data-name=Drone]")).to_have_attribute("data-state", "yes")
    name = answer(page)
    all_saved(page)
    assert said(name) == {"Drone": 1}


def test_keys_do_nothing_while_one_writes(page):
    press(page, "n")
    page.keyboard.type("does s and u x")
    press(page, "Escape", "d")
    name = answer(page)
    all_saved(page)
    assert said(name) == {"Drone": 1}
    assert Annotation.objects.get().note == "does s and u x"


def test_seeking_lands_where_it_should(page):
    page.click("[data-jump='50']")
    expect(page.locator("#time")).to_have_text("1:15")
    assert page.evaluate("document.getElementById('audio').seekable.end(0)") == LENGTH_S
    press(page, "Shift+ArrowRight")
    expect(page.locator("#time")).to_have_text("1:53")
    press(page, "ArrowLeft")
    expect(page.locator("#time")).to_have_text("1:48")
    press(page, "End")
    expect(page.locator("#time")).to_have_text("0:55")
    box = page.locator("#wave").bounding_box()
    page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 20)
    expect(page.locator("#time")).to_have_text("2:15")
    press(page, "Space")
    until(page, "document.getElementById('audio').currentTime > 135.3")
    press(page, "Space")
    assert page.evaluate("document.getElementById('audio').paused")


def test_the_next_track_plays_and_seeks_too(page):
    page.check("#autoplay")
    until(page, "document.activeElement === document.body")
    press(page, "Space")
    until(page, "document.getElementById('audio').currentTime > 0.1")
    answer(page, "d")
    expect(page.locator(".transport .play")).to_have_attribute("data-playing", "true")
    page.click("[data-jump='75']")
    expect(page.locator("#time")).to_have_text(re.compile(r"1:5\d|2:\d\d"))  # it plays on
    assert page.evaluate("document.getElementById('audio').hasAttribute('src')") is False


def test_undo_brings_the_track_and_what_was_said_back(page):
    first = answer(page, "d", "ArrowDown", "c")
    all_saved(page)
    second = name_of(page)
    press(page, "r", "u")
    expect(page.locator("#track-name")).to_have_text(first)
    expect(page.locator("[data-name=Drone]")).to_have_attribute("data-state", "yes")
    assert Annotation.objects.filter(kind="retraction").count() == 1
    answer(page, "d", "a")
    all_saved(page)
    assert said(first) == {"Ambient": 1, "Calm": 1}
    assert name_of(page) == second
    expect(page.locator("[data-name=Rock]")).to_have_attribute("data-state", "yes")


def test_an_answer_of_an_earlier_visit_is_undone(page):
    first = answer(page, "d")
    all_saved(page)
    page.reload()
    ready(page)
    press(page, "u")
    expect(page.locator("#track-name")).to_have_text(first)
    answer(page, "d", "r")
    all_saved(page)
    assert said(first) == {"Rock": 1}


def test_skip_asks_for_a_reason(page):
    before = name_of(page)
    press(page, "s", "Escape")
    assert name_of(page) == before
    press(page, "s", "3")
    expect(page.locator("#track-name")).not_to_have_text(before)
    all_saved(page)
    row = Presentation.objects.get(track__title=before)
    assert (row.outcome, row.skip_reason) == ("skipped", "This is not music")
    assert Annotation.objects.count() == 0


def test_a_closed_question_does_not_close_the_next_one(page):
    """The browser reports a closed dialog late; the next key may come first."""
    before = name_of(page)
    page.evaluate("""() => {
      const ask = () => document.body.dispatchEvent(
        new KeyboardEvent("keydown", { key: "s", bubbles: true }));
      ask();
      document.getElementById("skip-dialog").close();
      ask();
    }""")
    expect(page.locator("#skip-dialog")).to_be_visible()
    press(page, "3")
    expect(page.locator("#track-name")).not_to_have_text(before)
    all_saved(page)
    assert Presentation.objects.get(track__title=before).outcome == "skipped"
    assert Presentation.objects.filter(outcome="skipped").count() == 1


def test_undo_right_after_a_skip_brings_the_track_back(page):
    before = name_of(page)
    press(page, "d", "s", "3")
    expect(page.locator("#track-name")).not_to_have_text(before)
    all_saved(page)
    after = name_of(page)
    press(page, "u")
    expect(page.locator("#track-name")).to_have_text(before)
    expect(page.locator("[data-name=Drone]")).to_have_attribute("data-state", "yes")
    assert Presentation.objects.get(track__title=before).outcome == "open"
    expect(page.locator("#figure-session")).to_have_text("0")
    answer(page)
    all_saved(page)
    assert said(before) == {"Drone": 1}
    assert name_of(page) == after


def test_offline_answers_wait_and_are_sent_once(page, context, errors):
    context.set_offline(True)
    names = [answer(page, "d"), answer(page, "r")]
    expect(page.locator("#status")).to_contain_text("2 answers wait")
    assert waiting(page) == 2
    assert Annotation.objects.count() == 0
    context.set_offline(False)
    all_saved(page)
    assert waiting(page) == 0
    assert [said(name) for name in names] == [{"Drone": 1}, {"Rock": 1}]
    assert Annotation.objects.count() == 2
    errors.clear()  # the browser itself writes down each request that it could not send


def test_answers_survive_a_reload_while_offline(page, context, errors, live_server):
    context.set_offline(True)
    name = answer(page, "d")
    expect(page.locator("#status")).to_contain_text("1 answer waits")
    page.goto("about:blank")
    context.set_offline(False)
    page.goto(f"{live_server.url}/annotate/tiny/")
    ready(page)
    all_saved(page)
    assert said(name) == {"Drone": 1}
    assert Annotation.objects.count() == 1
    errors.clear()


def test_an_answer_lost_on_the_way_back_counts_once(page, errors):
    """The server records the answer, the browser never hears of it and sends it again."""
    cut = []

    def lose(route):
        if not cut:
            cut.append(route.fetch().status)
        route.fulfill(status=502, body="")

    page.route("**/annotations/", lose)
    name = answer(page, "d")
    expect(page.locator("#status")).to_contain_text("trouble")
    page.unroute("**/annotations/", lose)
    all_saved(page)
    assert cut == [201]
    assert said(name) == {"Drone": 1}
    assert Annotation.objects.count() == 1
    errors[:] = [one for one in errors if "502" not in one]


def test_answered_in_another_window_meanwhile(page, library, ana, errors):
    name = name_of(page)
    track = Track.objects.get(title=name)
    desk.save(
        record.Submission(
            track=track,
            annotator=libraries.annotator_of(library, ana),
            answers=parse_answers(Vocabulary.of(library), labels=["Ambient"]),
        )
    )
    answer(page, "d")
    dialog = page.locator("#conflict-dialog")
    expect(dialog).to_be_visible()
    expect(page.locator("#conflict-yours")).to_contain_text("Drone")
    expect(page.locator("#conflict-stored")).to_contain_text("Ambient")
    expect(page.locator("[data-choice=yours]")).to_be_enabled()
    press(page, "1")
    expect(dialog).to_be_hidden()
    all_saved(page)
    assert said(name) == {"Drone": 1}
    assert Annotation.objects.count() == 2
    errors[:] = [one for one in errors if "409" not in one]


def test_logged_out_answers_wait_until_one_is_back(page, context, live_server, errors):
    Session.objects.all().delete()
    name = answer(page, "d")
    expect(page.locator("#alert")).to_contain_text("Your session is over")
    assert waiting(page) == 1
    other = context.new_page()
    log_in(other, live_server)
    other.close()
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    all_saved(page)
    assert said(name) == {"Drone": 1}
    errors[:] = [one for one in errors if "403" not in one]


def test_when_all_is_judged_the_page_says_so(page):
    for _ in range(7):
        answer(page, "d")
    press(page, "d", "Enter")
    expect(page.locator("#empty")).to_be_visible()
    all_saved(page)
    press(page, "u")
    expect(page.locator("#empty")).to_be_hidden()


#: The server is asked for the next track before the last answer reaches it, and is heard after.
ASKED_TOO_EARLY = """() => {
  const real = window.fetch;
  let isAsked;
  const asked = new Promise((resolve) => { isAsked = resolve; });
  const isSaved = () => !Object.keys(localStorage).some((key) => key.includes("/outbox/"));
  window.fetch = async (url, how) => {
    if (url.endsWith("/annotations/")) await asked;
    const told = await real(url, how);
    if (!url.endsWith("/queue/next/")) return told;
    isAsked();
    while (!isSaved()) await new Promise((resolve) => setTimeout(resolve, 5));
    return told;
  };
}"""


def test_what_the_server_said_before_the_last_answer_is_not_the_end(page):
    for _ in range(7):
        answer(page, "d")
    all_saved(page)
    page.evaluate(ASKED_TOO_EARLY)
    press(page, "d", "Enter")
    expect(page.locator("#empty")).to_be_visible()


def test_odd_names_are_only_names(page, library):
    odd = ["<script>alert(1)</script>", "‮gnp.exe", "x" * 200, "a\nb", "<img src=x onerror=a()>"]
    for track, title in zip(Track.objects.order_by("id"), odd, strict=False):
        Track.objects.filter(pk=track.pk).update(
            title=title, artist=title, extra={title: title}
        )
    page.reload()
    ready(page)
    for _ in range(7):
        answer(page, "d")
    all_saved(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    assert (
        page.evaluate("document.querySelectorAll('main script:not([type]), main img').length")
        == 0
    )


def test_a_file_that_cannot_be_played_is_said(page, library, tmp_path, errors):
    (tmp_path / "broken.wav").write_bytes(b"this is no sound at all")
    root = AudioRoot.objects.create(name="broken", path=str(tmp_path))
    AudioFile.objects.update(root=root, relative_path="broken.wav")
    page.reload()
    ready(page)
    expect(page.locator("#alert")).to_contain_text("cannot be played")
    expect(page.locator("#wave-note")).to_contain_text("cannot be played")
    name = answer(page, "d")
    all_saved(page)
    assert said(name) == {"Drone": 1}


def test_help_lists_the_keys(page):
    press(page, "?")
    expect(page.locator("#help-dialog")).to_contain_text("Save and go to the next track")
    press(page, "Escape")
    expect(page.locator("#help-dialog")).to_be_hidden()


def test_tab_moves_through_the_page(page):
    reached = []
    for _ in range(12):
        press(page, "Tab")
        reached.append(page.evaluate("document.activeElement.outerHTML.slice(0, 40)"))
    assert len(set(reached)) > 8


def test_light_and_dark_are_kept(page):
    page.click("[data-theme-toggle]")
    chosen = page.get_attribute("html", "data-theme")
    assert chosen in ("light", "dark")
    page.reload()
    assert page.get_attribute("html", "data-theme") == chosen


def test_the_page_of_a_track_plays(page, live_server):
    track = Track.objects.first()
    page.goto(f"{live_server.url}/tracks/tiny/{track.pk}/")
    page.click("[data-jump='50']")
    expect(page.locator("#time")).to_have_text("1:15")


def test_without_scripts_the_form_still_works(browser, live_server, ana):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    log_in(page, live_server)
    page.goto(f"{live_server.url}/annotate/tiny/")
    name = page.inner_text("#track-name")
    page.click("[data-name=Drone]")
    page.click("[data-action=save]")
    expect(page.locator("#track-name")).not_to_have_text(name)
    assert said(name) == {"Drone": 1}
    second = name_of(page)
    page.select_option("[name=reason]", "This is not music")
    page.click("#skip-form button")
    expect(page.locator("#track-name")).not_to_have_text(second)
    assert Presentation.objects.filter(outcome="skipped").count() == 1
    context.close()
