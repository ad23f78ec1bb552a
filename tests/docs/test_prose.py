"""The prose of the product is plain English, in the words of docs/glossary.md.

`prose_rules.toml` holds the rules, each with sentences that it must refuse and sentences that
it must let pass; `python -m tests.docs.prose [PATH ...]` lists what is found.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs import prose

ROOT = Path(__file__).resolve().parents[2]
RULES = prose.read_rules()
REFUSED = [(rule, text) for rule in RULES for text in rule.refused]
PASSES = [(rule, text) for rule in RULES for text in rule.passes]


def named(case):
    return case.name if isinstance(case, prose.Rule) else None


@pytest.mark.parametrize(("rule", "text"), REFUSED, ids=named)
def test_a_rule_refuses_the_old_sense(rule, text):
    assert list(rule.matches(text))


@pytest.mark.parametrize(("rule", "text"), PASSES, ids=named)
def test_a_rule_leaves_plain_english_alone(rule, text):
    assert not list(rule.matches(text))


def read(tmp_path, name, text):
    """Return the prose of a file of this name and text: (line, kind, text without edges)."""
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    marks = re.compile(f"[{prose.EDGE}{prose.VALUE}]")
    return [
        (one.line, one.kind, " ".join(marks.sub(" ", one.text).split()))
        for one in prose.pieces_of(path, name)
    ]


PYTHON = '''"""About frozen things."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Walk:  # an order
    """A class, of `code`."""

    turn = "next"
    # One comment
    # on two lines.
    text = f"the walk of {turn} goes on"
    query = "SELECT frozen FROM walks"
'''


def test_python_identifiers_and_queries_are_not_prose(tmp_path):
    assert sorted(read(tmp_path, "one.py", PYTHON)) == [
        (1, "docstring", "About frozen things."),
        (7, "comment", "an order"),
        (8, "docstring", "A class, of ."),
        (11, "comment", "One comment on two lines."),
        (13, "string", "the walk of goes on"),
    ]


def test_strings_of_tests_and_migrations_are_not_prose(tmp_path):
    for folder in ("tests", "labeling/migrations"):
        kinds = {kind for _, kind, _ in read(tmp_path, f"{folder}/one.py", PYTHON)}
        assert kinds == {"docstring", "comment"}


def test_texts_and_titles_of_a_page_are_prose(tmp_path):
    page = (
        '{% extends "base.html" %}\n<td class="in use" title="Put it away">Labels</td>\n'
        "{# Why so. #}<p>{{ model.frozen }} is <b>the</b> best\n{% if cut %}one{% endif %}</p>"
        '{% include "a.html" with text="Said in words" %}'
    )
    assert read(tmp_path, "one.html", page) == [
        (1, "page", "Put it away Labels Why so. is the best one Said in words")
    ]


def test_no_sentence_crosses_the_edge_of_a_cell(tmp_path):
    path = tmp_path / "one.html"
    path.write_text("<td>The model</td><td>in use by nobody</td>\n<p>It waits by\nitself.</p>")
    found = list(prose.check(path, "one.html", RULES))
    assert [(one.line, one.rule, one.found) for one in found] == [(2, "by itself", "by itself")]


def test_code_and_addresses_in_a_document_are_not_prose(tmp_path):
    text = "# A title\n\n[This](the-walk.md), `the walk`.\n```\nthe walk\n```\n- A *point*.\n"
    assert read(tmp_path, "one.md", text) == [(1, "page", "A title This, . A point.")]


def test_comments_and_sentences_of_a_script_are_prose(tmp_path):
    text = "let a = 1;\n// A comment\n// of two lines.\nsay(`It is ${a} now`); /* Why. */\n"
    assert sorted(read(tmp_path, "one.js", text)) == [
        (2, "comment", "A comment of two lines."),
        (4, "comment", "Why."),
        (4, "string", "It is now"),
    ]


def test_comments_of_configuration_are_prose(tmp_path):
    assert read(tmp_path, "one.yml", "# Why so.\nkey: the walk # by hand\n") == [
        (1, "comment", "Why so. by hand")
    ]


def test_every_exception_has_a_reason():
    tables = tomllib.loads(prose.RULES.read_text())
    for rule in tables["rule"]:
        assert all(len(one["reason"]) > 4 for one in rule["exceptions"]), rule["name"]
    assert all(len(one["reason"]) > 4 for one in tables["stored"])


def test_every_stored_text_is_still_in_the_product():
    sources = [path for path in prose.tracked(["labeling", "ml"], ROOT) if path.suffix == ".py"]
    strings = [
        " ".join(piece.text.split())
        for path in sources
        for piece in prose.pieces_of(path, path.name)
        if piece.kind == "string"
    ]
    for one in tomllib.loads(prose.RULES.read_text())["stored"]:
        assert any(one["text"] in text for text in strings), one["text"]


def folders():
    """List the folders and files at the top of the repository that git tracks."""
    return sorted({path.relative_to(ROOT).parts[0] for path in prose.tracked(["."], ROOT)})


@pytest.mark.parametrize("top", folders())
def test_the_prose_follows_the_style_guide(top):
    found = prose.find([top], ROOT)
    if found:
        listed = "\n".join(str(one) for one in found)
        pytest.fail(f"rewrite these {len(found)} places:\n{listed}", pytrace=False)
