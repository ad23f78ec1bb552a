"""The Experiments page in a real Chromium: from the areas of a manager to a training."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.factories import make_user
from tests.planted_library import plant

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PASSWORD = "a long enough password"


@pytest.fixture
def page(browser, live_server, transactional_db):
    library = plant(n_tracks=45, n_audit=12, slug="planted").library
    library.name = "The music library of a whole house"
    library.save(update_fields=["name"])
    make_user("mia", library=library, role="manager")
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{live_server.url}/accounts/login/?next=/models/planted/")
    page.get_by_label("User name").fill("mia")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(f"{live_server.url}/models/planted/")
    yield page
    page.close()


def test_a_manager_finds_the_recipes_and_trains_with_one(page, live_server):
    page.locator("main").get_by_role("link", name="Experiments").click()
    expect(page).to_have_url(f"{live_server.url}/experiments/planted/")
    recipe = page.locator("[data-recipe='audiotag']")
    recipe.get_by_role("button", name="Train with this recipe").click()
    expect(
        page.get_by_text("The training by the recipe audiotag was requested.")
    ).to_be_visible()
    expect(page).to_have_url(f"{live_server.url}/experiments/planted/")
    expect(recipe.get_by_role("button", name="Train with this recipe")).to_be_disabled()


@pytest.mark.parametrize("width", [1024, 1280, 1366, 1440])
def test_all_eleven_areas_of_a_manager_are_in_sight(page, width):
    page.set_viewport_size({"width": width, "height": 720})
    areas = page.locator(".areas a")
    assert areas.count() == 11
    for index in range(areas.count()):
        expect(areas.nth(index)).to_be_in_viewport(ratio=1)
