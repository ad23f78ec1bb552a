"""A whole round: twenty answers by keyboard lead to a new queue.

Everything runs as `make run` starts it: web server, three workers and the schedule under the
supervisor. The test presses keys and reads pages; it looks into the database only to compare
what it cannot see on a page, the whole order of the queue.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from django.db import connection
from playwright.sync_api import expect

from labeling.models import Library, QueueItem, Round
from tests.faults.house import until
from tests.faults.sound import genre_of, plant_catalogue

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
N_TRACKS, N_LABELLED, N_ANSWERS = 64, 32, 20
TURN_MS = 120_000


@pytest.fixture
def house(open_house):
    """On SQLite with messages in a folder; in the run on servers, on these."""
    return open_house("team" if connection.vendor == "postgresql" else "embedded")


@pytest.fixture
def password(house, recordings):
    """Import a catalogue of which half is labelled, and make a curator."""
    folder = house.folder / "audio"
    table = plant_catalogue(folder, recordings, N_TRACKS, n_labelled=N_LABELLED)
    arguments = ("--audio", str(folder), "--library", "loop", "--json")
    house.manage("import_library", str(table), *arguments)
    # Leave TensorFlow out: what it learns is tested elsewhere.
    Library.objects.using(house.alias).update(network="pooled-numpy")
    curator = house.manage(
        "create_user", "carla", "--library", "loop", "--role", "curator", "--json"
    )
    return json.loads(curator)["password"]


@pytest.fixture
def address(house, password):
    """Start everything; in the end one Ctrl-C stops it and leaves no process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ("run_audiotag", "--no-demo", "--port", str(port))
    supervisor = house.start(sys.executable, "manage.py", *arguments)
    address = f"http://127.0.0.1:{port}"
    # Seldom, for each look costs the processes that are starting.
    until(lambda: _is_healthy(address), 150, "a healthy web server, with workers", pause_s=1)
    yield address
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(timeout=60) == 0
    until(lambda: not house.left_behind(), 30, "the end of every process")


def _is_healthy(address):
    try:
        return urlopen(f"{address}/healthz?strict=1", timeout=5).status == 200
    except HTTPError as error:
        print(error.read().decode())  # shown when it never becomes healthy
        return False
    except (URLError, OSError):
        return False


@pytest.fixture
def page(browser, address, password):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(20_000)
    page.goto(f"{address}/accounts/login/")
    page.get_by_label("User name").fill("carla")
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/$"))
    yield page
    page.close()


def test_twenty_answers_train_once_and_change_the_queue(house, page, address):
    page.goto(f"{address}/models/loop/")
    page.get_by_role("button", name="Start training").click()
    model_in_use(page, 1)
    turns_done(page, address, 1)
    before = queue_of(house)

    page.goto(f"{address}/annotate/loop/")
    page.wait_for_selector("html[data-ready]")
    judged = [answer(page) for _ in range(N_ANSWERS)]
    expect(page.locator("#status")).to_have_text("All saved")
    assert len(set(judged)) == N_ANSWERS

    page.goto(f"{address}/models/loop/")
    model_in_use(page, 2)
    turns_done(page, address, 2)
    by_itself = page.locator("tr[data-job]", has_text="Train and evaluate")
    expect(by_itself).to_have_count(2)
    expect(by_itself.first).not_to_contain_text("carla")
    expect(by_itself.last).to_contain_text("carla")
    after = queue_of(house)
    assert (before["round"], after["round"]) == (1, 2)
    assert not set(after["keys"]) & set(judged)
    common = set(before["keys"]) & set(after["keys"])
    assert [key for key in before["keys"] if key in common] != [
        key for key in after["keys"] if key in common
    ]

    page.goto(f"{address}/annotate/loop/")
    page.wait_for_selector("html[data-ready]")
    until(lambda: asked_by_the_new_model(page, after), 60, "a track that the new model chose")


def model_in_use(page, number):
    """Wait until the Models page, which refreshes itself, shows this model as champion."""
    row = page.locator(f"[data-model='{number}']")
    expect(row.get_by_text("champion")).to_be_visible(timeout=TURN_MS)


def turns_done(page, address, n):
    """Wait until the Jobs page shows so many turns, each job of them once and done."""
    page.goto(f"{address}/jobs/loop/")
    jobs = page.locator("tr[data-job]")
    for kind in ("Train and evaluate", "Predict the pool", "Rank the queue"):
        done = jobs.filter(has_text=kind).filter(has_text="done")
        expect(done).to_have_count(n, timeout=TURN_MS)
        expect(jobs.filter(has_text=kind)).to_have_count(n)
    assert page.locator("tr[data-job] .badge.bad").count() == 0


def queue_of(house):
    """Return the number of the live round and what its model chose, in order, with reasons."""
    live = Round.objects.using(house.alias).get(state="live")
    items = QueueItem.objects.using(house.alias).filter(
        round=live, stratum="acquire", model_version=live.model_version
    )
    ranked = list(items.order_by("rank").values_list("track__key", "reason"))
    return {
        "round": live.number,
        "keys": [key for key, _ in ranked],
        "reasons": dict(ranked),
    }


def answer(page):
    """Say by keyboard what the track is, and wait for the next one; return its key."""
    key = page.inner_text("#track-name")
    genre = genre_of(int(re.search(r"\d+", key)[0]))
    page.keyboard.press(page.get_attribute(f"[data-name='{genre}']", "data-key"))
    page.keyboard.press("Enter")
    expect(page.locator("#track-name")).not_to_have_text(key)
    return key


def asked_by_the_new_model(page, queue):
    """Say whether the track on the page is of the new round, for its reason; else go on."""
    key, why = page.inner_text("#track-name"), page.inner_text("#why-text")
    if queue["reasons"].get(key) == why:
        return True
    answer(page)
    return False
