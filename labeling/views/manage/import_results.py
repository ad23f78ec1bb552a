"""The result of an import, as the Imports page shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labeling import jobs
from labeling.loop.importing.csv.cells import guarded
from labeling.models import ImportBatch, Job
from labeling.views.manage.import_mapping import can_start
from labeling.views.manage.import_undo import undo_figures

_ERRORS_SHOWN = 20
_LABELS_SHOWN = 200
_FIGURES = (
    ("rows_read", "rows read"),
    ("tracks_created", "new tracks"),
    ("tracks_updated", "changed tracks"),
    ("tracks_unchanged", "unchanged tracks"),
    ("annotations_created", "new annotations"),
    ("rows_joined", "rows joined"),
    ("labels_created", "new labels"),
    ("labels_merged", "merged spellings"),
    ("audio_missing", "missing files"),
    ("rows_rejected", "rejected rows"),
)


def import_progress(batch: ImportBatch) -> dict[str, Any]:
    """Return the state of an import and the parts of its report that the page shows."""
    job, undo, report = batch.job, batch.undo_job, batch.report
    is_open = job is not None and job.state in Job.OPEN
    is_undoing = undo is not None and undo.state in Job.OPEN
    waits = [one for one in (job, undo) if one is not None and one.state == Job.State.QUEUED]
    return {
        "library": batch.library,
        "batch": batch,
        "job": job,
        "is_open": is_open,
        "is_done": bool(report) if job is None else job.state == Job.State.DONE,
        "is_undoing": is_undoing,
        "is_waiting": bool(waits) and not jobs.worker_is_there("default"),
        "can_start": can_start(batch),
        "can_undo": _can_undo(batch) and not is_open and not is_undoing,
        "undo": undo_figures(batch.undo_report) if batch.undo_report else None,
        **_told(report),
    }


def _can_undo(batch: ImportBatch) -> bool:
    """Say whether the import may have written something that is still there."""
    return not (batch.is_dry_run or batch.undone_at or batch.report.get("refused"))


def _told(report: dict[str, Any]) -> dict[str, Any]:
    """Return the report for the template, with lists cut to what a page can show."""
    return {
        "reading": report if "encoding" in report else None,
        "figures": [(words, report[key]) for key, words in _FIGURES if key in report],
        "errors": report.get("errors", [])[:_ERRORS_SHOWN],
        "n_errors": len(report.get("errors", [])) + report.get("errors_omitted", 0),
        "warnings": report.get("warnings", [])[:_ERRORS_SHOWN],
        "n_warnings": len(report.get("warnings", [])),
        "look_alikes": report.get("look_alikes", [])[:_ERRORS_SHOWN],
        "n_look_alikes": len(report.get("look_alikes", [])),
        "proposals": report.get("proposals", []),
        "joined": report.get("joined", [])[:_ERRORS_SHOWN],
        "n_joined": report.get("rows_joined", 0),
        "answer_metadata": report.get("answer_metadata", []),
        "new_labels": report.get("labels_new", [])[:_LABELS_SHOWN],
        "n_new_labels": report.get("labels_created", 0),
        "merged": report.get("merged", [])[:_ERRORS_SHOWN],
        "n_merged": len(report.get("merged", [])),
    }


def error_rows(batch: ImportBatch) -> Iterator[list[str]]:
    """Yield the errors of the rows as a table."""
    yield ["row", "column", "message"]
    for one in batch.report.get("errors", []):
        yield [str(one["row"]), guarded(one["column"]), guarded(one["message"])]
    omitted = batch.report.get("errors_omitted", 0)
    if omitted:
        yield ["", "", f"{omitted} more are not listed"]
