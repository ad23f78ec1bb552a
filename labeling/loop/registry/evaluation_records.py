"""The record of a run beside its model, its row, and the report that is computed from it.

A record is written once and read with its checksum compared. `report.json` beside it is what a
worker computed of it at the time; where it is missing or of another format, it is computed
again from the record, which gives the same.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.conf import settings
from django.db.models import QuerySet

from labeling.errors import BadInput
from labeling.models import (
    Annotation,
    Evaluation,
    Job,
    Label,
    Library,
    ModelVersion,
    Track,
    TrainingRun,
)
from ml.constants import OTHERS
from ml.evaluation.comparison import Comparison, compare
from ml.evaluation.record import (
    FILE_NAME,
    EvaluationRecord,
    LabelName,
    RecordFileError,
    read_record,
    write_record,
)
from ml.evaluation.report import FORMAT, build_report
from ml.files import atomic_write

Report = dict[str, Any]

REPORT_FILE = "report.json"
#: No page or command compares more runs than this at once.
MOST_COMPARED = 6


@dataclass(frozen=True)
class Measured:
    """A record that was written, with the facts of its row."""

    folder: str
    sha256: str
    answers_hash: str
    side: str
    tracks: int
    verdict: str


# --- writing --------------------------------------------------------------------------------


def keep(folder: str, record: EvaluationRecord) -> Measured:
    """Write a record and its report into a folder below that of the models."""
    home = Path(settings.MODEL_ROOT) / folder
    stored = write_record(home / FILE_NAME, record)
    report: Report = {"record": stored.sha256, **build_report(record)}
    atomic_write(home / REPORT_FILE, json.dumps(report, allow_nan=False).encode())
    return Measured(
        folder=folder,
        sha256=stored.sha256,
        answers_hash=answers_hash(record),
        side=record.side,
        tracks=record.n_tracks,
        verdict=report["verdict"]["text"],
    )


def answers_hash(record: EvaluationRecord) -> str:
    """Return a hash of the held-out tracks and their reference labels, in any order.

    Two runs with the same hash were evaluated on the same labels, so their metrics compare.
    """
    order = np.argsort(record.track_uids, kind="stable")
    columns = np.argsort([label.uid for label in record.labels], kind="stable")
    place = np.ix_(order, columns)
    judged = record.reference.label_mask[place]
    parts = (
        record.track_uids[order].astype("S36").tobytes(),
        "".join(record.labels[column].uid for column in columns).encode(),
        judged.tobytes(),
        (record.reference.labels[place] & judged).tobytes(),
    )
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()


def register_evaluation(
    library: Library,
    network: str,
    measured: Measured,
    *,
    run: TrainingRun | None = None,
    job: Job | None = None,
) -> Evaluation:
    """Write the row of a record, in the caller's transaction."""
    return Evaluation.objects.create(
        library=library,
        run=run,
        job=job,
        side=measured.side,
        network=network,
        folder=measured.folder,
        sha256=measured.sha256,
        answers_hash=measured.answers_hash,
        tracks=measured.tracks,
        verdict=measured.verdict,
    )


def recorded_label_names(library: Library, uids: Sequence[str]) -> tuple[LabelName, ...]:
    """Return the current names and facets of the columns."""
    labels = Label.objects.filter(facet__library=library).select_related("facet")
    known = {label.uid.hex: (label.name, label.facet.name) for label in labels}
    return tuple(LabelName(uid, *known.get(uid, (OTHERS, ""))) for uid in uids)


def about_answers(
    library: Library, uids: npt.NDArray[np.bytes_], track_ids: npt.NDArray[np.int64]
) -> Report:
    """Return whose answers were trained on, from when, and under which guideline versions.

    `uids` name the answers of a snapshot, `track_ids` the training tracks: annotators of audit
    tracks only are left out.
    """
    wanted, learnt_from = set(uids.tolist()), set(track_ids.tolist())
    rows = Annotation.objects.filter(library=library).values_list(
        "uid",
        "track_id",
        "annotator__name",
        "annotator__kind",
        "answered_at",
        "guideline__number",
    )
    people: Counter[tuple[str, str]] = Counter()
    days: list[str] = []
    guidelines: set[int] = set()
    for uid, track_id, name, kind, at, guideline in rows.iterator(chunk_size=5_000):
        if track_id not in learnt_from or uid.hex.encode() not in wanted:
            continue
        people[name, kind] += 1
        guidelines.add(guideline)
        if at is not None:
            days.append(at.date().isoformat())
    return {
        "annotators": [
            {"name": name, "kind": kind, "answers": n}
            for (name, kind), n in people.most_common()
        ],
        "period": [min(days), max(days)] if days else None,
        "undated": people.total() - len(days),
        "guidelines": sorted(guidelines),
    }


# --- reading --------------------------------------------------------------------------------


def record_folder_of(evaluation: Evaluation) -> Path:
    """Return the folder of an evaluation."""
    return Path(settings.MODEL_ROOT) / evaluation.folder


