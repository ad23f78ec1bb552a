"""The result of an import, as the Imports page shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from labeling import jobs
from labeling.loop.importing import catalogue
from labeling.loop.importing.csv.cells import guarded
from labeling.models import ImportBatch, Job

_ERRORS_SHOWN = 20
_LABELS_SHOWN = 200


def import_progress(batch: ImportBatch) -> dict[str, Any]:
    """Return the state of an import and the parts of its report that the page shows."""
    job, report = cast(Job, batch.job), batch.report
    is_open = job.state in Job.OPEN
    figures = [
        ("rows_read", "rows read"),
        ("tracks_created", "new tracks"),
        ("tracks_updated", "changed tracks"),
        ("tracks_unchanged", "unchanged tracks"),
        ("annotations_created", "new annotations"),
        ("labels_created", "new labels"),
        ("labels_merged", "merged spellings"),
        ("audio_missing", "missing files"),
        ("rows_rejected", "rejected rows"),
    ]
    return {
        "library": batch.library,
        "batch": batch,
        "job": job,
        "reading": report if "encoding" in report else None,
        "look_alikes": report.get("look_alikes", [])[:_ERRORS_SHOWN],
        "n_look_alikes": len(report.get("look_alikes", [])),
        "warnings": report.get("warnings", [])[:_ERRORS_SHOWN],
        "n_warnings": len(report.get("warnings", [])),
        "is_open": is_open,
        "is_waiting": job.state == Job.State.QUEUED and not jobs.worker_is_there("default"),
        "figures": [(words, report[key]) for key, words in figures if key in report],
        "errors": report.get("errors", [])[:_ERRORS_SHOWN],
        "n_errors": len(report.get("errors", [])) + report.get("errors_omitted", 0),
        "new_labels": report.get("labels_new", [])[:_LABELS_SHOWN],
        "n_new_labels": report.get("labels_created", 0),
        "merged": report.get("merged", [])[:_ERRORS_SHOWN],
        "n_merged": len(report.get("merged", [])),
        "can_start": not is_open and catalogue.stored_path(batch).is_file(),
    }


def error_rows(batch: ImportBatch) -> Iterator[list[str]]:
    """Yield the errors of the rows as a table."""
    yield ["row", "column", "message"]
    for one in batch.report.get("errors", []):
        yield [str(one["row"]), guarded(one["column"]), guarded(one["message"])]
    omitted = batch.report.get("errors_omitted", 0)
    if omitted:
        yield ["", "", f"{omitted} more are not listed"]
