"""Write answers as CSV: one line per judgement, as a catalogue to import, or as consensus.

Stage: export. Rows are read and written in chunks, so memory does not grow with the library.
Merged labels are written under the label they were merged into; if two judgements of an
answer become the same label, it is written once.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO, TypedDict

from django.db.models import Q

from labeling.errors import BadInput
from labeling.loop.exporting.consensus import consensus_rows
from labeling.loop.exporting.tables import cell_of, wide_rows
from labeling.loop.importing.csv.cells import guarded
from labeling.loop.library import taxonomy
from labeling.models import Annotation, CurrentAnswer, Label, Library
from ml.consistency.consensus import AGGREGATIONS
from ml.files import file_sha256

FORMATS = ("long", "wide", "consensus")
LONG_COLUMNS = (
    "filename",
    "annotator",
    "answered_at",
    "recorded_at",
    "facet",
    "label",
    "value",
    "guideline",
    "kind",
    "stratum",
    "annotation",
)
#: The additional column of a history: the event that this one revises or retracts.
HISTORY_COLUMNS = ("revises",)
CHUNK = 2_000
Rows = Iterator[list[str]]


class ExportResult(TypedDict):
    """The result of an export, as the command prints it with --json."""

    rows: int
    sha256: str
    file: str


_VALUES = (
    "track__key",
    "annotator__name",
    "answered_at",
    "recorded_at",
    "answers__facet__name",
    "answers__judgements__label_id",
    "answers__judgements__value",
    "guideline__number",
    "kind",
    "stratum",
    "uid",
)


def export_annotations(
    library: Library,
    form: str,
    out: Path,
    *,
    has_history: bool = False,
    is_raw: bool = False,
    has_mark: bool = False,
    aggregation: str | None = None,
) -> ExportResult:
    """Write the answers of a library to `out`; return the number of rows and the sha256.

    1. Write to a temporary file, then rename it, so that nobody reads half an export.
    2. Guard every cell that a spreadsheet would run as a formula, unless `is_raw`.
    3. With `has_mark`, begin with a byte order mark, by which Excel recognises UTF-8.
    """
    if form not in FORMATS:
        raise BadInput(f"there is no format {form!r}: use one of {', '.join(FORMATS)}")
    if has_history and form != "long":
        raise BadInput(
            "--history needs --format long: the other formats contain current answers only"
        )
    if aggregation and form != "consensus":
        raise BadInput("--aggregation needs --format consensus: only it combines answers")
    if aggregation and aggregation not in AGGREGATIONS:
        known = ", ".join(AGGREGATIONS)
        raise BadInput(f"aggregation is {aggregation!r}; it must be one of {known}")
    rows = _rows(library, form, has_history, aggregation or AGGREGATIONS[0])
    encoding = "utf-8-sig" if has_mark else "utf-8"
    return _write_and_rename(out, encoding, lambda file: _write(file, rows, is_raw))


def _rows(library: Library, form: str, has_history: bool, aggregation: str) -> Rows:
    if form == "long":
        return long_rows(library, has_history=has_history)
    return wide_rows(library) if form == "wide" else consensus_rows(library, aggregation)


def _write(file: TextIO, rows: Rows, is_raw: bool) -> int:
    writer = csv.writer(file, lineterminator="\r\n")
    n_rows = -1
    for row in rows:
        writer.writerow(row if is_raw else [_cell(cell) for cell in row])
        n_rows += 1
    return n_rows


def _cell(cell: str) -> str:
    """Guard a cell, except the value -1 of a judgement, which is a number and no formula."""
    return cell if cell == "-1" else guarded(cell)


def _write_and_rename(out: Path, encoding: str, write: Callable[[TextIO], int]) -> ExportResult:
    folder = out.parent
    if out.is_dir():
        raise BadInput(f"{str(out)!r} is a folder: give the name of a file in it")
    if not folder.is_dir():
        raise BadInput(f"{str(folder)!r} does not exist: create the folder or choose another")
    try:
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=f".{out.name[:100]}.")
    except OSError as error:
        raise BadInput(f"cannot write to {str(folder)!r}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w", encoding=encoding, newline="") as file:
            n_rows = write(file)
        digest = file_sha256(Path(name))
        os.chmod(name, 0o644)
        os.replace(name, out)
    except BaseException:
        os.unlink(name)
        raise
    return {"rows": n_rows, "sha256": digest, "file": str(out)}


def long_rows(library: Library, *, has_history: bool = False) -> Rows:
    """Yield a row for each stored judgement: of the current answers, or of all events.

    A history also lists retractions, each as one row without a label. The last columns are
    those that a catalogue gave to its answers, such as notes.
    """
    names: dict[int | None, str]
    names = dict(Label.objects.filter(facet__library=library).values_list("id", "name"))
    names[None] = ""
    merged = taxonomy.resolutions(library)
    header = [*LONG_COLUMNS, *HISTORY_COLUMNS] if has_history else list(LONG_COLUMNS)
    extra = _answer_columns(library)
    yield header + [f"{name} (answer)" if name in header else name for name in extra]
    answer: tuple[Any, ...] = ()
    seen: set[int] = set()
    for row in _history(library) if has_history else _current(library):
        if (row[10], row[4]) != answer:
            answer, seen = (row[10], row[4]), set()
        label_id = merged.get(row[5], row[5])
        if label_id not in seen:
            seen.add(label_id)
            notes = row[-1] or {}
            values = (*row[:5], names[label_id], *row[6:-1], *map(notes.get, extra))
            yield [cell_of(value) for value in values]


def _answer_columns(library: Library) -> list[str]:
    """Return the columns that catalogues gave to answers, in the order of their first use."""
    found: dict[str, None] = {}
    rows = Annotation.objects.filter(library=library, extra__isnull=False).order_by("id")
    for extra in rows.values_list("extra", flat=True).iterator(chunk_size=5_000):
        found |= dict.fromkeys(extra or ())
    return list(found)


def _history(library: Library) -> Iterator[tuple[Any, ...]]:
    events = Annotation.objects.filter(
        Q(answers__judgements__isnull=False) | Q(kind=Annotation.Kind.RETRACTION),
        library=library,
    ).order_by("id", "answers__facet_id", "-answers__judgements__value", "answers__judgements")
    return events.values_list(*_VALUES, "revises__uid", "extra").iterator(chunk_size=CHUNK)


def _current(library: Library) -> Iterator[tuple[Any, ...]]:
    paths = [_from_current(name) for name in (*_VALUES, "extra")]
    rows = CurrentAnswer.objects.filter(
        track__library=library, answer__judgements__isnull=False
    ).order_by(
        "track_id",
        "annotator_id",
        "facet_id",
        "-answer__judgements__value",
        "answer__judgements",
    )
    return rows.values_list(*paths).iterator(chunk_size=CHUNK)


def _from_current(name: str) -> str:
    """Return the path from a current answer to a value of its event."""
    if name.startswith("answers__"):
        return name.replace("answers__", "answer__", 1)
    return f"answer__annotation__{name}"
