"""Hostile names in a real Chromium: no dialog, no violation of the policy, no error."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import Client

from labeling.models import Job, Label, Track
from tests.e2e.annotate.world import WATCH
from tests.factories import make_user
from tests.labeling.hostile import SCRIPT, hostile_library, own_history

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AREAS = (
    *("annotate", "tracks", "consistency", "models", "snapshots", "jobs", "imports"),
    *("guidelines", "taxonomy"),
)


def test_no_name_does_anything(browser, live_server):
    library = hostile_library("lib")
    user = make_user(SCRIPT, library=library, role="manager")
    own_history(library, user)
    Job.objects.filter(state="running").update(state="done")  # else the page polls for ever
    session = Client()
    session.force_login(user)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    wrong: list[str] = []
    context.add_init_script(WATCH)
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("console", lambda line: line.type == "error" and wrong.append(line.text))
    context.on("dialog", lambda dialog: (wrong.append("dialog"), dialog.dismiss()))
    name = settings.SESSION_COOKIE_NAME
    cookie = {"name": name, "value": session.cookies[name].value, "url": live_server.url}
    context.add_cookies([cookie])
    page = context.new_page()
    paths = ["/", *(f"/{area}/lib/" for area in AREAS)]
    paths += [f"/tracks/lib/{one.pk}/" for one in Track.objects.all()[:6]]
    paths += [f"/taxonomy/lib/labels/{one.pk}/" for one in Label.objects.all()[:6]]
    for path in paths:
        page.goto(live_server.url + path)
        page.wait_for_load_state("networkidle")
        watched = page.evaluate("window.watched")
        assert watched == {"violations": [], "decoded": 0}, path
        assert page.evaluate("document.documentElement.scrollWidth") <= 1440, path
        assert page.evaluate("document.querySelectorAll('main img, main iframe').length") == 0
    page.goto(f"{live_server.url}/annotate/lib/")
    page.wait_for_selector("html[data-ready]")
    for _ in range(3):
        page.locator(".label").first.click()
        page.keyboard.press("Enter")
    page.wait_for_load_state("networkidle")
    assert page.locator("#recent script").count() == 0
    context.close()
    # The sound of these tracks is not there; nothing else may be missing.
    assert [one for one in wrong if "404" not in one] == []
