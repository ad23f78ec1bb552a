"""The prose of the product is plain English, in the words of docs/glossary.md.

`prose_rules.toml` holds the rules, each with sentences that it must refuse and sentences that it
must let pass; `python -m tests.docs.prose [PATH ...]` lists what is found.
"""

from __future__ import annotations

import re
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
