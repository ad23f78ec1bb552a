"""The report of a model in a real Chromium: legible in light and dark, nothing over another."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from labeling.models import Evaluation, PromotionEvent
from tests.factories import make_user
from tests.labeling.pages.learning.report.world import train
from tests.planted_library import plant

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PASSWORD = "a long enough password"
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation",
  (event) => window.violations.push(event.violatedDirective + " " + event.blockedURI));
"""
#: Pairs of texts of one chart that lie over each other, and texts that leave their chart.
CLASHES = """
() => [...document.querySelectorAll("svg.plot")].flatMap((chart) => {
  const frame = chart.getBoundingClientRect();
  const boxes = [...chart.querySelectorAll("text")].map((text) => [
    text.textContent, text.getBoundingClientRect()]);
  const name = chart.querySelector("title").textContent;
  const out = boxes.filter(([, box]) => box.left < frame.left - 3 || box.right > frame.right + 3
    || box.top < frame.top - 3 || box.bottom > frame.bottom + 3);
  const over = boxes.flatMap(([text, a], n) => boxes.slice(n + 1).filter(([, b]) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3)
    .map(([other]) => [text, other]));
  return [...out.map(([text]) => `${name}: ${text} outside`),
    ...over.map((two) => `${name}: ${two}`)];
})
"""
#: Contrast of what is drawn with what it is drawn on, the least of all lines.
LEAST_CONTRAST = """
() => {
  const channel = (value) => (value /= 255) <= 0.03928
    ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number);
    return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  };
  const paper = light(getComputedStyle(document.querySelector(".card")).backgroundColor);
  const drawn = [...document.querySelectorAll("svg.plot .line, svg.plot .text")].map((mark) => {
    const style = getComputedStyle(mark);
    return light(mark.matches(".text") ? style.fill : style.stroke);
  });
  return Math.min(...drawn.map((ink) =>
    (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)));
}
"""


@pytest.fixture(params=["light", "dark"])
def page(request, browser, live_server, transactional_db):
    planted = plant(n_tracks=45, n_audit=12, slug="planted")
    train(planted.library)
    train(planted.library, "--seed", "1")
    make_user("carla", library=planted.library, role="curator")
    page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme=request.param)
    page.add_init_script(WATCH)
    page.goto(f"{live_server.url}/accounts/login/?next=/models/planted/1/")
    page.get_by_label("User name").fill("carla")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    yield page
    page.close()


def is_clean(page):
    assert page.evaluate(CLASHES) == []
    assert page.evaluate(LEAST_CONTRAST) >= 3
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    assert page.evaluate("window.violations") == []


def test_report_and_comparison_are_legible_and_the_choice_is_one_click(page, live_server):
    expect(page.get_by_role("heading", name="Has the model collapsed?")).to_be_visible()
    assert page.locator("svg.plot").count() >= 6
    is_clean(page)
    page.get_by_role("link", name="F1", exact=True).click()
    expect(page.get_by_role("columnheader", name="F1")).to_have_attribute(
        "aria-sort", "descending"
    )
    assert page.locator("#mistakes a[href$='#play']").count() == 12
    page.goto(f"{live_server.url}/models/planted/compare/")
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("labelled tracks that both runs held out")).to_be_visible()
    is_clean(page)
    page.get_by_role("button", name="Promote").click()
    expect(
        page.get_by_text("is the champion now. Suggestions and the queue are")
    ).to_be_visible()
    event = PromotionEvent.objects.first()
    assert (event.kind, event.by.username) == ("rolled_back", "carla")
    assert event.figures["n"] == 12
    assert Evaluation.objects.count() == 2
