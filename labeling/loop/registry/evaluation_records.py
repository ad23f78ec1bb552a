"""Evaluation records: the file of a run's evaluation, its row and the report computed from it.

A record is written once, and its checksum is verified on every read. `report.json` in the same
folder is the report as the worker computed it. If it is missing or of another format, it is
computed again from the record, with the same result.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

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
#: The most runs that a page or command compares at once.
MOST_COMPARED = 6


@dataclass(frozen=True)
class Measured:
    """A record that has been written: the values for its row."""

    folder: str
    sha256: str
    answers_hash: str
    side: str
    tracks: int
    verdict: str


class AnnotatorCount(TypedDict):
    """An annotator in a report, with the number of their answers trained on."""

    name: str
    kind: str
    answers: int


class AnswersTrainedOn(TypedDict):
    """The part of a report about the answers that a model was trained on."""

    annotators: list[AnnotatorCount]
    period: list[str] | None
    undated: int
    guidelines: list[int]


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
    """Return a hash of the evaluated tracks and their reference labels, in any order.

    Runs with the same hash were evaluated on the same answers, so their metrics compare.
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
    """Return the current name and facet of each column."""
    labels = Label.objects.filter(facet__library=library).select_related("facet")
    known = {label.uid.hex: (label.name, label.facet.name) for label in labels}
    return tuple(LabelName(uid, *known.get(uid, (OTHERS, ""))) for uid in uids)


def about_answers(
    library: Library, uids: npt.NDArray[np.bytes_], track_ids: npt.NDArray[np.int64]
) -> AnswersTrainedOn:
    """Count the answers trained on by annotator, with their period and guideline versions.

    `uids` are the annotations of a snapshot, `track_ids` the tracks trained on. An annotator
    who judged only audit tracks is not listed, because nothing was learnt from them.
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
    """Return the folder with the files of an evaluation."""
    return Path(settings.MODEL_ROOT) / evaluation.folder


def record_of(evaluation: Evaluation) -> EvaluationRecord:
    """Read the record of an evaluation; raise BadInput if it cannot be read."""
    check_kept(evaluation)
    try:
        return read_record(record_folder_of(evaluation) / FILE_NAME, evaluation.sha256)
    except RecordFileError as error:
        raise BadInput(str(error)) from error


def report_of(evaluation: Evaluation) -> Report:
    """Return the report of an evaluation: the stored one, or else computed from its record."""
    try:
        kept: Report = json.loads((record_folder_of(evaluation) / REPORT_FILE).read_bytes())
    except (OSError, ValueError):
        kept = {}
    is_whole = "headline" in kept  # reports of earlier versions lack it
    if is_whole and kept.get("format") == FORMAT and kept.get("record") == evaluation.sha256:
        return kept
    return {"record": evaluation.sha256, **build_report(record_of(evaluation))}


def check_kept(evaluation: Evaluation) -> None:
    """Raise BadInput if the record of an evaluation was removed; its folder is then empty."""
    if not evaluation.folder:
        name = name_of(evaluation)
        raise BadInput(
            f"the evaluation record of {name[0].lower()}{name[1:]} was removed to save space, "
            "with its curves, labels and mistakes: train again to get a similar one"
        )


def is_record_gone(version: ModelVersion) -> bool:
    """Return whether the evaluation record of a model was removed to save space."""
    return Evaluation.objects.filter(run=version.run_id, folder="").exists()


def with_records(library: Library) -> QuerySet[Evaluation]:
    """Return the evaluations that still have their record, so that a report can be shown."""
    return evaluations(library).exclude(folder="")


def evaluations(library: Library) -> QuerySet[Evaluation]:
    """Return the evaluations of a library, with the rows that their names need."""
    return library.evaluations.select_related("run__model", "run__snapshot")


def find_evaluation(
    library: Library, *, model: int | None = None, run: int | None = None, pk: int | None = None
) -> Evaluation:
    """Return an evaluation by the number of its model, by its run or by its own id.

    Raises BadInput with the reason if there is none or its record was removed.
    """
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
        return f"run {run} has no report, because it is {row.get_state_display()}{ended}"
    return (
        f"{name} was trained before evaluation records were stored: train again to get a report"
    )


def name_of(evaluation: Evaluation) -> str:
    """Return the name of an evaluation for people: its model, run or cross-validation."""
    version = getattr(evaluation.run, "model", None) if evaluation.run else None
    if version is not None:
        return f"Model {version.number}"
    if evaluation.run is not None:
        return f"Run {evaluation.run.pk}"
    return f"Cross-validation {evaluation.pk}"


def tracks_by_uid(library: Library, uids: Iterable[str]) -> dict[str, Track]:
    """Return the tracks by their uid, as records contain it."""
    rows = Track.objects.filter(library=library, uid__in=list(uids))
    return {row.uid.hex: row for row in rows}


# --- comparing ------------------------------------------------------------------------------


def compare_evaluations(chosen: Sequence[Evaluation]) -> Report:
    """Compare evaluations with the first one, on the reference labels of the newest."""
    if not 2 <= len(chosen) <= MOST_COMPARED:
        raise BadInput(f"choose 2 to {MOST_COMPARED} runs to compare")
    if len({one.pk for one in chosen}) < len(chosen):
        raise BadInput("a run cannot be compared with itself: choose different runs")
    reference = max(range(len(chosen)), key=lambda n: chosen[n].pk)
    found = _compared(tuple((one.pk, one.sha256) for one in chosen), reference)
    return {**found, "reference": name_of(chosen[reference])}


@lru_cache(maxsize=16)
def _compared(keys: tuple[tuple[int, str], ...], reference: int) -> Comparison:
    rows = Evaluation.objects.in_bulk([pk for pk, _ in keys])
    return compare([record_of(rows[pk]) for pk, _ in keys], reference=reference)


def figures_against(version: ModelVersion, champion: ModelVersion | None) -> dict[str, Any]:
    """Return how a model compares with the champion; empty if they cannot be compared.

    The keys are those of a promotion's figures: n, against, difference, lo and hi of macro AP
    over all scored labels, the `differences` of further metrics over them, and `headline`, the
    differences of the figures that pages show.
    """
    if champion is None or champion.pk == version.pk:
        return {}
    try:
        chosen = [
            find_evaluation(version.library, model=one.number) for one in (champion, version)
        ]
        found = compare_evaluations(chosen)
    except BadInput:
        return {}
    compared = found["runs"][1]
    return {
        "n": found["n"],
        "against": champion.number,
        **compared["differences"]["macro_ap"],
        "differences": compared["differences"],
        "headline": compared["headline_differences"],
    }
