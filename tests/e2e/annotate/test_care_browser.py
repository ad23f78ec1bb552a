"""Guards of the annotation page: keys that reach too far, words that mislead."""

from __future__ import annotations

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import expect

from labeling.loop import desk
from labeling.loop.events import record
from labeling.loop.events.answers import Vocabulary, parse_answers
from labeling.loop.library import guidelines, libraries
from labeling.models import Label, Presentation, Receipt, Track
from tests.e2e.annotate.world import (
    PASSWORD,
    all_saved,
    answer,
    name_of,
    press,
    ready,
    said,
)
from tests.factories import make_labels

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def state(page, name):
    return page.get_attribute(f"[data-name={name}]", "data-state")


def test_a_number_in_a_dialog_is_no_label_key(page):
    Label.objects.filter(name="Drone").update(hotkey="2")
    page.reload()
    ready(page)
    before = name_of(page)
    press(page, "s", "2")
    expect(page.locator("#track-name")).not_to_have_text(before)
    assert state(page, "Drone") == ""
    all_saved(page)
    assert Presentation.objects.get(track__title=before).outcome == "skipped"
    press(page, "2")
    assert state(page, "Drone") == "yes"


def test_a_conflict_is_not_decided_by_keys_for_the_next_track(page, library, ana, errors):
    name = name_of(page)
    desk.save(
        record.Submission(
            track=Track.objects.get(title=name),
            annotator=libraries.annotator_of(library, ana),
            answers=parse_answers(Vocabulary.of(library), labels=["Ambient"]),
        )
    )
    page.evaluate("document.getElementById('conflict-dialog').dataset.guardMs = 3600000")
    answer(page, "d")
    dialog = page.locator("#conflict-dialog")
    expect(dialog).to_be_visible()
    press(page, "Enter", "1", "2", "Space")
    expect(dialog).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "conflict-title"
    cards = page.locator("#conflict-dialog .card")
    expect(cards.nth(0)).to_contain_text("Drone")
    expect(cards.nth(0).locator("button")).to_contain_text("1")
    expect(cards.nth(1)).to_contain_text("Ambient")
    expect(cards.nth(1).locator("button")).to_contain_text("2")
    errors[:] = [one for one in errors if "409" not in one]


def test_a_refusal_to_send_is_on_the_screen(page, library):
    make_labels(library, "instrumentation", [f"Instrument {n}" for n in range(140)])
    page.set_viewport_size({"width": 1280, "height": 720})
    page.reload()
    ready(page)
    press(page, "ArrowUp", "Enter")
    expect(page.locator("#alert")).to_contain_text("Choose a label")
    expect(page.locator("#alert")).to_be_in_viewport(ratio=1)


def test_what_is_ticked_and_written_outlives_a_reload(page):
    press(page, "d", "Shift+a", "n")
    page.keyboard.type("half a no")
    page.reload()
    ready(page)
    assert (state(page, "Drone"), state(page, "Ambient")) == ("yes", "unsure")
    assert page.input_value("#note") == "half a no"
    name = answer(page)
    all_saved(page)
    assert said(name) == {"Drone": 1, "Ambient": 0}
    assert page.evaluate("Object.keys(localStorage).filter((k) => k.includes('draft'))") == []


def test_undo_after_a_reload_gives_back_what_was_said(page):
    first = answer(page, "d", "Shift+a", "Alt+r")
    all_saved(page)
    page.reload()
    ready(page)
    expect(page.locator("#recent li").first).to_contain_text("Drone, Ambient ?, not Rock")
    press(page, "u")
    expect(page.locator("#track-name")).to_have_text(first)
    expect(page.locator("[data-name=Drone]")).to_have_attribute("data-state", "yes")
    assert [state(page, one) for one in ("Drone", "Ambient", "Rock")] == ["yes", "unsure", "no"]


def test_a_new_guideline_is_acknowledged_by_key(page, library):
    expect(page.locator("#guideline")).to_be_hidden()
    guidelines.save_draft(library, "Rock has guitars.")
    number = guidelines.publish(library).number
    answer(page, "d")
    expect(page.locator("#guideline")).to_contain_text(f"Guideline {number} has been in force")
    press(page, ",")
    expect(page.locator("#guideline")).to_be_hidden()
    assert Receipt.objects.count() == 1