def record_of(evaluation: Evaluation) -> EvaluationRecord:
    """Read the record of an evaluation, or say why it cannot be read."""
    check_kept(evaluation)
    try:
        return read_record(record_folder_of(evaluation) / FILE_NAME, evaluation.sha256)
    except RecordFileError as error:
        raise BadInput(str(error)) from error


def report_of(evaluation: Evaluation) -> Report:
    """Return the report of an evaluation: as stored, else computed again from its record."""
    try:
        kept: Report = json.loads((record_folder_of(evaluation) / REPORT_FILE).read_bytes())
    except (OSError, ValueError):
        kept = {}
    if kept.get("format") == FORMAT and kept.get("record") == evaluation.sha256:
        return kept
    return {"record": evaluation.sha256, **build_report(record_of(evaluation))}


def check_kept(evaluation: Evaluation) -> None:
    """Refuse an evaluation whose record was removed: without a folder it has no files."""
    if not evaluation.folder:
        name = name_of(evaluation)
        raise BadInput(
            f"the evaluation record of {name[0].lower()}{name[1:]} was removed to save space, "
            "its curves, labels and mistakes are gone: train again to have one like it"
        )


def is_record_gone(version: ModelVersion) -> bool:
    """Say whether the evaluation record of a model was there and was removed to save space."""
    return Evaluation.objects.filter(run=version.run_id, folder="").exists()


def with_records(library: Library) -> QuerySet[Evaluation]:
    """Return the evaluations whose reports can be shown."""
    return evaluations(library).exclude(folder="")


def evaluations(library: Library) -> QuerySet[Evaluation]:
    """Return the evaluations of a library with the rows that name them."""
    return library.evaluations.select_related("run__model", "run__snapshot")


def find_evaluation(
    library: Library, *, model: int | None = None, run: int | None = None, pk: int | None = None
) -> Evaluation:
    """Return the evaluation of a model number, a run or its own id; refuse with the reason."""
    rows = evaluations(library)
    if model is not None:
        found, name = rows.filter(run__model__number=model).first(), f"model {model}"
        is_there = library.models.filter(number=model).exists()
    elif run is not None:
        found, name = rows.filter(run_id=run).first(), f"run {run}"
        is_there = library.runs.filter(pk=run).exists()
    else:
        found, name, is_there = rows.filter(pk=pk or 0).first(), f"evaluation {pk}", False
    if found is None:
        raise BadInput(_why_not(library, name, run, is_there))
    check_kept(found)
    return found


def _why_not(library: Library, name: str, run: int | None, is_there: bool) -> str:
    if not is_there:
        return f"{library.slug} has no {name}"
    row = library.runs.filter(pk=run).first() if run is not None else None
    if row is not None and row.state != TrainingRun.State.DONE:
        ended = f": {row.reason}" if row.reason else ""
        return f"run {run} has nothing to report, it is {row.get_state_display()}{ended}"
    return f"{name} was trained before evaluation records were kept: train again to get one"


def name_of(evaluation: Evaluation) -> str:
    """Return the name of an evaluation: its model, or the cross-validation."""
    version = getattr(evaluation.run, "model", None) if evaluation.run else None
    if version is not None:
        return f"Model {version.number}"
    if evaluation.run is not None:
        return f"Run {evaluation.run.pk}"
    return f"Cross-validation {evaluation.pk}"


def tracks_by_uid(library: Library, uids: Iterable[str]) -> dict[str, Track]:
    """Return tracks by the uid that a record names them by."""
    rows = Track.objects.filter(library=library, uid__in=list(uids))
    return {row.uid.hex: row for row in rows}


# --- comparing ------------------------------------------------------------------------------


def compare_evaluations(chosen: Sequence[Evaluation]) -> Report:
    """Compare evaluations with the first one, by the reference labels of the newest."""
    if not 2 <= len(chosen) <= MOST_COMPARED:
        raise BadInput(f"choose 2 to {MOST_COMPARED} runs to compare")
    if len({one.pk for one in chosen}) < len(chosen):
        raise BadInput("a run cannot be compared with itself: choose two different ones")
    reference = max(range(len(chosen)), key=lambda n: chosen[n].pk)
    found = _compared(tuple((one.pk, one.sha256) for one in chosen), reference)
    return {**found, "reference": name_of(chosen[reference])}


@lru_cache(maxsize=16)
def _compared(keys: tuple[tuple[int, str], ...], reference: int) -> Comparison:
    rows = Evaluation.objects.in_bulk([pk for pk, _ in keys])
    return compare([record_of(rows[pk]) for pk, _ in keys], reference=reference)


def figures_against(version: ModelVersion, present: ModelVersion | None) -> dict[str, Any]:
    """Return the comparison of a model with the champion; empty if there is none.

    The keys are those of a promotion: n, against, difference, lo, hi of macro AP, and the
    `differences` of every headline.
    """
    if present is None or present.pk == version.pk:
        return {}
    try:
        chosen = [
            find_evaluation(version.library, model=one.number) for one in (present, version)
        ]
        found = compare_evaluations(chosen)
    except BadInput:
        return {}
    gaps = found["runs"][1]["differences"]
    return {
        "n": found["n"],
        "against": present.number,
        **gaps["macro_ap"],
        "differences": gaps,
    }
