"""The shape of JSON: which keys lead to which types, with what is data made anonymous."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import Any

#: Keys under which a value is a code that is stored or compared, not a text for people.
CODES = {
    "aggregation", "arm", "bias", "calibration", "criteria", "facet", "features", "format",
    "kind", "label_counts", "loss", "negatives", "network", "others", "outcome", "recipe",
    "role", "sampling", "semantics", "side", "split", "state", "strategy", "stratum",
    "thresholds",
}  # fmt: skip

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_PLACEHOLDERS = (
    (re.compile(_UUID), "<uid>"),
    (re.compile(r"(?<![0-9a-zA-Z])[0-9a-f]{12,}(?![0-9a-zA-Z])"), "<hex>"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "<date>"),
    (re.compile(r"(?<=peaks/)[0-9a-f]{2}(?=/)"), "<hh>"),
    (re.compile(r"(?<!\d)(?<!seed-)\d+"), "<n>"),
)


def anonymous(text: str) -> str:
    """Return the text with uids, hashes, dates and numbers replaced by what they are."""
    for pattern, name in _PLACEHOLDERS:
        text = pattern.sub(name, text)
    return text


def _key(name: str) -> str:
    """Return the key; `<...>` where it is a number, a uid or a date and nothing else."""
    found = anonymous(name)
    return found if re.fullmatch(r"(<\w+>[-:. ]?)+", found) else name


#: What a trained model decides: whether these lists hold anything.
_BY_CHANCE = re.compile(r"\.diagnosis\.never\.\w+\[\]")


def shape(*values: Any) -> dict[str, str]:
    """Return path -> types of all values together; items of lists are one under `[]`."""
    types: dict[str, set[str]] = defaultdict(set)
    codes: dict[str, set[str]] = defaultdict(set)
    for value in values:
        _walk(value, "", "", types, codes)
    return {
        path or ".": " | ".join(sorted(found))
        + (f": {', '.join(sorted(codes[path]))}" if path in codes else "")
        for path, found in sorted(types.items())
        if not _BY_CHANCE.search(path)
    }


def _walk(
    value: Any, path: str, name: str, types: dict[str, set[str]], codes: dict[str, set[str]]
) -> None:
    if isinstance(value, dict):
        types[path].add("object")
        for key, inner in value.items():
            _walk(inner, f"{path}.{_key(str(key))}", str(key), types, codes)
    elif isinstance(value, list | tuple):
        types[path].add("list")
        for inner in value:
            _walk(inner, f"{path}[]", name, types, codes)
    else:
        types[path].add(_type_of(value))
        if name in CODES and isinstance(value, str | int) and value != "":
            codes[path].add(str(value))


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "bool", int: "int", float: "float", str: "text"}
    return names[type(value)]


#: The longest line of a golden file, where it can be broken at all.
WIDTH = 96


def as_text(value: Any, indent: int = 0, before: int = 0) -> str:
    """Return JSON with sorted keys: on one line where that is short enough, else broken."""
    line = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if not isinstance(value, dict | list) or indent + before + len(line) < WIDTH:
        return line
    inner, end = " " * (indent + 1), " " * indent
    if isinstance(value, list):
        parts = [as_text(one, indent + 1) for one in value]
        opening, closing = "[", "]"
    else:
        parts = []
        for key, one in sorted(value.items()):
            name = json.dumps(key, ensure_ascii=False) + ": "
            parts.append(name + as_text(one, indent + 1, len(name)))
        opening, closing = "{", "}"
    lines = (",\n" + inner).join(parts)
    return f"{opening}\n{inner}{lines}\n{end}{closing}"