def test_what_was_refused_is_kept_until_it_is_dealt_with(page, errors):
    def refuse(route):
        route.fulfill(status=400, json={"errors": [{"message": "no such label"}]})

    page.route("**/annotations/", refuse)
    name = answer(page, "d")
    expect(page.locator("#recent li").first).to_contain_text("not saved: no such label")
    expect(page.locator("#figure-session")).to_have_text("0")
    page.reload()
    ready(page)
    expect(page.locator("#recent li").first).to_contain_text("not saved: no such label")
    page.unroute("**/annotations/")
    page.get_by_role("button", name="Open").click()
    expect(page.locator("#track-name")).to_have_text(name)
    expect(page.locator("[data-name=Drone]")).to_have_attribute("data-state", "yes")
    answer(page)
    all_saved(page)
    assert said(name) == {"Drone": 1}
    assert page.evaluate("Object.keys(localStorage).filter((k) => k.includes('outbox'))") == []
    errors[:] = [one for one in errors if "400" not in one]


def test_session_over_is_said_until_one_is_back(page, context, live_server, errors):
    Session.objects.all().delete()
    answer(page, "d")
    alert = page.locator("#alert")
    expect(alert).to_contain_text("Your session has ended")
    press(page, "r")
    expect(alert).to_contain_text("Your session has ended")
    with context.expect_page() as opened:
        alert.locator("a").click()
    other = opened.value
    other.fill("[name=username]", "ana")
    other.fill("[name=password]", PASSWORD)
    other.keyboard.press("Enter")
    expect(other.locator("h1")).to_have_text("You are logged in again")
    all_saved(page)
    expect(alert).to_be_hidden()
    assert state(page, "Rock") == "yes"
    errors[:] = [one for one in errors if "403" not in one]


def test_an_empty_desk_without_connection_says_so(page, context, errors):
    context.set_offline(True)
    for _ in range(2):
        answer(page, "d")
    press(page, "d", "Enter")
    expect(page.locator("#coming-headline")).to_have_text("No connection to the server")
    for hidden in (".side-note", ".side-context", "[data-action=save]", ".filter"):
        expect(page.locator(f"#desk {hidden}").first).to_be_hidden()
    expect(page.locator("[data-action=undo]")).to_be_visible()
    context.set_offline(False)
    all_saved(page)
    errors.clear()


def uncovered(page, selector):
    """Say whether nothing lies over the corners of an element, such as a bar that sticks."""
    return page.evaluate(
        """(selector) => {
        const element = document.querySelector(selector);
        const { left, right, top, bottom } = element.getBoundingClientRect();
        return [[left + 9, top + 2], [right - 9, bottom - 2]].every(
          ([x, y]) => element.contains(document.elementFromPoint(x, y)));
        }""",
        selector,
    )


def test_every_label_is_reached_on_a_small_screen(page, library):
    make_labels(library, "instrumentation", [f"Instrument {n}" for n in range(100)])
    make_labels(library, "category", [f"Category {n}" for n in range(40)])
    page.set_viewport_size({"width": 1280, "height": 720})
    page.reload()
    ready(page)
    for _ in range(4):
        press(page, "ArrowDown")
        assert uncovered(page, ".facet.active")
    expect(page.locator(".facet.active")).to_contain_text("genre")
    assert page.evaluate("scrollY") == 0
    press(page, "ArrowDown", "ArrowDown")
    box = page.locator(".facet.active.long .labels")
    expect(page.locator(".facet.active legend")).to_contain_text("to find")
    press(page, "Shift+ArrowDown")
    assert box.evaluate("(box) => box.scrollTop") > 0
    press(page, "/")
    page.keyboard.type("Instrument 99")
    expect(page.locator(".label.best")).to_be_in_viewport(ratio=1)
    assert uncovered(page, ".label.best")
    press(page, "Enter")
    assert state(page, "'Instrument 99'") == "yes"


@pytest.mark.parametrize("width", [1024, 1280])
def test_no_area_is_out_of_sight(page, width):
    page.set_viewport_size({"width": width, "height": 720})
    areas = page.locator(".areas a")
    for index in range(areas.count()):
        expect(areas.nth(index)).to_be_in_viewport(ratio=1)


def test_keys_in_buttons_can_be_read(page):
    assert (
        page.locator(".actions .button kbd").first.evaluate(
            "(key) => getComputedStyle(key).opacity"
        )
        == "1"
    )
