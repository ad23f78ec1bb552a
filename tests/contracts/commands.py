"""The commands: their options, what `--json` answers, how they end."""

from __future__ import annotations

import csv
import io
import json
from argparse import Action, _MutuallyExclusiveGroup
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import (
    BaseCommand,
    CommandError,
    call_command,
    get_commands,
    load_command_class,
)

from tests.contracts.shapes import anonymous, shape


def own_commands() -> dict[str, BaseCommand]:
    """Return the commands of the apps that lie in this repository."""
    found = {}
    for name, app in sorted(get_commands().items()):
        if isinstance(app, str) and app in {one.name for one in apps.get_app_configs()}:
            folder = Path(apps.get_app_config(app.rpartition(".")[2]).path)
            if folder.is_relative_to(settings.BASE_DIR) and ".venv" not in folder.parts:
                found[name] = load_command_class(app, name)
    return found


def options() -> dict[str, Any]:
    """Return the options of every command; help texts are not a contract."""
    usual = {action.dest for action in BaseCommand().create_parser("", "")._actions}
    found: dict[str, Any] = {}
    for name, command in own_commands().items():
        parser = command.create_parser("manage.py", name)
        own = [action for action in parser._actions if action.dest not in usual]
        groups = [_names_of(group) for group in parser._mutually_exclusive_groups]
        found[name] = {
            "options": {" ".join(one.option_strings) or one.dest: _told(one) for one in own}
        }
        if groups:
            found[name]["either or"] = groups
    return found


def _names_of(group: _MutuallyExclusiveGroup) -> list[str]:
    return [" ".join(action.option_strings) for action in group._group_actions]


def _told(action: Action) -> str:
    told = {
        "is": type(action).__name__.strip("_").removesuffix("Action"),
        "dest": action.dest,
        "type": getattr(action.type, "__name__", None),
        "nargs": action.nargs,
        "const": action.const,
        "default": action.default,
        "choices": list(action.choices) if action.choices is not None else None,
        "required": action.required or None,
    }
    return ", ".join(f"{name} {value!r}" for name, value in told.items() if value is not None)


class Runner:
    """Runs commands with `--json` and keeps the shape of what they answer."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.answers: dict[str, Any] = {}
        self.files: dict[str, list[str]] = {}
        self.headers: dict[str, list[str]] = {}
        self.names: dict[str, Any] = {}

    def json(self, command: str, *arguments: Any, title: str = "") -> Any:
        """Run a command, keep the shape of its answer under its name or `title`."""
        out = io.StringIO()
        answer = ended(command, *arguments, "--json", out=out)
        found = json.loads(out.getvalue()) if out.getvalue() else None
        self.answers[title or command] = {"ends": answer, "json": shape(found)}
        return found

    def export(self, library: str, form: str, *more: str) -> None:
        """Export, and keep the header."""
        path = self.work / "export.csv"
        title = f"export_annotations --format {' '.join((form, *more))}"
        where = ("--library", library, "--format", form, "--out", path)
        self.json("export_annotations", *where, *more)
        with path.open(newline="", encoding="utf-8-sig") as file:
            self.headers[title] = next(csv.reader(file))

    def wrote(self, title: str, folder: Path) -> None:
        """Keep the names of the files that a command wrote."""
        paths = (path for path in folder.rglob("*") if path.is_file())
        names = {anonymous(path.relative_to(folder).as_posix()) for path in paths}
        self.files[title] = sorted(names)


def ended(command: str, *arguments: Any, out: Any = None) -> str:
    """Run a command and return how it ended."""
    try:
        call_command(
            command, *map(str, arguments), stdout=out or io.StringIO(), stderr=io.StringIO()
        )
    except CommandError as error:
        return f"exit {error.returncode}"
    return "exit 0"


#: What a command needs beside `--library`, so that only the library is missing.
_NEEDS = {
    "export_annotations": ("--format", "long", "--out", "nowhere.csv"),
    "report": ("--model", "1", "--out", "nowhere"),
    "seed_experiment": ("--out", "nowhere"),
    "undo_import": ("1",),
}
#: These make the library that they are asked for.
_MAKES = {"create_user", "import_library"}


def without_library() -> dict[str, str]:
    """Return how every command ends whose library is not there."""
    found = {}
    for name, command in own_commands().items():
        parser = command.create_parser("manage.py", name)
        takes = any(action.dest == "library" for action in parser._actions)
        if takes and name not in _MAKES:
            found[name] = ended(name, "--library", "nowhere", *_NEEDS.get(name, ()))
    return found


#: Input that is refused before anything is written.
_BAD: tuple[tuple[str, ...], ...] = (
    ("backup", "nowhere/b.tar"),
    ("restore", "nowhere.tar"),
    ("create_user", "zoe", "--library", "No Slug", "--role", "curator"),
    ("demo_library", "--tracks", "5"),
    ("study_in_small", "--out", "nowhere", "--parts", "nothing"),
    ("import_library", "nowhere.csv", "--library", "fixed"),
    ("extract_features", "--library", "fixed", "--features", "nothing"),
    ("predict", "--library", "fixed", "--model", "99"),
    ("queue", "--library", "fixed", "--count", "0"),
    ("queue", "--library", "fixed", "--annotator", "nobody"),
    ("report", "--library", "fixed", "--out", "nowhere"),
    ("run_round", "--library", "fixed", "--network", "nothing"),
    ("seed_experiment", "--library", "fixed", "--out", "nowhere", "--recipes", "nothing"),
    ("take_snapshot", "--library", "fixed", "--facet", "nothing"),
    ("take_snapshot", "--library", "fixed", "--negatives", "nothing"),
    ("take_snapshot", "--library", "fixed", "--since", "yesterday"),
    ("train", "--library", "fixed", "--recipe", "nothing"),
    ("train", "--library", "fixed", "--folds", "1"),
    ("compare_networks", "--library", "fixed", "--networks", "nothing"),
)


def with_bad_input() -> dict[str, str]:
    """Return how commands end that are asked for what is not there."""
    return {" ".join(given): ended(*given) for given in _BAD}
