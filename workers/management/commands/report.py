"""Write the evaluation report of a run, or a comparison of several, as files."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string

from labeling.errors import BadInput
from labeling.loop.registry import evaluation_records
from labeling.management.base import AudiotagCommand
from labeling.models import Evaluation, Library
from labeling.views.learning import report_rows, reports
from ml.files import atomic_write

STYLES = ("labeling/site.css", "labeling/report.css")


class Command(AudiotagCommand):
    help = "Write the report of a model, run or cross-validation; of several, their comparison."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--model", type=int, action="append", default=[], metavar="N")
        parser.add_argument("--run", type=int, action="append", default=[], metavar="ID")
        parser.add_argument("--evaluation", type=int, action="append", default=[], metavar="ID")
        parser.add_argument("--out", type=Path, required=True, metavar="DIR")

    def answer(self, **options: Any) -> dict[str, Any]:
        library = self.library(options["library"])
        chosen = _chosen(library, options)
        out: Path = options["out"]
        if out.exists() and not out.is_dir():
            raise BadInput(f"--out is {str(out)!r}, which is a file; name a folder")
        if len(chosen) > 1:
            return _write_comparison(library, chosen, out)
        return _write_report(library, chosen[0], out)


def _chosen(library: Library, options: dict[str, Any]) -> list[Evaluation]:
    found = [
        evaluation_records.find_evaluation(library, **{name: number})
        for option, name in (("model", "model"), ("run", "run"), ("evaluation", "pk"))
        for number in options[option]
    ]
    if not found:
        raise BadInput("give --model N, --run ID or --evaluation ID (twice to compare)")
    return found


def _write_report(library: Library, evaluation: Evaluation, out: Path) -> dict[str, Any]:
    from ml.evaluation.charts import report_figures  # heavy: only where figures are drawn

    report = evaluation_records.report_of(evaluation)
    name = evaluation_records.name_of(evaluation)
    shown = report_rows.report_context(library, report, report_rows.ReportQuery(curves="all"))
    files = _write(out, "report", report, name, library, shown, report_figures(report))
    return {
        "evaluation": evaluation.pk,
        "name": name,
        "verdict": report["verdict"]["text"],
        "figures": report["figures"],
        "files": files,
    }


def _write_comparison(library: Library, chosen: list[Evaluation], out: Path) -> dict[str, Any]:
    from ml.evaluation.charts import comparison_figures

    shown = reports.compared_context(library, chosen)
    found, names = shown["found"], [run["name"] for run in shown["runs"]]
    kept = {"names": names, **found}
    drawn = comparison_figures(found, names)
    title = " and ".join(names)
    files = _write(out, "comparison", kept, title, library, shown, drawn)
    return {
        "evaluations": [one.pk for one in chosen],
        "names": names,
        "n": found["n"],
        "message": found["message"],
        "runs": found["runs"],
        "files": files,
    }


def _write(
    out: Path,
    kind: str,
    figures: dict[str, Any],
    title: str,
    library: Library,
    shown: dict[str, Any],
    drawn: Iterable[tuple[str, bytes]],
) -> list[str]:
    """Write JSON, one HTML file that needs nothing else, and the PNGs; return their names."""
    contents = {f"{kind}.json": json.dumps(figures, indent=1, allow_nan=False).encode()}
    page = render_to_string(
        f"labeling/report/export_{kind}.html",
        {
            "library": library,
            "title": title,
            "styles": _styles(),
            "is_export": True,
            "base": _base(),
            **shown,
        },
    )
    contents[f"{kind}.html"] = page.encode()
    contents |= dict(drawn)
    for name, content in contents.items():
        atomic_write(out / name, content)
    return sorted(contents)


def _base() -> str:
    """Return the address of the site, for links in a file stored elsewhere."""
    origins: list[str] = settings.CSRF_TRUSTED_ORIGINS
    return origins[0] if origins else f"http://localhost:{settings.PORT}"


def _styles() -> list[str]:
    return [Path(str(finders.find(name))).read_text(encoding="utf-8") for name in STYLES]
