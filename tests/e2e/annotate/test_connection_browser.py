"""The desk offline, logged out, in two windows, and without scripts."""

from __future__ import annotations

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import expect

from labeling.loop import desk
from labeling.loop.events import record
from labeling.loop.events.answers import Vocabulary, parse_answers
from labeling.loop.library import libraries
from labeling.models import (
    Annotation,
    AudioFile,
    AudioRoot,
    Presentation,
    Track,
)
from tests.e2e.annotate.world import (
    ASKED_TOO_EARLY,
    all_saved,
    answer,
    log_in,
    name_of,
    press,
    ready,
    said,
    waiting,
)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


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
    expect(page.locator("#status")).to_contain_text("The server has a problem")
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
    expect(page.locator("#alert")).to_contain_text("Your session has ended")
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
