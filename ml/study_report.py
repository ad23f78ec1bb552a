"""What the study in the small tells: from the runs that are kept to a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ml.experiment_store import StoredRun
from ml.experiment_story import differences, tell
from ml.experiment_text import (
    differences_table,
    gap,
    number,
    pictures_of,
    recipes_table,
    signature_blocks,
)
from ml.pages import Block, Heading, Items, Table, Text
from ml.study_design import StudyDesign
from ml.study_in_small import N_LEGACY, TURNING_SIZES

Story = dict[str, Any]


def study_story(runs: Sequence[StoredRun], design: StudyDesign) -> Story:
    """Return everything that the report tells, by part; None for one that did not run."""
    of_part = {
        part: [run for run in runs if run.part == part]
        for part in ("recipes", "turning", "ablation")
    }
    return {
        "design": design.canonical(),
        "recipes": tell(of_part["recipes"], "seed-2019") if of_part["recipes"] else None,
        "ablation": tell(of_part["ablation"], "sound") if of_part["ablation"] else None,
        "one_curator": _one_curator(of_part["recipes"]),
        "turning": _turning(of_part["turning"]),
        "leak": _leak(of_part["ablation"]),
    }


def _one_curator(runs: Sequence[StoredRun]) -> Story | None:
    """What the author's proposal gains by leaving the first curator out."""
    named = {
        name: [run for run in runs if run.name == name and run.held_out is not None]
        for name in ("seed-next-both", "seed-next")
    }
    if not all(named.values()):
        return None
    return differences(named["seed-next-both"], named["seed-next"])


def _turning(runs: Sequence[StoredRun]) -> list[Story] | None:
    """For each number of the current curator's labels: current alone against both."""
    if not runs:
        return None
    found = []
    for size in TURNING_SIZES:
        both, alone = (
            [run for run in runs if run.name == f"{who}-{size}" and run.held_out is not None]
            for who in ("both", "current")
        )
        if both and alone:
            told = {run["name"]: run for run in tell([*both, *alone])["runs"]}
            found.append(
                {
                    "size": size,
                    "both": told[f"both-{size}"]["held_out"]["figures"]["macro_ap"],
                    "current": told[f"current-{size}"]["held_out"]["figures"]["macro_ap"],
                    **differences(both, alone),
                }
            )
    return found


def _leak(runs: Sequence[StoredRun]) -> list[Story]:
    """What a run would have reported of itself, and what held-out tracks say."""
    found = []
    for name in ("sound", "window-leak"):
        whole = [run for run in runs if run.name == name and run.validation is not None]
        if whole:
            told = tell(whole)["runs"][0]
            found.append(
                {
                    "name": name,
                    "title": told["title"],
                    "validation": told["validation"]["figures"]["macro_ap"],
                    "held_out": told["held_out"]["figures"]["macro_ap"],
                }
            )
    return found


def study_blocks(story: Story) -> list[Block]:
    """Return the story as a page; what did not run is left out."""
    return [*_head(story), *_recipes(story), *_curators(story), *_ablation(story)]


def _head(story: Story) -> list[Block]:
    design = story["design"]
    n_windows = design["windows"]["windows_per_track"]
    share = 100 * design["current_share"]
    text = (
        f"A simulated library of {design['n_tracks']} tracks, the 55 genres of the study at "
        f"its prevalences, {design['labels_per_track']:g} labels and {n_windows} windows a "
        f"track. Of the tracks learnt from, {share:.0f} % were labelled by the curator of "
        "today, the others by the one before, whose criteria differed (ml/study_design.py: "
        "fixed before any recipe was run). Every run is judged on the same held-out tracks, "
        "whole albums, by the answers of the curator of today. Figures are means over the "
        "seeds, with 95 % intervals in brackets; a difference is paired."
    )
    return [Heading("The study in the small", 1), Text(text)]


def _recipes(story: Story) -> list[Block]:
    told = story["recipes"]
    if told is None:
        return []
    study = [run for run in told["runs"] if run["name"] == "seed-2019"]
    return [
        Heading("The recipes"),
        Text(f"Seeds: {', '.join(map(str, told['seeds']))}. On the held-out tracks:"),
        recipes_table(told, "held_out"),
        *pictures_of("recipes"),
        Text("What each run would have reported of the part that it held back itself:"),
        recipes_table(told, "validation"),
        differences_table(told),
        *(block for run in study for block in signature_blocks(run)),
    ]


def _curators(story: Story) -> list[Block]:
    blocks: list[Block] = []
    if story["one_curator"] is not None:
        found = story["one_curator"]
        text = (
            "The author's recipe on the current curator's labels alone, against the same on "
            f"both: macro AP {gap(found['differences']['macro_ap'])}, BCE skill "
            f"{gap(found['differences']['bce_skill'])} ({found['verdict']})."
        )
        blocks.append(Text(text))
    if story["turning"]:
        blocks += _turning_blocks(story["turning"])
    return [Heading("One curator or two"), *blocks] if blocks else []


def _turning_blocks(turning: Sequence[Story]) -> list[Block]:
    rows = [
        [
            str(row["size"]),
            number(row["both"]["mean"]),
            number(row["current"]["mean"]),
            gap(row["differences"]["macro_ap"]),
            row["verdict"],
        ]
        for row in turning
    ]
    header = ["labels of the current curator", "both", "current alone", "gain", "alone is"]
    text = (
        f"Our network, {N_LEGACY} tracks of the curator before, and more and more of the "
        "current one's; macro AP:"
    )
    return [Text(text), Table(header, rows), Text(turning_text(turning))]


def turning_text(turning: Sequence[Story]) -> str:
    """Say from how many labels on the current curator alone is better, and until when not."""
    better = [row["size"] for row in turning if row["verdict"] == "better"]
    worse = [row["size"] for row in turning if row["verdict"] == "worse"]
    texts = []
    if worse:
        texts.append(f"Up to {max(worse)} labels it is better to learn from both.")
    if better:
        texts.append(f"From {min(better)} labels on the current curator alone is better.")
    if not better:
        texts.append("At none of these numbers is the current curator alone told to be better.")
    return " ".join(texts)


def _ablation(story: Story) -> list[Block]:
    told = story["ablation"]
    if told is None:
        return []
    text = (
        "About 300 tracks, 15 epochs, the study's network soundly trained, and each suspected "
        "cause added to it alone:"
    )
    return [
        Heading("Which cause does what"),
        Text(text),
        recipes_table(told, "held_out"),
        differences_table(told),
        Items(causes(told)),
        *_leak_blocks(story["leak"]),
    ]


def _leak_blocks(leak: Sequence[Story]) -> list[Block]:
    if not leak:
        return []
    rows = [
        [row["title"], number(row["validation"]["mean"]), number(row["held_out"]["mean"])]
        for row in leak
    ]
    return [
        Text("What a leak does is seen in what the run reports of itself:"),
        Table(["run", "macro AP it reports", "on held-out tracks"], rows),
    ]


def causes(told: Story) -> list[str]:
    """Say of each cause whether it harms, helps or does nothing that can be told."""
    words = {
        "worse": "harms",
        "better": "helps",
        "not told apart": "does nothing that can be told from chance here",
        "not comparable": "cannot be compared",
    }
    return [
        f"{run['title']}: {words[run['verdict']]} "
        f"(macro AP {gap(run['differences']['macro_ap'])})"
        for run in told["runs"]
        if run["verdict"] is not None and run["name"] != "balanced"
    ]
