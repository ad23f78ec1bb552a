"""What the recipes tell on a library of one's own: from their runs to a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ml.evaluation.pages import Block, Heading, Items, Table, Text
from ml.study.store import StoredRun
from ml.study.story import common_story, tell
from ml.study.text import (
    choices_section,
    common_blocks,
    differences_table,
    pictures_of,
    recipes_table,
    signature_blocks,
)

Story = dict[str, Any]

STUDY = "seed-2019"


def library_story(runs: Sequence[StoredRun], library: str) -> Story:
    """Return everything that the report of one library tells."""
    judged_by = [run.held_out.judged_by for run in runs if run.held_out is not None]
    return {
        "library": library,
        "judged_by": judged_by[0] if judged_by else "",
        "recipes": tell(runs, STUDY),
        "common": common_story(runs),
    }


def library_blocks(story: Story) -> list[Block]:
    """Return the story as a page."""
    told = story["recipes"]
    study = [run for run in told["runs"] if run["name"] == STUDY]
    return [
        Heading(f"The study's recipes on {story['library']}", 1),
        Text(
            "Every recipe learns from the training side of this library and is judged on the "
            f"same audit tracks, by {story['judged_by'] or 'nobody yet'}. Figures are means "
            "over the seeds, with 95 % intervals in brackets; a difference is paired, and on "
            "the labels that both recipes know."
        ),
        Heading("On the audit tracks"),
        recipes_table(told, "held_out"),
        *common_blocks(story["common"]),
        *(pictures_of("recipes") if told["first"] else []),
        differences_table(told),
        *_failed(told),
        Heading("What each run would have reported of itself"),
        recipes_table(told, "validation"),
        *(block for run in study for block in signature_blocks(run)),
        Heading("What was learnt from"),
        _sources(told),
        *choices_section(told),
    ]


def _failed(told: Story) -> list[Block]:
    lines = [
        f"{run['title']}: {text}"
        for run in told["runs"]
        for text in sorted(set(run["errors"].values()))
    ]
    return [Text("What did not run:"), Items(lines)] if lines else []


def _sources(told: Story) -> Table:
    rows = [
        [
            run["title"],
            *(_whole(run[name]) for name in ("n_tracks", "n_labels", "seconds")),
            _whole(run["held_out"]["n"] if run["held_out"] else None),
        ]
        for run in told["runs"]
    ]
    return Table(["run", "tracks", "labels", "seconds", "audit tracks judged"], rows)


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"
