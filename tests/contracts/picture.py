"""Build the picture of everything that is used from outside, in a process of its own.

`python -m tests.contracts.picture FOLDER` writes one JSON file a kind into the folder. Data
folder and database are new and are removed at the end; the settings are those of the program.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.contracts.shapes import as_text


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

    from tests.contracts import commands, deeds, inside, stored, surroundings, tour, web

    (work / "work").mkdir()
    run = commands.Runner(work / "work")
    found: dict[str, Any] = {}

    def step(name: str, do: Callable[..., Any], *arguments: Any) -> Any:
        start = time.perf_counter()
        found[name] = do(*arguments)
        print(f"{name}: {time.perf_counter() - start:.1f} s", file=sys.stderr)
        return found[name]

    login = step("import", tour.import_shop, run)
    step("shop", stored.hashes_of_shop)
    step("round", tour.round_of_fixed, run)
    step("rest", tour.rest_of_the_loop, run)
    step("fixed", stored.hashes_of_fixed)
    tokens = step("people", tour.people)
    step("pages", web.pages, login["user"], login["password"])
    step("roles", web.roles, tokens)
    step("interface", web.interface, login["token"])
    step("deeds", deeds.deeds, login["user"], login["password"])
    step("experiments", tour.experiments, run)
    step("waiting", tour.background, run)
    step("json_columns", stored.json_columns)
    step("codes", stored.codes)
    step("files", stored.files)
    step("job_keys", stored.job_keys)
    step("label_sets", stored.label_sets)
    step("drift_verdicts", stored.drift_verdicts)
    step("messages", stored.messages)
    step("missing", commands.without_library)
    step("bad", commands.with_bad_input)
    step("background", surroundings.background)
    step("upkeep", tour.upkeep, run)
    return {
        "openapi": web.openapi(),
        "options": commands.options(),
        "commands": {
            "answers": run.answers,
            "files": run.files,
            "names": run.names,
            "without the library": found["missing"],
            "with bad input": found["bad"],
        },
        "csv": run.headers,
        "addresses": web.addresses(),
        "environment": surroundings.environment(),
        "background": found["background"] | {"messages": found["messages"]},
        "configurations": inside.configurations(),
        "hashes": {
            "fixed": found["fixed"],
            "shop": found["shop"],
            "jobs": found["job_keys"],
            "label sets": found["label_sets"],
            "evaluation record": stored.evaluation_record(),
        },
        "tables": stored.tables(),
        "stored": {
            "choices": stored.choices(),
            "codes": found["codes"] | {"verdicts on drift": found["drift_verdicts"]},
            "json": found["json_columns"],
        },
        "interface": found["interface"],
        "pages": found["pages"],
        "deeds": found["deeds"],
        "roles": found["roles"],
        "files": found["files"],
    }


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
        (folder / f"{kind}.json").write_text(as_text(picture) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
