"""The site as a client sees it: addresses, API, pages."""

from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests.contracts.shapes import anonymous, shape
from tests.contracts.world import model

API = "/api/v1/libraries/fixed/"


def site(**more: Any) -> Client:
    """Return a client of the site under a name that it answers to."""
    return Client(SERVER_NAME="localhost", **more)


# --- addresses ------------------------------------------------------------------------------
def addresses() -> list[str]:
    """Return `name: pattern` of every address, of the admin only our own."""
    found = sorted(_walk(get_resolver(), "", ""))
    labels = [f"admin:{app.label}_" for app in apps.get_app_configs()]
    theirs = tuple(label for label in labels if label != "admin:labeling_")
    return [line for line in found if not line.startswith(theirs)]


def _walk(resolver: URLResolver, before: str, spaces: str) -> list[str]:
    lines: list[str] = []
    for one in resolver.url_patterns:
        pattern = before + str(one.pattern)
        if isinstance(one, URLPattern):
            lines.append(f"{spaces}{one.name or '-'}: {pattern}")
        else:
            inner = spaces + (f"{one.namespace}:" if one.namespace else "")
            lines += _walk(one, pattern, inner)
    return lines


def openapi() -> dict[str, Any]:
    """Return the schema without its texts, and without what differs between engines."""
    schema = site().get("/api/v1/schema/?format=json").json()
    schema["info"].pop("title", None)
    found: dict[str, Any] = _without_texts(schema)
    return found


#: Bounds that the database engine gives to whole numbers: another one on each engine.
_BOUNDS = {2**15 - 1, 2**31 - 1, 2**63 - 1}


