"""The tables of ARCHITECTURE.md name every module and task once, and nothing that is gone."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Modules of `ml` that belong to no stage: every stage uses them.
SHARED = {"constants", "errors", "files", "types"}


def loop_table() -> list[list[str]]:
    text = (ROOT / "ARCHITECTURE.md").read_text().split("## Who may import whom")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named(column: int) -> list[str]:
    """Return the names of a column, with a name in two rows twice."""
    return [name for row in loop_table() for name in re.findall(r"`(\w+)`", row[column])]


def rooms(folder: str) -> set[str]:
    """Return the packages and modules of a folder."""
    paths = [path for path in (ROOT / folder).iterdir() if not path.name.startswith("_")]
    return {path.stem for path in paths if path.is_dir() or path.suffix == ".py"}


def test_every_room_of_the_loop_is_in_exactly_one_row():
    assert sorted(named(1)) == sorted(rooms("labeling/loop"))


def test_every_stage_of_the_workers_is_in_exactly_one_row():
    assert sorted(named(2)) == sorted(rooms("workers/stages"))


def test_every_package_of_ml_is_in_exactly_one_row():
    assert sorted(named(3)) == sorted(rooms("ml") - SHARED)


def test_every_task_is_in_exactly_one_row():
    tasks = re.findall(r"^def ([a-z]\w+)\(", (ROOT / "workers/tasks.py").read_text(), re.M)
    assert sorted(named(4)) == sorted(tasks)


def test_every_command_that_is_named_exists():
    commands = {
        path.stem
        for app in ("labeling", "workers")
        for path in (ROOT / app / "management/commands").glob("[a-z]*.py")
    }
    assert set(named(5)) <= commands


def test_every_file_that_is_named_exists():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for name in re.findall(r"`((?:labeling|ml|workers|audiotag_site|docs)/[\w/.]+)`", text):
        assert (ROOT / name).exists(), name


def test_links_of_the_front_documents_lead_somewhere():
    for name in ("README.md", "ARCHITECTURE.md"):
        text = (ROOT / name).read_text()
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (ROOT / target).exists(), f"{name}: {target}"
