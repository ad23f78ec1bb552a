"""One spelling rule: what nobody sees makes no other name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.names import name_key, tidy_name, track_key

INVISIBLE = (
    "\u200b\ufeff\u200e\u200f\u061c\u00ad\u2060\u2061\u2066\u2069\u202a\u202e\u034f\u115f\u3164"
    "\uffa0\u180e\u180b\ufe00\ufe0f\ufff9\x01\x07\x7f\x80\U000e0001\U000e0041\U000e0101"
    "\u200c\u200d"
)


@pytest.mark.parametrize("char", INVISIBLE)
@pytest.mark.parametrize("name", ["{}Rock", "Ro{}ck", "Rock{}", "{0}R{0}o{0}ck{0}"])
def test_an_invisible_character_makes_no_other_name(name, char):
    written = name.format(char)
    assert (name_key(written), tidy_name(written)) == ("rock", "Rock")
    assert track_key(f"a/{written}.mp3") == "a/Rock.mp3"


@pytest.mark.parametrize(
    "name",
    ["می\u200cخواهم", "ක\u0dca\u200dෂ", "क\u094d\u200cष", "👩\u200d🎤", "❤\u200d🔥"],
)
def test_a_joiner_that_is_seen_is_stored_and_is_no_other_name(name):
    assert tidy_name(name) == name
    assert name_key(name) == name_key(name.replace("\u200c", "").replace("\u200d", ""))


def test_accents_join_again_where_something_invisible_was_between():
    assert tidy_name("Cafe\u034f\u0301") == "Café"
    assert name_key("Cafe\u200b\u0301") == name_key("Café")


@pytest.mark.parametrize("name", ["\u200b", "\u3164\ufeff", "\x01 \x7f", "\u00ad"])
def test_a_name_of_nothing_visible_is_no_name(name):
    assert (name_key(name), tidy_name(name), track_key(name)) == ("", "", "")


@given(st.text(max_size=20))
def test_stored_names_and_keys_do_not_change_again(text):
    assert tidy_name(tidy_name(text)) == tidy_name(text)
    assert name_key(tidy_name(text)) == name_key(text)
    assert track_key(track_key(text)) == track_key(text)
