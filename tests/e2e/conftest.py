"""A real Chromium, and houses with real processes for it to visit."""

from __future__ import annotations

import os
import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.faults.conftest import open_house, recordings  # noqa: F401 - fixtures

#: What a page should show comes in milliseconds; the rest is for machines with much to do.
expect.set_options(timeout=20_000)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@pytest.fixture(scope="module")
def browser():
    found = os.environ.get("AUDIOTAG_CHROMIUM") or shutil.which("chromium")
    if not found:
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("no Chromium: install it, or set AUDIOTAG_CHROMIUM to where it is")
    # Playwright's loop runs in this thread, where the test itself asks the database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
