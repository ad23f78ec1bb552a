"""Plausible text: what tells a right encoding from a wrong one."""

from __future__ import annotations

import re
import unicodedata

#: Marks that stand next to letters in names.
_TYPOGRAPHIC = frozenset("’‘‚“”„–—…«»‹›·•°ºª´`¡¿©®™№、。・「」『』（）！？：，～ー々\u3000\xa0")
_WORD = re.compile(r"[^\W\d_]{2,}")
#: A symbol that is part of a word.
_SYMBOL = re.compile(r"(?<=[^\W\d_])[^\w\s\x00-\x7f]|[^\w\s\x00-\x7f](?=[^\W\d_])")


def is_plausible(text: str) -> bool:
    """Say whether nearly all characters beyond ASCII are letters where letters stand.

    A wrong encoding gives symbols within words, and capitals among small letters.
    """
    others = [char for char in text if not char.isascii()]
    if not others:
        return False
    strange = sum(not _is_mark(char) for char in _SYMBOL.findall(text))
    strange += sum(unicodedata.category(char) in ("Cc", "Cn", "Co") for char in others)
    strange += sum(_strange_capitals(word) for word in _WORD.findall(text))
    return strange <= 0.1 * len(others)


def _strange_capitals(word: str) -> int:
    """Return the number of capitals beyond ASCII that stand within a word of small letters."""
    if word.isascii() or word.isupper():
        return 0
    return sum(
        char.isupper() and not char.isascii() and (before.islower() or after.islower())
        for before, char, after in zip(word, word[1:], word[2:] + "A", strict=False)
    )


def _is_mark(char: str) -> bool:
    """Say whether a symbol is common punctuation, or a mark on a letter."""
    return char in _TYPOGRAPHIC or unicodedata.category(char)[0] == "M"


def mixes_scripts(text: str) -> bool:
    """Say whether a word has Latin and other letters, as bytes have that are not UTF-8.

    "L’École" in MacRoman is such a case: two of its bytes are an Armenian letter in UTF-8.
    """
    return any(
        not word.isascii()
        and len({unicodedata.name(char, "").startswith("LATIN") for char in word}) > 1
        for word in _WORD.findall(text)
    )
