"""The loop table of ARCHITECTURE.md names modules and tasks that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def loop_table():
    text = (ROOT / "ARCHITECTURE.md").read_text().split("## Who may import whom")[0]
    rows = re.findall(r"^\| (?!stage|---)([^|]+)\|([^|]*)\|([^|]*)\|([^|]*)\|", text, re.M)
    return [row for row in rows if "`" in row[1]]


def quoted(cell):
    return re.findall(r"`([\w/]+)`", cell)


def test_every_module_of_the_loop_exists():
    rows = loop_table()
    assert len(rows) == 8
    for _, database, arithmetic, _ in rows:
        for name in quoted(database):
            assert (ROOT / "labeling/loop" / f"{name}.py").exists(), name
        for name in quoted(arithmetic):
            place = ROOT / "ml" / name
            assert place.with_suffix(".py").exists() or place.is_dir(), name


def test_every_task_of_the_loop_exists():
    tasks = (ROOT / "workers/tasks.py").read_text()
    for _, _, _, named in loop_table():
        for name in quoted(named):
            assert f"def {name}(" in tasks, name


def test_links_of_the_front_documents_lead_somewhere():
    for name in ("README.md", "ARCHITECTURE.md"):
        text = (ROOT / name).read_text()
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (ROOT / target).exists(), f"{name}: {target}"
