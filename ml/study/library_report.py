"""Report of the recipes on a real library: from their runs to a page.

Stage: study.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ml.evaluation.pages import Block, Heading, Items, Table, Text
from ml.study.store import StoredRun
from ml.study.story import common_story, summarise_part
from ml.study.text import (
    choices_section,
    common_blocks,
    differences_table,
    pictures_of,
    recipes_table,
    signature_blocks,
)

Story = Mapping[str, Any]

STUDY = "seed-2019"


def library_story(runs: Sequence[StoredRun], library: str) -> Story:
    """Summarise the runs of the recipes on one library.

    Parameters
    ----------
    runs : stored runs. library : its name.

    Returns
    -------
    Story : JSON values.
    """
    judged_by = [run.held_out.judged_by for run in runs if run.held_out is not None]
    return {
        "library": library,
        "judged_by": judged_by[0] if judged_by else "",
        "recipes": summarise_part(runs, STUDY),
        "common": common_story(runs),
    }


def library_blocks(story: Story) -> list[Block]:
    """Write the report of one library as blocks of a page.

    Parameters
    ----------
    story : as `library_story` returns it.

    Returns
    -------
    list of Block : of the page.
    """
    told = story["recipes"]
    study = [run for run in told["runs"] if run["name"] == STUDY]
    return [
        Heading(f"The study's recipes on {story['library']}", 1),
        Text(
            "Every recipe learns from the training side of this library and is measured on the "
            f"same audit tracks, by {story['judged_by'] or 'nobody yet'}. Figures are means "
            "over the seeds, with 95 % intervals in brackets. Differences are paired, on the "
            "labels that both recipes have learnt."
        ),
        Heading("On the audit tracks"),
        recipes_table(told, "held_out"),
        *common_blocks(story["common"]),
        *(pictures_of("recipes") if told["first"] else []),
        differences_table(told),
        *_failed(told),
        Heading("Results on the validation set of each run"),
        recipes_table(told, "validation"),
        *(block for run in study for block in signature_blocks(run)),
        Heading("Training data"),
        _sources(told),
        *choices_section(told),
    ]


def _failed(told: Story) -> list[Block]:
    lines = [
        f"{run['title']}: {text}"
        for run in told["runs"]
        for text in sorted(set(run["errors"].values()))
    ]
    return [Text("Runs that failed:"), Items(lines)] if lines else []


def _sources(told: Story) -> Table:
    rows = [
        [
            run["title"],
            *(_whole(run[name]) for name in ("n_tracks", "n_labels", "seconds")),
            _whole(run["held_out"]["n"] if run["held_out"] else None),
        ]
        for run in told["runs"]
    ]
    return Table(["run", "tracks", "labels", "seconds", "labelled audit tracks"], rows)


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
