"""Comparison of names: one spelling rule for labels, annotators, facets and keys."""

from __future__ import annotations

import re
import unicodedata

#: Characters that nobody sees: Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties),
#: interlinear marks, and control characters other than blanks.
_INVISIBLE = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_HIDDEN = re.compile(f"[{_INVISIBLE}]+")
#: Scripts whose letters join: there a joiner changes what people see. Emoji join as well.
_JOINING = (
    "\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\ua840-\ua8ff\ufb50-\ufdff"
    "\ufe70-\ufefc\U00011000-\U00011fff\u2190-\u2bff\U0001f000-\U0001faff"
)
#: What is dropped from a stored name: everything invisible, but not a joiner where it is seen.
_DROPPED = re.compile(rf"(?<=[{_JOINING}])([\u200c\u200d])(?=[{_JOINING}])|[{_INVISIBLE}]")


def _visible(text: str) -> str:
    """Return the text without invisible characters, but with the joiners that are seen."""
    if text.isascii() and text.isprintable():
        return text
    # Emoji have a variation selector before the joiner; it goes first.
    return _DROPPED.sub(r"\1", re.sub("[\ufe00-\ufe0f]", "", text))


def tidy_name(name: str) -> str:
    """Return the stored form of a name: NFC, blanks collapsed, nothing invisible in it.

    A joiner (U+200C, U+200D) stays between letters of scripts that need it, as in Persian.
    """
    if not name.isascii() or not name.isprintable():
        name = unicodedata.normalize("NFC", _visible(name))
    return " ".join(name.split())


def name_key(name: str) -> str:
    """Return the comparison form of a name (NFKC, casefolded, blanks collapsed).

    It has no invisible characters, not even joiners: people type the same word with and
    without them, and a name that differs in nothing else is the same name.
    """
    if not name.isascii():
        name = unicodedata.normalize("NFKC", _HIDDEN.sub("", name))
    elif not name.isprintable():
        name = _HIDDEN.sub("", name)
    return " ".join(name.casefold().split())


def track_key(path: str) -> str:
    """Return the stored form of a file name: NFC, forward slashes, no empty steps.

    `sub//b.mp3`, `./sub/b.mp3` and `sub/./b.mp3` are one file; a path from the root stays one.
    Invisible characters are left out; the file is found under its real name all the same.
    """
    key = unicodedata.normalize("NFC", _visible(path).strip()).replace("\\", "/")
    steps = [step for step in key.split("/") if step not in ("", ".")]
    return ("/" if key.startswith("/") else "") + "/".join(steps)
