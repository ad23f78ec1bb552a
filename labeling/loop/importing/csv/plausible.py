"""Plausible text: what tells a right encoding from a wrong one."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

_TYPOGRAPHIC = frozenset("’‘‚“”„–—…«»‹›·•°ºª´`¡¿§©®™№、。・「」『』（）！？：，～ー々 ")
_WORD = re.compile(r"[^\W\d_]{2,}")


def is_plausible(text: str) -> bool:
    """Say whether nearly all characters beyond ASCII are letters where letters stand.

    A wrong encoding gives symbols within words, and capitals after small letters.
    """
    others = [char for char in text if not char.isascii()]
    if not others:
        return False
    strange = sum(not _is_in_words(char) for char in others)
    for word in _WORD.findall(text):
        strange += sum(
            before.islower() and after.isupper() and not after.isascii()
            for before, after in pairwise(word)
        )
    return strange <= 0.1 * len(others)


def mixes_scripts(text: str) -> bool:
    """Say whether a word has Latin and other letters, as bytes have that are not UTF-8.

    "L’École" in MacRoman is such a case: two of its bytes are an Armenian letter in UTF-8.
    """
    return any(
        not word.isascii()
        and len({unicodedata.name(char, "").startswith("LATIN") for char in word}) > 1
        for word in _WORD.findall(text)
    )


def _is_in_words(char: str) -> bool:
    """Say whether a character is a letter, a mark on one, a digit or common punctuation."""
    return char.isalnum() or char in _TYPOGRAPHIC or unicodedata.category(char)[0] == "M"
