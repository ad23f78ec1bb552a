"""The Models and Snapshots pages in a real Chromium: a training seen from button to model."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from labeling.models import Job
from tests.factories import make_user
from tests.planted_library import plant
from workers.jobs.run import run_inline

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PASSWORD = "a long enough password"
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation",
  (event) => window.violations.push(event.violatedDirective + " " + event.blockedURI));
"""


@pytest.fixture
def page(browser, live_server, transactional_db):
    planted = plant(n_tracks=45, n_audit=12, slug="planted")
    make_user("carla", library=planted.library, role="curator")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(WATCH)
    page.goto(f"{live_server.url}/accounts/login/?next=/models/planted/")
    page.get_by_label("User name").fill("carla")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(f"{live_server.url}/models/planted/")
    yield page
    page.close()


def work_off():
    """Do what a worker would do, until nothing is asked for."""
    while job := Job.objects.filter(state=Job.State.QUEUED).order_by("id").first():
        assert run_inline(job).state == Job.State.DONE


def test_training_is_asked_for_watched_and_read(page):
    expect(page.get_by_role("heading", name="No model yet")).to_be_visible()
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_text("The training was requested.")).to_be_visible()
    expect(page.get_by_role("button", name="Start training")).to_be_disabled()
    expect(page.get_by_text("No worker is running")).to_be_visible()
    work_off()
    row = page.locator("[data-model='1']")
    expect(row.get_by_text("champion")).to_be_visible(timeout=15_000)
    expect(row.get_by_text("baseline 0, 95 % CI")).to_be_visible()
    expect(page.get_by_text("the first usable model of this library")).to_be_visible()
    row.get_by_role("link", name="Model 1").click()
    expect(page.get_by_role("heading", name="Model 1")).to_be_visible()
    expect(page.locator("#labels").get_by_role("cell", name="Drone")).to_be_visible()
    assert page.locator("svg.chart").count() >= 2
    assert page.evaluate("window.violations") == []


def test_snapshot_is_taken_by_the_form(page, live_server):
    page.goto(f"{live_server.url}/snapshots/planted/")
    page.get_by_label("catalogue (Legacy)").check()
    page.get_by_label("Fewest positive answers per label").fill("3")
    page.get_by_role("button", name="Take snapshot").click()
    expect(page.get_by_text("The snapshot is being taken")).to_be_visible()
    work_off()
    page.reload()
    expect(page.get_by_text("by catalogue; labels with at least 3 positives")).to_be_visible()
    assert page.evaluate("window.violations") == []
