"""Fixtures of the desk in a browser: sound, a library, a page."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from django.test import Client

from labeling.models import (
    AudioFile,
    AudioRoot,
)
from tests.e2e.annotate.world import LENGTH_S, RATE_HZ, WATCH, ready
from tests.factories import make_labels, make_library, make_track, make_user


@pytest.fixture(scope="module")
def sound_folder(tmp_path_factory) -> Path:
    """A tone of 150 s, longer than one part of the Range view, and its waveform."""
    folder = tmp_path_factory.mktemp("sound")
    seconds = np.arange(LENGTH_S * RATE_HZ) / RATE_HZ
    tone = (127 + 60 * np.sin(2 * np.pi * 220 * seconds)).astype(np.uint8)
    with wave.open(str(folder / "tone.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(RATE_HZ)
        file.writeframes(tone.tobytes())
    settings.PEAKS_ROOT.mkdir(parents=True, exist_ok=True)
    peaks = np.tile(np.array([[-60, 60]], np.int8), (800, 1))
    np.save(settings.PEAKS_ROOT / "tone.npy", peaks)
    return folder


@pytest.fixture
def library(transactional_db, sound_folder):
    library = make_library("tiny", audit_share=0)
    make_labels(library, "genre", ("Ambient", "Drone", "Rock"))
    make_labels(library, "mood", ("Calm", "Dark"))
    root = AudioRoot.objects.create(name="tones", path=str(sound_folder))
    audio = AudioFile.objects.create(
        root=root,
        relative_path="tone.wav",
        container="wav",
        length_s=LENGTH_S,
        peaks_file="tone.npy",
    )
    for number in range(8):
        make_track(
            library, title=f"Title {number}", artist="Somebody", audio=audio, state="ready"
        )
    return library


@pytest.fixture
def ana(library):
    return make_user("ana", library=library)


@pytest.fixture
def errors() -> list[str]:
    """Errors in the pages; a test that goes offline empties the list."""
    return []


@pytest.fixture
def context(browser, errors, live_server):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(15_000)
    context.add_init_script(WATCH)
    context.on("weberror", lambda error: errors.append(str(error.error)))
    context.on("console", lambda line: line.type == "error" and errors.append(line.text))
    context.on("dialog", lambda dialog: errors.append(f"dialog {dialog.message}"))
    yield context
    context.close()


@pytest.fixture
def page(context, live_server, ana, errors):
    session = Client()
    session.force_login(ana)
    cookie = session.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}]
    )
    page = context.new_page()
    page.goto(f"{live_server.url}/annotate/tiny/", wait_until="commit")
    ready(page)
    yield page
    assert page.evaluate("window.watched") == {"violations": [], "decoded": 0}
    assert errors == []
