"""Options that select answers, shared by the commands."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import replace
from typing import Any

from labeling.errors import BadInput
from labeling.loop.datasets.selection import CRITERIA, NEGATIVES, OTHERS, SOURCES, Selection
from labeling.models import Annotator
from labeling.names import name_key
from ml.consistency.consensus import AGGREGATIONS

CRITERIA_HELP = (
    "whose criteria: 'current' is what a current curator (an active person who has answered "
    "under the guideline in force) said under that guideline, from the day of their last "
    "declared change of criteria on; 'legacy' is everything else; default: all of it"
)


def add_selection(parser: ArgumentParser, *, more_criteria: tuple[str, ...] = ()) -> None:
    """Add the options; an omitted option keeps the value of the base selection."""
    words = (*CRITERIA, *more_criteria)
    known = ", ".join(SOURCES)
    add = parser.add_argument
    add("--facet", action="append", default=[], metavar="F")
    add("--annotators", metavar="A,B", help="answers of these; default: everybody's")
    add("--annotator-kinds", metavar="KINDS", help=", ".join(Annotator.Kind.values))
    add("--since", metavar="DAY", help="2024-01-31, a UTC day, included; no date: left out")
    add("--until", metavar="DAY", help="a UTC day, included; no date: the oldest")
    add("--guideline", metavar="N,M", help="answers given under these versions; 0: imported")
    add("--source", metavar="WORDS", help=f"source of the answers: {known}; default: all")
    add("--import-batch", metavar="N,M", help="uploads, by their number on the Imports page")
    add("--criteria", metavar="WHOSE", help=f"{', '.join(words)}: {CRITERIA_HELP}")
    add("--negatives", metavar="RULE", help=f"empty cells of imports: {', '.join(NEGATIVES)}")
    add("--others", metavar="RULE", help=f"rare labels: {', '.join(OTHERS)}")
    add("--top-labels", type=int, metavar="N", help="with --others: the labels to keep")
    add("--min-support", type=int, metavar="N", help="minimum positives of a label; default: 5")
    add_aggregation(parser)


def add_aggregation(parser: ArgumentParser) -> None:
    """Add the option that says how the answers of several annotators become one."""
    words = ", ".join(AGGREGATIONS)
    parser.add_argument(
        "--aggregation",
        metavar="METHOD",
        help=f"how answers of several annotators are combined: {words}; default: facet",
    )


def selection_from_options(options: dict[str, Any], base: Selection | None = None) -> Selection:
    """Return the base selection with the given options."""
    return replace(base or Selection(), **asked(options))


def asked(options: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a selection that the command names."""
    found: dict[str, Any] = {
        "facets": tuple(name_key(name) for name in options.get("facet") or ()) or None,
        "annotators": _names(options.get("annotators")),
        "annotator_kinds": _names(options.get("annotator_kinds")),
        "guidelines": _numbers(options.get("guideline"), "--guideline"),
        "sources": _names(options.get("source")),
        "batches": _numbers(options.get("import_batch"), "--import-batch"),
    }
    for name in (
        "since", "until", "criteria", "negatives", "others", "top_labels", "min_support",
        "aggregation",
    ):  # fmt: skip
        found[name] = options.get(name)
    return {name: value for name, value in found.items() if value is not None}


def _names(text: str | None) -> tuple[str, ...] | None:
    if not text:
        return None
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _numbers(text: str | int | None, option: str) -> tuple[int, ...] | None:
    names = _names(None if text is None else str(text))
    if names is None:
        return None
    if not all(name.isdecimal() and len(name) < 10 for name in names):
        raise BadInput(f"{option} is {text!r}; write numbers such as 1 or 1,2")
    return tuple(int(name) for name in names)
