"""The structure of the code: small packages, public modules, open imports, unique names."""

from __future__ import annotations

import ast
import importlib
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = ("audiotag_site", "labeling", "ml", "workers")
MOST_MODULES = 16
#: Libraries that cost so much to import that only the function that needs them does so.
HEAVY = {"tensorflow", "keras", "soxr", "soundfile", "sklearn", "threadpoolctl", "matplotlib"}
#: Other imports inside functions, and why.
HIDDEN = {
    ("manage.py", "django.core.management"): "Django's own template: a clear error without it",
    ("ml/audio/child.py", "ml.audio"): "limits of the child are set before a decoder is loaded",
    ("labeling/loop/upkeep/backup.py", "django.db.migrations.executor"): "needs all apps",
    ("workers/management/commands/report.py", "ml.evaluation.charts"): "loads matplotlib",
}
#: Public names that two modules define, and why.
SAME_NAMES = {
    "Command": "Django finds a command by this name",
    "main": "an entry point of a process",
    "import_catalogue": "the task is named after the stage that it runs",
    "undo_import": "the task is named after the stage that it runs",
    "take_snapshot": "the task is named after the stage that it runs",
}


def tracked(*patterns: str) -> list[str]:
    done = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in done.stdout.split() if (ROOT / name).is_file()]


def product_files() -> list[str]:
    return [
        name
        for name in tracked("*.py")
        if name.split("/")[0] in (*PRODUCT, "manage.py") and "/migrations/" not in name
    ]


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph(*PRODUCT)


def test_no_folder_holds_more_modules_than_one_can_survey():
    sizes = Counter(
        str(Path(name).parent) for name in tracked("*.py") if Path(name).name != "__init__.py"
    )
    del sizes["labeling/migrations"]
    assert {folder: n for folder, n in sizes.items() if n > MOST_MODULES} == {}


def packages_with_public_modules(graph) -> dict[str, list[str]]:
    found = {}
    for name in graph.modules:
        if graph.find_children(name):
            package = importlib.import_module(name)
            if hasattr(package, "__all__") and name != "labeling.models":
                found[name] = list(package.__all__)
    return found


def test_packages_say_what_they_are_and_name_modules_that_exist(graph):
    found = packages_with_public_modules(graph)
    assert len(found) > 20
    for name, public in found.items():
        children = {child.rsplit(".", 1)[1] for child in graph.find_children(name)}
        assert set(public) <= children | set(vars(importlib.import_module(name))), name
        assert (importlib.import_module(name).__doc__ or "").strip(), name


def test_modules_that_a_package_does_not_name_are_private(graph):
    public = packages_with_public_modules(graph)
    wrong = []
    for module in graph.modules:
        for used in graph.find_modules_directly_imported_by(module):
            package, _, name = used.rpartition(".")
            is_inside = f"{module}.".startswith(f"{package}.")
            if package in public and not is_inside and name not in public[package]:
                wrong.append(f"{module} imports {used}")
    assert wrong == []


def imports_in(function: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(function):
        if isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names


def test_only_heavy_libraries_are_imported_inside_functions():
    hidden = set()
    for name in product_files():
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                hidden |= {(name, one) for one in imports_in(node)}
    light = {pair for pair in hidden if pair[1].split(".")[0] not in HEAVY}
    assert light == set(HIDDEN)


def test_a_public_name_has_one_meaning():
    places = defaultdict(set)
    for name in product_files():
        for node in ast.parse((ROOT / name).read_text()).body:
            is_definition = isinstance(node, ast.FunctionDef | ast.ClassDef)
            if is_definition and not node.name.startswith("_"):
                places[node.name].add(name)
    twice = {name: sorted(files) for name, files in places.items() if len(files) > 1}
    assert {name: twice[name] for name in twice if name not in SAME_NAMES} == {}
    assert set(SAME_NAMES) <= set(twice)
