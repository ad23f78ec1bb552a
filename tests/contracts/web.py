"""The site as a client sees it: addresses, API, pages."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests.contracts.shapes import anonymous, shape
from tests.contracts.world import model

API = "/api/v1/libraries/fixed/"
#: The pages of a library.
PARTS = (
    "annotate", "tracks", "consistency", "models", "experiments", "snapshots", "imports",
    "jobs", "guidelines", "taxonomy", "settings",
)  # fmt: skip


def site(**more: Any) -> Client:
    """Return a client of the site under a name that it answers to."""
    return Client(SERVER_NAME="localhost", **more)


# --- addresses ------------------------------------------------------------------------------
def addresses() -> list[str]:
    """Return `name: pattern` of every address, of the admin only our own."""
    found = sorted(_walk(get_resolver(), "", ""))
    own = ("admin:index:", "admin:login:", "admin:labeling_")
    return [
        line
        for line in found
        if not line.startswith("admin:") or (line.startswith(own) and "<" not in line)
    ]


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
    call.post("recipes/soup/train/", {})
    model("Job").objects.filter(kind="train", state="queued").update(state="cancelled")
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
    """The forms of a page: method, action, names and choices; and the queries of its links."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, set[str]] = {}
        self.queries: set[str] = set()
        self._form = self._select = ""

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
            self._select = name if tag == "select" else ""
        elif tag == "option" and self._select and given.get("value"):
            choice = f"{self._select}={anonymous(str(given['value']))}"
            self.found[self._form or "(outside)"].add(choice)
        elif tag == "a" and "?" in (given.get("href") or ""):
            path, _, query = str(given["href"]).partition("?")
            names = sorted(parse_qs(query, keep_blank_values=True))
            self.queries.add(f"{anonymous(path)}?{'&'.join(names)}")

    def handle_endtag(self, tag: str) -> None:
        """Leave a form."""
        if tag == "form":
            self._form = ""


def _value(tag: str, given: dict[str, str | None]) -> str:
    """Return `=value` of what chooses by being pressed."""
    is_choice = tag == "button" or given.get("type") in ("checkbox", "radio", "submit")
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
    found["headers of a page"] = dict(sorted(client.get("/").headers.items()))
    found["headers of a page"].pop("Content-Length", None)
    policy = found["headers of a page"]["Content-Security-Policy"]
    found["headers of a page"]["Content-Security-Policy"] = sorted(policy.split("; "))
    for path in _paths():
        found[anonymous(path)] = page(client, path)
    return found


def _paths() -> list[str]:
    track = model("Track").objects.get(library__slug="fixed", key="12.wav")
    label = model("Label").objects.get(name="Rock", facet__library__slug="fixed")
    evaluation = model("Evaluation").objects.filter(library__slug="fixed").order_by("id")[0]
    one = f"fixed/{track.pk}/"
    more = (
        "annotate/fixed/state/", "annotate/fixed/back/", f"tracks/{one}", f"audio/{one}",
        f"peaks/{one}", "models/fixed/1/", "models/fixed/now/", "jobs/fixed/rows/",
        "models/fixed/compare/?models=1,2", "models/fixed/criteria/",
        f"models/fixed/evaluations/{evaluation.pk}/", "snapshots/fixed/1/",
        f"taxonomy/fixed/labels/{label.pk}/", "healthz", "annotate/nowhere/",
    )  # fmt: skip
    return ["/", *(f"/{part}/fixed/" for part in PARTS), *(f"/{path}" for path in more)]


def page(client: Client, path: str) -> dict[str, Any]:
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
        forms.found.pop("post /accounts/logout/", None)
        told["forms"] = {name: sorted(fields) for name, fields in forms.found.items()}
        told["queries"] = sorted(forms.queries)
    return told


# --- who may see what -----------------------------------------------------------------------
def roles(tokens: dict[str, str]) -> dict[str, Any]:
    """Return the status of the API's addresses and the pages for every role and for nobody."""
    found: dict[str, Any] = {}
    clients = {"nobody": site()} | {
        role: site(headers={"authorization": f"Token {token}"})
        for role, token in tokens.items()
    }
    for path in ("tracks/", "labels/", "models/", "recipes/", "snapshots/", "consistency/"):
        found[f"GET {path}"] = _statuses(clients, API + path)
    logged_in = {role: site() for role in tokens}
    for role, client in logged_in.items():
        client.force_login(get_user_model().objects.get(username=role), _BACKEND)
    logged_in["nobody"] = site()
    for part in PARTS:
        found[f"/{part}/fixed/"] = _statuses(logged_in, f"/{part}/fixed/")
    return found


def _statuses(clients: dict[str, Client], path: str) -> dict[str, int]:
    return {role: client.get(path).status_code for role, client in clients.items()}


_BACKEND = "django.contrib.auth.backends.ModelBackend"
