"""Actions on the pages: every form sent once, with where it leads."""

from __future__ import annotations

import csv
import io
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.contracts import inside
from tests.contracts.shapes import anonymous
from tests.contracts.web import page, site
from tests.contracts.world import model

_CATALOGUE = b"filename,genre,annotator,annotated_at\nx.wav,Rock,Kim,no date\ny.wav,Pop,Kim,\n"


class Hand:
    """Sends forms as a person who is logged in, and keeps where they lead."""

    def __init__(self, user: str, password: str) -> None:
        self.client = site()
        self.client.post("/accounts/login/", {"username": user, "password": password})
        self.kept: dict[str, Any] = {}

    def send(self, path: str, title: str = "", **fields: Any) -> None:
        """Send a form."""
        answer = self.client.post(path, fields)
        told = " ".join(one.level_tag for one in get_messages(answer.wsgi_request))
        self.client.cookies.pop("messages", None)
        name = f"{anonymous(path)} {title or ' '.join(fields)}".strip()
        assert name not in self.kept, name
        to = anonymous(answer.get("Location", "(itself)"))
        self.kept[name] = f"{answer.status_code} {to} {told}".strip()

    def look(self, path: str, title: str = "") -> None:
        """Keep what a page is."""
        self.kept[title or anonymous(path)] = page(self.client, path)


def deeds(user: str, password: str) -> dict[str, Any]:
    """Do everything once that a manager can do on the pages."""
    hand = Hand(user, password)
    _take_up(hand)
    _change_labels(hand)
    _judge(hand)
    _train(hand)
    _manage(hand)
    return hand.kept


def _take_up(hand: Hand) -> None:
    """Import a catalogue through the page; one row is in error."""
    file = SimpleUploadedFile("new.csv", _CATALOGUE, content_type="text/csv")
    hand.send("/imports/shop/", file=file)
    batch = model("ImportBatch").objects.order_by("-id")[0]
    here = f"/imports/shop/{batch.pk}/"
    hand.look(here, "import: the columns")
    roles = {
        "role-0": "key", "role-1": "facet:genre", "separator-1": ";",
        "role-2": "field:annotator", "role-3": "field:annotated_at",
    }  # fmt: skip
    hand.send(here + "start/", **roles, mapping_name="Usual", **{"try": "1"})
    inside.work("import")
    hand.look(here, "import: after the trial")
    hand.send(here + "start/", "confirm import", confirm="1", **{"import": "1"})
    inside.work("import")
    hand.look(here, "import: at the end")
    answer = hand.client.get(here + "errors/")
    hand.kept["import: errors"] = {
        "header": next(csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))),
        "disposition": anonymous(answer.get("Content-Disposition", "")),
        "type": answer.get("Content-Type", ""),
    }


def _change_labels(hand: Hand) -> None:
    """Change the taxonomy of the shop."""
    facet = model("Facet").objects.get(library__slug="shop", name="genre")
    hand.send("/taxonomy/shop/add/", facet=facet.pk, name="Polka")
    ids = dict(model("Label").objects.filter(facet=facet).values_list("name", "pk"))
    polka, rock = f"/taxonomy/shop/labels/{ids['Polka']}/", ids["Rock"]
    for action, fields in (
        ("rename", {"name": "Waltz"}),
        ("describe", {"definition": "Three in a bar", "hotkey": "w"}),
        ("deactivate", {}),
        ("reactivate", {}),
        ("merge", {"into": rock}),
    ):
        hand.send(polka + "change/", action, action=action, **fields)
    change = model("TaxonomyChange").objects.filter(label_id=ids["Polka"]).order_by("-id")[0]
    hand.look(f"{polka}?into={rock}")
    hand.send(f"/taxonomy/shop/changes/{change.pk}/undo/")


def _judge(hand: Hand) -> None:
    """Answer through the plain form; declare and withdraw a change of criteria."""
    desk = "/annotate/fixed/"
    label = model("Label").objects.get(facet__library__slug="fixed", name="Rock")
    for action in ("save", "skip"):
        hand.client.get(desk)
        shown = model("Presentation").objects.filter(outcome="open").order_by("-id")[0]
        one = {"action": action, "presentation": shown.token, "key": action, "note": "n"}
        more = {"label": label.pk, "complete": label.facet_id, "reason": "Other"}
        hand.send(desk, action, **one, **more)
    hand.send(desk, "undo", action="undo")
    hand.client.get(desk)
    shown = model("Presentation").objects.filter(outcome="open").order_by("-id")[0]
    hand.look(f"{desk}{shown.token}/")
    hand.send("/annotate/fixed/guideline/2/")
    ann = model("Annotator").objects.get(library__slug="fixed", name="ann")
    cut = {"annotator": ann.pk, "scope": f"label:{label.pk}", "day": "2025-03-01"}
    hand.send("/consistency/fixed/cuts/", **cut, reason="a talk")
    number = model("EraCut").objects.get().pk
    hand.look("/consistency/fixed/", "consistency with a cut")
    hand.send(f"/consistency/fixed/cuts/{number}/")
    inside.work("consistency")


def _manage(hand: Hand) -> None:
    """Guidelines, settings and members."""
    draft = "/guidelines/fixed/draft/"
    hand.send(draft, "save", action="save", text="Third")
    hand.send(draft, "publish", action="publish", text="Third version")
    hand.send("/guidelines/fixed/3/read/")
    known = {
        "name": "Fixed", "retrain_after": 0, "network": "pooled-numpy",
        "shows_suggestions": "on",
        "serve_audit_share": 0.12, "overlap_share": 0.08, "repeat_share": 0.04,
        "explore_share": 0.1, "overlap_answers": 2, "repeat_min_days": 30, "lease_minutes": 10,
    }  # fmt: skip
    hand.send("/settings/fixed/", **known)
    members = "/settings/fixed/members/"
    get_user_model().objects.create_user("zoe")
    hand.send(members, name="zoe", role="annotator")
    member = model("Membership").objects.get(user__username="zoe", library__slug="fixed")
    hand.send(f"{members}{member.pk}/", "role", role="curator")
    hand.send(f"{members}{member.pk}/", "remove", action="remove")


def _train(hand: Hand) -> None:
    """Snapshots, models and jobs."""
    asked = {"criteria": "all", "negatives": "closed", "others": "keep", "min_support": 2}
    asked |= {"top_labels": 0, "sources": ["imported"], "annotators": ["catalogue"]}
    hand.send("/snapshots/fixed/", "preview", **asked, action="preview")
    hand.send("/snapshots/fixed/", "take", **asked, action="take")
    inside.work("snapshot")
    hand.send("/models/fixed/2/use/", why="to try it")
    inside.work("predict", "rank")
    hand.send("/models/fixed/train/", network="pooled-numpy")
    training = model("Job").objects.get(kind="train", state="queued")
    hand.look("/jobs/fixed/", "jobs with one that waits")
    hand.send(f"/jobs/fixed/{training.pk}/cancel/")
    hand.look("/jobs/fixed/", "jobs with one that was cancelled")
    hand.send(f"/jobs/fixed/{training.pk}/retry/")
    model("Job").objects.filter(kind="train", state="queued").update(state="cancelled")
    hand.send("/models/fixed/recipes/seed-2019/train/")
    model("Job").objects.filter(kind="train", state="queued").update(state="cancelled")
    hand.send("/models/fixed/criteria/")
    model("Job").objects.filter(kind="compare", state="queued").update(state="cancelled")
