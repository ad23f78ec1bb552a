"""The desk by keyboard: labels, seeking, undo and skip."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from labeling.models import (
    Annotation,
    LabelAlias,
    Presentation,
)
from tests.e2e.annotate.world import (
    LENGTH_S,
    all_saved,
    answer,
    name_of,
    press,
    ready,
    said,
    until,
)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


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
