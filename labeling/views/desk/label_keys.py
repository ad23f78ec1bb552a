"""Keys of the labels, chosen on the server so that page and form agree.

Within a facet every label gets one stroke, or a full stop and one stroke. A label's own hotkey
comes first, then the letters of its name, so that keys can be guessed; then what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from labeling.errors import BadInput

#: Letters that act on the page as a whole; tests compare them with keyboard.js.
RESERVED = frozenset("lnsux")
LETTERS = "".join(c for c in "abcdefghijklmnopqrstuvwxyz" if c not in RESERVED)
DIGITS = "1234567890"
PREFIX = "."


class Named(Protocol):
    """A label, as far as choosing its key needs it."""

    name: str
    hotkey: str


def reserved_in_words() -> str:
    """Return the letters that no label gets, for people."""
    *first, last = sorted(letter.upper() for letter in RESERVED)
    return f"{', '.join(first)} and {last}"


def check_hotkey(hotkey: str) -> None:
    """Refuse a key that the annotation page would not listen to."""
    if hotkey.lower() in RESERVED:
        raise BadInput(
            f"the key {hotkey.upper()} acts on the annotation page itself, as "
            f"{reserved_in_words()} do: choose another one"
        )
    if hotkey and hotkey.lower() not in [*LETTERS, *DIGITS]:
        raise BadInput("a key is one letter or digit of A to Z and 0 to 9, or nothing")


def assign_keys(labels: Sequence[Named]) -> list[str]:
    """Return a key for each label, in order; empty for those that only the filter reaches.

    1. Give hotkeys to those that have one of their own.
    2. Give the others a free letter of their name, else any free letter or digit.
    3. When single strokes run out, go on in the same way behind the prefix.
    """
    keys = [""] * len(labels)
    taken: set[str] = set()
    for index, label in enumerate(labels):
        hotkey = label.hotkey.lower()
        if hotkey in (LETTERS + DIGITS) and hotkey and hotkey not in taken:
            keys[index] = hotkey
            taken.add(hotkey)
    for prefix in ("", PREFIX):
        waiting = [index for index, key in enumerate(keys) if not key]
        _assign(labels, keys, taken, prefix, waiting)
    return keys


def _assign(
    labels: Sequence[Named], keys: list[str], taken: set[str], prefix: str, waiting: list[int]
) -> None:
    free = len(LETTERS + DIGITS) - sum(len(key) == len(prefix) + 1 for key in taken)
    for index in waiting[:free]:
        wanted = (prefix + stroke for stroke in _wishes(labels[index].name))
        keys[index] = next(key for key in wanted if key not in taken)
        taken.add(keys[index])


def _wishes(name: str) -> Iterator[str]:
    """Yield strokes for a name, the best first: initials, its letters, digits, the rest."""
    words = "".join(c if c.isalnum() else " " for c in name.lower()).split()
    yield from _known(word[0] for word in words)
    yield from _known(c for word in words for c in word)
    yield from DIGITS
    yield from LETTERS


def _known(strokes: Iterable[str]) -> Iterator[str]:
    return (stroke for stroke in strokes if stroke in LETTERS + DIGITS)
