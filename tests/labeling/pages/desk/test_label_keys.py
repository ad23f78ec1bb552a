"""Keys on labels: guessable, never doubled, never one of the page's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.errors import BadInput
from labeling.views.desk.label_keys import DIGITS, LETTERS, RESERVED, assign_keys, check_hotkey

ROOT = Path(__file__).resolve().parents[4]
SCRIPT = ROOT / "labeling/static/labeling/annotate/keyboard.js"
ROW = re.compile(r'\{ key: "(.+?)", shown: "(.+?)", action: "(\w+)", help: "(.+?)" \}')


@dataclass
class Row:
    name: str
    hotkey: str = ""


def keys(*names: str) -> list[str]:
    return assign_keys([Row(name) for name in names])


def test_the_first_letter_then_another_one_then_a_digit():
    assert keys("Ambient", "Arabic", "Aaa") == ["a", "r", "1"]


def test_initials_come_before_other_letters():
    assert keys("Rock", "Rock Pop") == ["r", "p"]


def test_a_hotkey_of_its_own_wins():
    assert assign_keys([Row("Ambient"), Row("Zydeco", hotkey="A")]) == ["m", "a"]


def test_a_reserved_or_doubled_hotkey_is_not_used():
    assert assign_keys([Row("Bebop", hotkey="s"), Row("Cool", hotkey="b")]) == ["e", "b"]


def test_names_without_latin_letters_get_digits():
    assert keys("Шансон", "演歌") == ["1", "2"]


def test_more_labels_than_single_strokes_use_the_prefix():
    found = keys(*[f"Label {n}" for n in range(60)])
    assert len(set(found)) == 60
    assert sum(len(key) == 1 for key in found) == 31
    assert all(key[0] == "." for key in found if len(key) == 2)


def test_what_is_left_over_is_reached_by_the_filter_alone():
    assert keys(*["x"] * 70)[62:] == [""] * 8


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=1)), max_size=80))
def test_no_key_is_given_twice_or_taken_from_the_page(rows):
    found = assign_keys([Row(name, hotkey) for name, hotkey in rows])
    given_out = [key for key in found if key]
    assert len(set(given_out)) == len(given_out) == min(len(rows), 62)
    assert all(key[-1] in LETTERS + DIGITS for key in given_out)


def test_reserved_letters_are_those_of_the_script():
    letters = {key for key, *_ in ROW.findall(SCRIPT.read_text()) if re.fullmatch("[a-z]", key)}
    assert letters == RESERVED


def test_the_page_on_keys_lists_what_the_script_does():
    described = (ROOT / "docs/keyboard.md").read_text()
    rows = ROW.findall(SCRIPT.read_text())
    assert len(rows) == SCRIPT.read_text().count("{ key: ")
    listed = re.findall(r"^\| `(.+?)` \| (.+?) \|$", described, re.MULTILINE)
    labels = re.findall(r'\{ shown: "(.+?)", help: "(.+?)" \}', SCRIPT.read_text())
    assert listed == [*labels, *[(shown, text) for _, shown, _, text in rows]]


@pytest.mark.parametrize("hotkey", sorted(RESERVED | {"L", "é", "?", "ab"}))
def test_a_key_that_the_page_would_not_hear_is_refused(hotkey):
    with pytest.raises(BadInput, match=r"L, N, S, U and X|one letter or digit"):
        check_hotkey(hotkey)


@pytest.mark.parametrize("hotkey", ["", "a", "Z", "0"])
def test_other_keys_are_free(hotkey):
    check_hotkey(hotkey)