def _without_texts(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_texts(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _without_texts(inner)
        for key, inner in value.items()
        if not (key in ("description", "summary") and isinstance(inner, str))
        and not (key == "maximum" and inner in _BOUNDS)
        and not (key == "format" and inner == "int64")
        and key != "x-spec-enum-id"
    }


# --- API ------------------------------------------------------------------------------------
class Caller:
    """Client of the API with a token; keeps what comes back."""

    def __init__(self, token: str) -> None:
        self.client = site(headers={"authorization": f"Token {token}"})
        self.kept: dict[str, Any] = {}

    def get(self, path: str, title: str = "") -> Any:
        """Read an address."""
        return self._keep(f"GET {title or path}", self.client.get(API + path))

    def post(self, path: str, body: Any, title: str = "") -> Any:
        """Send JSON to an address."""
        text = json.dumps(body)
        answer = self.client.post(API + path, text, content_type="application/json")
        return self._keep(f"POST {title or path}", answer)

    def _keep(self, title: str, answer: Any) -> Any:
        body = answer.json() if answer.content else None
        assert anonymous(title) not in self.kept, title
        told = {"status": answer.status_code, "type": answer.get("Content-Type", "")}
        self.kept[anonymous(title)] = told | ({"json": shape(body)} if answer.content else {})
        return body


def interface(token: str) -> dict[str, Any]:
    """Use every address of the API as a manager does, refusals too."""
    call = Caller(token)
    _label(call)
    _read(call)
    call.post("snapshots/preview/", {"min_support": 2})
    call.post("snapshots/", {"min_support": 2})
    call.post("snapshots/", {"facets": ["taste"]}, "snapshots/ (unknown facet)")
    call.post("recipes/audiotag/train/", {})
    job = model("Job").objects.filter(library__slug="fixed").order_by("-id")[0]
    call.get(f"jobs/{job.pk}/", "jobs/<id>/")
    for path in ("tracks/999999/", "nowhere/", "tracks/?owner=1"):
        call.get(path)
    other = Caller("0" * 40)
    other.get("tracks/", "tracks/ (a wrong token)")
    return call.kept | other.kept


def _label(call: Caller) -> None:
    shown = call.post("queue/next/", {"ahead": 2})
    call.post("queue/next/", {"ahead": 9}, "queue/next/ (a wrong number)")
    token, track = shown["presentation"], shown["track"]["id"]
    call.post("queue/heartbeat/", {})
    body = {
        "track": track, "labels": {"genre": ["Rock"]}, "unsure": {"mood": ["Calm"]},
        "negative": {"mood": ["Dark"]}, "presentation": token, "idempotency_key": "one",
        "expected_version": 0, "decision_time_s": 2.5, "note": "a note",
        "answered_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    made = call.post("annotations/", body)
    call.post("annotations/", body, "annotations/ (again)")
    call.post("annotations/", {**body, "idempotency_key": "two"}, "annotations/ (conflict)")
    call.post("annotations/", {"track": track, "labels": ["Soup"]}, "annotations/ (no label)")
    call.post("annotations/", {}, "annotations/ (empty)")
    call.post(f"annotations/{made['annotation']}/undo/", {})
    shown = call.post("queue/next/", {}, "queue/next/ (without ahead)")
    one = {"presentation": shown["presentation"]}
    call.post("queue/skip/", {**one, "reason": "sound"})
    call.post("queue/skip/undo/", one)
    call.post("queue/release/", one)
    call.post("queue/release/", one, "queue/release/ (again)")


def _read(call: Caller) -> None:
    track = model("Track").objects.get(library__slug="fixed", key="12.wav")
    call.get("tracks/?limit=3")
    call.get("tracks/?state=ready&q=Title")
    call.get(f"tracks/{track.pk}/", "tracks/<id>/")
    for path in (
        "labels/", "models/", "models/1/report/", "models/compare/?models=1,2", "recipes/",
        "snapshots/", "snapshots/1/", "consistency/",
    ):  # fmt: skip
        call.get(path)
    for path in ("models/99/report/", "snapshots/99/"):
        call.get(path, f"{path} (not there)")


# --- pages ----------------------------------------------------------------------------------
class Forms(HTMLParser):
    """The forms of a page: method, action, and the names of what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, set[str]] = {}
        self._form = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note a form, or a field of the form that is open (or that it names)."""
        given = dict(attributes)
        if tag == "form":
            method = (given.get("method") or "get").lower()
            self._form = f"{method} {anonymous(given.get('action') or '(itself)')}"
            self.found.setdefault(self._form, set())
        elif tag in ("input", "select", "textarea", "button") and given.get("name"):
            form = self._form or "(outside)"
            name = anonymous(str(given["name"]))
            self.found.setdefault(form, set()).add(f"{name}{_value(tag, given)}")

    def handle_endtag(self, tag: str) -> None:
        """Leave a form."""
        if tag == "form":
            self._form = ""


def _value(tag: str, given: dict[str, str | None]) -> str:
    """Return `=value` of what chooses by being pressed."""
    is_choice = tag == "button" or given.get("type") in ("checkbox", "radio")
    value = given.get("value")
    return f"={anonymous(value)}" if is_choice and value else ""


def pages(user: str, password: str) -> dict[str, Any]:
    """Look at every page as a manager does: type, forms, JSON, CSV."""
    client = site()
    found: dict[str, Any] = {}
    client.get("/accounts/login/")
    answer = client.post("/accounts/login/", {"username": user, "password": password})
    found["log in"] = {"status": answer.status_code, "cookies": sorted(client.cookies)}
    found["csrf header"] = settings.CSRF_HEADER_NAME
    for path in _paths():
        found[anonymous(path)] = _page(client, path)
    found["import"] = _upload(client)
    return found


def _paths() -> list[str]:
    track = model("Track").objects.get(library__slug="fixed", key="12.wav")
    label = model("Label").objects.get(name="Rock", facet__library__slug="fixed")
    evaluation = model("Evaluation").objects.filter(library__slug="fixed").order_by("id")[0]
    one = f"fixed/{track.pk}/"
    parts = (
        "annotate", "annotate/fixed/state", "tracks", "consistency", "models", "snapshots",
        "imports", "jobs", "guidelines", "taxonomy", "settings",
    )  # fmt: skip
    more = (
        "annotate/fixed/state/", "annotate/fixed/back/", f"tracks/{one}", f"audio/{one}",
        f"peaks/{one}", "models/fixed/1/", "models/fixed/now/", "jobs/fixed/rows/",
        "models/fixed/compare/?models=1,2", "models/fixed/criteria/",
        f"models/fixed/evaluations/{evaluation.pk}/", "snapshots/fixed/1/",
        f"taxonomy/fixed/labels/{label.pk}/", "healthz", "annotate/nowhere/",
    )  # fmt: skip
    return ["/", *(f"/{part}/fixed/" for part in parts if "/" not in part)] + [
        f"/{path}" for path in more
    ]


def _page(client: Client, path: str) -> dict[str, Any]:
    answer = client.get(path)
    kind = answer.get("Content-Type", "")
    told: dict[str, Any] = {"status": answer.status_code, "type": kind}
    if answer.streaming:
        b"".join(answer)  # type: ignore[arg-type]
    elif kind.startswith("application/json"):
        told["json"] = shape(answer.json())
    elif kind.startswith("text/html"):
        forms = Forms()
        forms.feed(answer.content.decode())
        told["forms"] = {name: sorted(fields) for name, fields in sorted(forms.found.items())}
    return told


def _upload(client: Client) -> dict[str, Any]:
    """Send a catalogue with a row in error; look at its page and at the file of errors."""
    content = b"filename,genre,annotator,annotated_at\nx.wav,Rock,Kim,no date\n"
    file = SimpleUploadedFile("new.csv", content, content_type="text/csv")
    sent = client.post("/imports/fixed/", {"file": file})
    batch = model("ImportBatch").objects.order_by("-id")[0]
    page = f"/imports/fixed/{batch.pk}/"
    batch.report = {"errors": [{"row": 2, "column": "annotated_at", "message": "no date"}]}
    batch.save()
    errors = client.get(page + "errors/")
    return {
        "status": sent.status_code,
        "to": anonymous(sent.get("Location", "")),
        "page": _page(client, page),
        "errors": next(csv.reader(io.StringIO(errors.content.decode("utf-8-sig")))),
        "disposition": anonymous(errors.get("Content-Disposition", "")),
    }
