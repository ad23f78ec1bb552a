"""Settings and background work."""

from __future__ import annotations

import ast
import importlib
import os
import re
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings

from tests.contracts import inside

_NAME = re.compile(r"AUDIOTAG_[A-Z_]*[A-Z]")


def environment() -> dict[str, Any]:
    """Return the settings that are read from the environment, and their defaults."""
    module = importlib.import_module(os.environ["DJANGO_SETTINGS_MODULE"])
    source = Path(str(module.__file__))
    root = Path(settings.BASE_DIR)
    own = [Path(app.path) for app in apps.get_app_configs()]
    folders = {path for path in own if path.parent == root} | {source.parent}
    files = [file for folder in folders for file in folder.rglob("*.py")]
    texts = (file.read_text() for file in (*files, root / "manage.py"))
    return {
        "read": dict(sorted(_reads(ast.parse(source.read_text())))),
        "named anywhere": sorted({name for text in texts for name in _NAME.findall(text)}),
        "kept by browsers": _kept_by_browsers(),
        "of Django": {
            name: getattr(settings, name)
            for name in (
                "SESSION_COOKIE_NAME", "SESSION_COOKIE_AGE", "CSRF_COOKIE_NAME", "LOGIN_URL",
                "STATIC_URL", "AXES_FAILURE_LIMIT",
            )
        },
    }  # fmt: skip


def _kept_by_browsers() -> list[str]:
    """Return the names under which pages keep something in a browser."""
    folders = [Path(app.path) / "static" for app in apps.get_app_configs()]
    own = [folder for folder in folders if folder.is_relative_to(settings.BASE_DIR)]
    texts = [file.read_text() for folder in own for file in folder.rglob("*.js")]
    pattern = re.compile(r"""["'`](audiotag/[\w/-]*|theme(?==))""")
    return sorted({name for text in texts for name in pattern.findall(text)})


def _reads(tree: ast.Module) -> list[tuple[str, str]]:
    """Return `env.kind("NAME", default)` as name -> kind and default."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if ast.unparse(node.func.value) == "env" and node.args:
            first, *rest = node.args
            rest += [keyword.value for keyword in node.keywords if keyword.arg == "default"]
            if isinstance(first, ast.Constant) and str(first.value).startswith("AUDIOTAG_"):
                default = ast.unparse(rest[0]) if rest else "none"
                found.append((str(first.value), f"{node.func.attr}, default {default}"))
    return found


def background() -> dict[str, Any]:
    """Return the tasks, their queues, and the schedule that comes with the program."""
    from audiotag_site.celery import app

    app.loader.import_default_modules()
    inside.default_schedule()
    tasks = {
        name: getattr(task, "queue", None) or "that of the message"
        for name, task in sorted(app.tasks.items())
        if not name.startswith("celery.")
    }
    rows = apps.get_model("django_celery_beat", "PeriodicTask").objects.all()
    return {
        "application": app.main,
        "default queue": app.conf.task_default_queue,
        "tasks": tasks,
        **inside.broker(),
        "schedule": {
            one.name: [one.task, one.queue, " ".join(str(one.schedule).split()), one.enabled]
            for one in rows
            if one.name != "celery.backend_cleanup"
        },
    }
