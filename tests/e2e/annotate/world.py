"""The desk in a browser: log in, press keys, read what is stored."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from labeling.models import (
    Annotation,
    Judgement,
)

PASSWORD = "a long enough password"


LENGTH_S, RATE_HZ = 150, 8_000

#: Counts what must never happen: a policy violation, and decoding for the waveform. Tells too
#: whether all that was fetched has come; Playwright's own way waits half a second each time.
WATCH = """
window.watched = {violations: [], decoded: 0};
let atWork = 0, ended = 0;
const isIdle = () => atWork === 0 && performance.now() - ended > 60;
Object.defineProperty(window.watched, "isIdle", {value: isIdle, enumerable: false});
const original = window.fetch;
window.fetch = async (...args) => {
  atWork += 1;
  try { return await original(...args); }
  finally { atWork -= 1; ended = performance.now(); }
};
document.addEventListener("securitypolicyviolation",
  (event) => window.watched.violations.push(event.violatedDirective + " " + event.blockedURI));
const decode = BaseAudioContext.prototype.decodeAudioData;
BaseAudioContext.prototype.decodeAudioData = function (...args) {
  window.watched.decoded += 1;
  return decode.apply(this, args);
};
"""


def log_in(page, live_server):
    page.goto(f"{live_server.url}/accounts/login/")
    page.fill("[name=username]", "ana")
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/$"))


def ready(page):
    """Wait until scripts run and the tracks after this one have come."""
    page.wait_for_selector("html[data-ready]")
    until(page, "window.watched.isIdle()")


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
