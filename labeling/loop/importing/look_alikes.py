"""Look-alikes: names that look the same because letters of two scripts do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TypedDict

from labeling.names import name_key

#: Letters of other scripts that look like Latin ones, after Unicode's confusables.txt (UTS 39):
#: Greek, Cyrillic, Armenian and Coptic. Small and capital letters look different, so there are
#: two tables, and names that agree in one of them look alike.
_SMALL = str.maketrans(
    "αаⲥсԁеҽքցһհιіӏϳјոռοσⲟоօρⲣрԛգզⲅгѕυսνѵѡԝաхγуү",
    "aaccdeefghhiiijjnnooooopppqqqrrsuuvvwwwxyyy",
)
_CAPITAL = str.maketrans(
    "ΑАΒВⲤСΕЕϜԌΗⲎНЈΚⲔКΙІӀⳐΜϺⲘМΝⲚΟⲞОՕΡⲢРЅՏΤⲦТՍѴԜΧⲬХΥⲨУҮΖ",
    "AABBCCEEFGHHHJKKKIIILMMMMNNOOOOPPPSSTTTUVWXXXYYYYZ",
)  #: Small letters that look like others as capitals only are close enough within a word.
_BOTH = {ord(chr(one).lower()): chr(other).lower() for one, other in _CAPITAL.items()} | _SMALL
#: Groups that a report lists.
_KEPT = 1_000


class LookAlikes(TypedDict):
    """Names of a column that look alike and are not the same."""

    column: str
    names: list[str]


def look_alikes(column: str, names: Iterable[str], of: Iterable[str]) -> list[LookAlikes]:
    """Return the groups of names that differ only in the script of some letters.

    Parameters
    ----------
    names : to compare. of : each group holds one of these.

    Nothing is merged: whether `Рок` is a slip of the keyboard, only a person knows.
    """
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(name_key(name), name)
    groups: dict[str, list[str]] = defaultdict(list)
    for key in first:
        for skeleton in {key.translate(_BOTH), _of_capitals(key)}:
            groups[skeleton].append(key)
    wanted = {name_key(name) for name in of}
    found = dict.fromkeys(
        tuple(keys) for keys in groups.values() if len(keys) > 1 and wanted & {*keys}
    )
    kept = list(found)[:_KEPT]
    return [LookAlikes(column=column, names=[first[key] for key in keys]) for keys in kept]


def _of_capitals(key: str) -> str:
    return key.upper().translate(_CAPITAL).casefold()
