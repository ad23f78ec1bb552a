"""docs/recipes.md lists every parameter of every recipe with the value it has."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

from ml.training.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[2]
OF_NETWORK = {"epochs", "batch_size", "learning_rate"}


def table():
    text = (ROOT / "docs" / "recipes.md").read_text()
    part = text.split("## Every parameter")[1].split("### ")[0]
    rows = [
        [cell.strip() for cell in row.split("|")[1:-1]]
        for row in part.splitlines()
        if row.startswith("|")
    ]
    header, _, *body = rows
    recipes = [re.sub("`", "", cell) for cell in header[1:]]
    return {row[0]: dict(zip(recipes, row[1:], strict=True)) for row in body}


def shown(name, value):
    if name in OF_NETWORK and not value:
        return "-"
    return "every" if name == "facet" and not value else str(value)


def expected(found):
    values = {**asdict(found.training), **asdict(found.selection)}
    options = dict(values.pop("options"))
    rows = {name: shown(name, value) for name, value in values.items()}
    return rows | {f"option {name}": str(value) for name, value in options.items()}


def test_the_table_has_every_parameter_of_every_recipe():
    rows = table()
    for name, found in RECIPES.items():
        wanted = expected(found)
        column = {parameter: cells[name] for parameter, cells in rows.items()}
        assert {key: column.get(key) for key in wanted} == wanted
        rest = {key: cell for key, cell in column.items() if key not in wanted}
        assert set(rest.values()) <= {"-"}


def test_every_recipe_is_introduced():
    text = (ROOT / "docs" / "recipes.md").read_text().split("## ")[0]
    for name in RECIPES:
        assert f"| `{name}` |" in text
