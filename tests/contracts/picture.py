"""Build the picture of everything that is used from outside, in a process of its own.

`python -m tests.contracts.picture FOLDER` writes one JSON file a kind into the folder. Data
folder and database are new and are removed at the end; the settings are those of the program.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def own_database() -> Iterator[None]:
    """Make a database beside the one that the environment names, if that is PostgreSQL."""
    url = os.environ.get("AUDIOTAG_DATABASE_URL", "")
    if not url.startswith("postgres"):
        os.environ.pop("AUDIOTAG_DATABASE_URL", None)
        yield
        return
    import psycopg2

    name = f"audiotag_contracts_{os.getpid()}"
    server = psycopg2.connect(url)
    server.autocommit = True
    with server.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    os.environ["AUDIOTAG_DATABASE_URL"] = f"{url.rpartition('/')[0]}/{name}"
    try:
        yield
    finally:
        from django.db import connections

        connections.close_all()
        with server.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
        server.close()


def build(work: Path) -> dict[str, Any]:
    """Return kind -> picture; everything that is written lies below `work`."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)

    from tests.contracts import commands, inside, stored, surroundings, tour, web

    (work / "work").mkdir()
    run = commands.Runner(work / "work")
    steps: dict[str, Any] = {}

    def step(name: str, do: Any, *arguments: Any) -> Any:
        start = time.perf_counter()
        steps[name] = do(*arguments)
        print(f"{name}: {time.perf_counter() - start:.1f} s", file=sys.stderr)
        return steps[name]

    login = step("import", tour.import_shop, run)
    step("shop", stored.hashes_of_shop)
    step("round", tour.round_of_fixed, run)
    step("fixed", stored.hashes_of_fixed)
    step("rest", tour.rest_of_the_loop, run)
    step("later", stored.hashes_of_fixed)
    for annotator in ("mia",):
        _join(annotator)
    step("pages", web.pages, login["user"], login["password"])
    step("interface", web.interface, login["token"])
    step("experiments", tour.experiments, run)
    step("columns", stored.json_columns)
    step("codes", stored.codes)
    step("files", stored.files)
    step("missing", commands.without_library)
    step("background", surroundings.background)
    step("upkeep", tour.upkeep, run)
    return {
        "openapi": web.openapi(),
        "options": commands.options(),
        "commands": {
            "answers": run.answers,
            "files": run.files,
            "without the library": steps["missing"],
        },
        "csv": run.headers,
        "addresses": web.addresses(),
        "environment": surroundings.environment(),
        "background": steps["background"],
        "configurations": inside.configurations(),
        "hashes": {
            "fixed": steps["later"],
            "shop": steps["shop"],
            "evaluation record": stored.evaluation_record(),
        },
        "tables": stored.tables(),
        "stored": {
            "choices": stored.choices(),
            "codes": steps["codes"],
            "json": steps["columns"],
        },
        "interface": steps["interface"],
        "pages": steps["pages"],
        "files": steps["files"],
    }


def _join(name: str) -> None:
    """Make the manager of the shop a manager of the fixed library too."""
    from tests.contracts.commands import ended

    assert ended("create_user", name, "--library", "fixed", "--role", "manager") == "exit 0"


def write(folder: Path) -> None:
    """Write the picture into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in [name for name in os.environ if name.startswith("AUDIOTAG_")]:
        if name != "AUDIOTAG_DATABASE_URL":
            del os.environ[name]
    os.environ["DJANGO_SETTINGS_MODULE"] = "audiotag_site.settings"
    os.environ |= {"AUDIOTAG_MEMBERS": "1", "AUDIOTAG_AUDIO_PROCESSES": "1"}
    with tempfile.TemporaryDirectory(prefix="audiotag-contracts-") as name:
        work = Path(name).resolve()
        os.environ["AUDIOTAG_DATA"] = str(work / "data")
        with own_database():
            found = build(work)
    for kind, picture in found.items():
        text = json.dumps(picture, indent=1, sort_keys=True, ensure_ascii=False)
        (folder / f"{kind}.json").write_text(text + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
