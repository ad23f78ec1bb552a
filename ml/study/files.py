"""Files of an experiment's report: JSON, Markdown, one HTML page, PNG charts.

Stage: study. Heavy (matplotlib, through `ml.study.charts`): for workers and commands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml.evaluation.pages import Block, markdown, page
from ml.files import atomic_write
from ml.study.charts import experiment_charts
from ml.study.store import StoredRun


def write_report(
    root: Path, story: Mapping[str, Any], blocks: Sequence[Block], runs: Sequence[StoredRun]
) -> list[Path]:
    """Write report.json, report.md, report.html and the charts; each file whole or not at all.

    Parameters
    ----------
    root : folder of the report. story : JSON values. blocks : the same as a page.
    runs : whose charts are drawn.

    Returns
    -------
    list of Path : the files written.
    """
    pictures = experiment_charts(story, runs)
    contents = {
        "report.json": json.dumps(story, indent=1, sort_keys=True, allow_nan=False).encode(),
        "report.md": markdown(blocks).encode(),
        "report.html": page(blocks, pictures).encode(),
        **pictures,
    }
    for name, content in contents.items():
        atomic_write(root / name, content)
    return [root / name for name in contents]
